// The grammar of one console query, in PgBouncer's dialect:
//
//   command := word [blanks word] end
//   setting := "SET" blanks word [blanks] ("=" | "TO") [blanks] (word | string) end
//   explain := "EXPLAIN" blanks "ROUTE" blanks (string end | anything else, end)
//   end     := [blanks] [";" [blanks]]
//   word    := one or more of 0-9 a-z A-Z _   |   '"' anything, with "" for a quote, '"'
//   string  := "'" anything, with '' for a quote, "'"
//
// Blanks may also lead. There are no comments, and one query is one command. This file knows no
// command by its name (but for SET and EXPLAIN ROUTE, which have grammars of their own).
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace headgate {

struct ConsoleLine {
  std::string word;
  std::string argument;  // empty: none
  std::string value;     // of a setting; the SQL of EXPLAIN ROUTE, as long as a message can be
  bool is_setting = false;
  bool is_explain = false;

  /// Longest word, argument and value, in bytes, without their quotes.
  static constexpr size_t max_word = 15, max_argument = 63, max_value = 255;
  /// Whether all parts are within those lengths, and a setting has a name.
  bool within_limits() const;
};

/// Takes a query apart; nothing if it does not follow the grammar.
std::optional<ConsoleLine> read_console_line(View query);

}  // namespace headgate
