// Results that Headgate makes itself, as the admin console does: columns and rows in text format.
//
//   encode_columns(out, std::array{TextColumn{"name"}, TextColumn{"port", SqlType::int4}});
//   TextRow(out, 2).text("main").number(5432);
//   encode(out, backend::CommandComplete{"SHOW"});
#pragma once

#include <span>

#include "protocol/wire.h"

namespace headgate {

/// The types such columns have, by their object ids in pg_type.
enum class SqlType : int32_t {
  boolean = 16,
  bytea = 17,
  int8 = 20,
  int4 = 23,
  text = 25,
  numeric = 1700,
};

struct TextColumn {
  View name;
  SqlType type = SqlType::text;
};

/// Appends a RowDescription.
void encode_columns(Bytes& out, std::span<const TextColumn> columns);

/// Appends one DataRow, complete when the TextRow goes. Exactly `columns` values MUST be added.
class TextRow {
 public:
  TextRow(Bytes& out, size_t columns);
  ~TextRow();

  TextRow& text(View value);
  TextRow& number(int64_t value);
  TextRow& null();

 private:
  Writer writer_;
  size_t missing_;
};

}  // namespace headgate
