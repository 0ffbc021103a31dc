#include "protocol/codec.h"

namespace headgate {

namespace {

constexpr int32_t null_length = -1;

}  // namespace

void read_field(Reader& reader, Value& field) {
  int32_t length;
  reader.get(length);
  if (length == null_length) {
    field.reset();
  } else if (length < 0) {
    reader.spoil();
  } else {
    field = reader.take(static_cast<size_t>(length));
  }
}

void read_field(Reader& reader, ClosedList& field) {
  while (true) {
    View name;
    reader.get(name);
    if (name.empty()) return;
    field.names.push_back(name);
  }
}

void read_field(Reader& reader, CountedList& field) {
  int32_t count;
  reader.get(count);
  if (count < 0) reader.spoil();
  for (; count > 0 && !reader.spoiled(); --count) reader.get(field.names.emplace_back());
}

void write_field(Writer& writer, const Value& field) {
  if (!field) {
    writer.put(null_length);
    return;
  }
  MUST(field->size() <= INT32_MAX);
  writer.put(static_cast<int32_t>(field->size())).raw(*field);
}

void write_field(Writer& writer, const ClosedList& field) {
  for (const View name : field.names) {
    MUST(!name.empty());
    writer.put(name);
  }
  writer.put(View());
}

void write_field(Writer& writer, const CountedList& field) {
  writer.put(static_cast<int32_t>(field.names.size()));
  for (const View name : field.names) writer.put(name);
}

}  // namespace headgate
