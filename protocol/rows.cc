#include "protocol/rows.h"

#include <charconv>
#include <limits>

#include "protocol/backend.h"

namespace headgate {

namespace {

int16_t size_of(SqlType type) {
  switch (type) {
    case SqlType::boolean:
      return 1;
    case SqlType::int4:
      return 4;
    case SqlType::int8:
      return 8;
    case SqlType::bytea:
    case SqlType::text:
    case SqlType::numeric:
      break;
  }
  return -1;
}

}  // namespace

void encode_columns(Bytes& out, std::span<const TextColumn> columns) {
  backend::RowDescription description;
  for (const TextColumn& column : columns) {
    description.columns.push_back({.name = column.name,
                                   .type = static_cast<int32_t>(column.type),
                                   .type_size = size_of(column.type)});
  }
  encode(out, description);
}

TextRow::TextRow(Bytes& out, size_t columns) : writer_(out, backend::data_row), missing_(columns) {
  MUST(columns <= std::numeric_limits<uint16_t>::max());
  writer_.put(static_cast<uint16_t>(columns));
}

TextRow::~TextRow() { MUST(missing_ == 0); }

TextRow& TextRow::text(View value) {
  MUST(missing_-- > 0);
  write_field(writer_, Value(value));
  return *this;
}

TextRow& TextRow::number(int64_t value) {
  char digits[24];
  const auto end = std::to_chars(std::begin(digits), std::end(digits), value).ptr;
  return text(View(digits, static_cast<size_t>(end - digits)));
}

TextRow& TextRow::null() {
  MUST(missing_-- > 0);
  write_field(writer_, Value());
  return *this;
}

}  // namespace headgate
