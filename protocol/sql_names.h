// The names in a statement, one by one, and which of them are called as functions. By words alone:
// in doubt a name in front of a parenthesis is called, though it may be that of a table that is
// given names for its columns. Where a keyword could stand (`... LIKE (`, `) FILTER (`) it is the
// keyword, and no function of that name.
//
// It allocates nothing; what it lends lives as long as the text.
#pragma once

#include <array>
#include <optional>

#include "protocol/sql_scanner.h"

namespace headgate {

struct SqlName {
  Token token;  // a word, which may be a keyword, or a quoted name
  /// What stands in front of its dot: the schema, if that is all; a symbol if it is anything else.
  /// `end`: there is no dot.
  Token schema;
  bool is_call = false;
};

class SqlNames {
 public:
  explicit SqlNames(View sql) : scanner_(sql), ahead_(scanner_.next()) {}

  /// The next name, or nothing at the end of the text.
  std::optional<SqlName> next();

 private:
  SqlName take(const Token& token);
  bool is_call(const SqlName& name) const;

  SqlScanner scanner_;
  Token ahead_;
  Token last_;
  // Of the name at hand, with all its parts:
  Token in_front_;
  Token path_;  // what a dot behind this makes the schema
};

/// A name as the catalog has it: without its quotes, and in lower case if it had none.
class CatalogName {
 public:
  explicit CatalogName(const Token& token);

  /// Empty where it cannot be told here: U&"...", quotes in quotes, longer than PostgreSQL's names.
  View text() const { return {letters_.data(), size_}; }

 private:
  std::array<char, 63> letters_;  // PostgreSQL: NAMEDATALEN
  size_t size_ = 0;
};

}  // namespace headgate
