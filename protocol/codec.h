// How a message is coded: a struct lists its members in wire order in fields(), and that one list
// drives both directions. This file knows the kinds of member there are; protocol/messages.h has
// the messages. Decoded members lend their bytes from the body.
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "protocol/wire.h"

namespace headgate {

/// A string of bytes that may be absent (NULL): int32 length, -1 for none, and the bytes.
using Value = std::optional<View>;

/// All bytes up to the end of the body, at least `least` and at most `most` of them.
template <size_t least, size_t most>
struct Tail {
  View bytes;
};
using Rest = Tail<0, View::npos>;

/// A number that a message always carries, to be told from others of its tag.
template <int32_t number>
struct Constant {};

/// Strings, closed by an empty one.
struct ClosedList {
  std::vector<View> names;
};

/// An int32 count, and that many strings.
struct CountedList {
  std::vector<View> names;
};

/// A message, or a part of one, that is its fields in wire order.
template <class T>
concept Fields = requires(T& m) {
  T::fields(m);
};

template <class T>
concept Scalar = std::integral<T> || std::same_as<T, View>;

template <Scalar T>
void read_field(Reader& reader, T& field) {
  reader.get(field);
}

/// An enumeration is the number, or the letter, under it; it may hold one without a name.
template <class T>
requires std::is_enum_v<T>
void read_field(Reader& reader, T& field) {
  std::underlying_type_t<T> number;
  reader.get(number);
  field = static_cast<T>(number);
}

template <size_t size>
void read_field(Reader& reader, std::array<char, size>& field) {
  const View bytes = reader.take(size);
  if (!reader.spoiled()) bytes.copy(field.data(), size);
}

template <size_t least, size_t most>
void read_field(Reader& reader, Tail<least, most>& field) {
  field.bytes = reader.take(reader.rest().size());
  if (field.bytes.size() < least || field.bytes.size() > most) reader.spoil();
}

template <int32_t number>
void read_field(Reader& reader, Constant<number>&) {
  int32_t found;
  reader.get(found);
  if (found != number) reader.spoil();
}

void read_field(Reader& reader, Value& field);
void read_field(Reader& reader, ClosedList& field);
void read_field(Reader& reader, CountedList& field);

template <Fields T>
void read_field(Reader& reader, T& message) {
  std::apply([&](auto&... field) { (read_field(reader, field), ...); }, T::fields(message));
}

/// A uint16 count, and that many items. Nothing is reserved for what a peer only claims to send.
template <class T>
void read_field(Reader& reader, std::vector<T>& field) {
  uint16_t count;
  reader.get(count);
  for (; count > 0 && !reader.spoiled(); --count) read_field(reader, field.emplace_back());
}

template <Scalar T>
void write_field(Writer& writer, const T& field) {
  writer.put(field);
}

template <class T>
requires std::is_enum_v<T>
void write_field(Writer& writer, const T& field) {
  writer.put(static_cast<std::underlying_type_t<T>>(field));
}

template <size_t size>
void write_field(Writer& writer, const std::array<char, size>& field) {
  writer.raw(View(field.data(), size));
}

template <size_t least, size_t most>
void write_field(Writer& writer, const Tail<least, most>& field) {
  writer.raw(field.bytes);
}

template <int32_t number>
void write_field(Writer& writer, const Constant<number>&) {
  writer.put(number);
}

void write_field(Writer& writer, const Value& field);
void write_field(Writer& writer, const ClosedList& field);
void write_field(Writer& writer, const CountedList& field);

template <Fields T>
void write_field(Writer& writer, const T& message) {
  std::apply([&](const auto&... field) { (write_field(writer, field), ...); }, T::fields(message));
}

template <class T>
void write_field(Writer& writer, const std::vector<T>& field) {
  MUST(field.size() <= UINT16_MAX);
  writer.put(static_cast<uint16_t>(field.size()));
  for (const T& item : field) write_field(writer, item);
}

/// A struct of protocol/messages.h: it has a tag, and a name for error texts.
template <class M>
concept Message = Fields<M> && requires {
  { M::tag } -> std::convertible_to<char>;
  { M::name } -> std::convertible_to<View>;
};

/// Appends the message to `out`, header included.
template <Message M>
void encode(Bytes& out, const M& message) {
  Writer writer(out, M::tag);
  write_field(writer, message);
}

/// Reads a message from its body (what follows the header). What is lent lives as long as the body.
/// Anything missing, left over or out of range is ErrorCode::bad_packet, in PgBouncer's words.
template <Message M>
Result<M> decode(View body) {
  M message{};
  Reader reader(body);
  read_field(reader, message);
  if (!reader.complete()) {
    return Error(ErrorCode::bad_packet, "broken " + std::string(M::name) + " packet");
  }
  return message;
}

}  // namespace headgate
