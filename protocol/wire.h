// Reading and writing the fields of messages: big-endian integers, zero-terminated strings, byte
// strings. A Reader never reads past its view: a short read spoils it for good, so that a decoder
// checks once, at its end.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace headgate {

/// A message on the wire is its tag, a length that counts itself but not the tag, and its body.
constexpr size_t header_size = 5;
constexpr size_t length_size = 4;

class Reader {
 public:
  explicit Reader(View body) : rest_(body) {}

  void get(char& field);
  void get(uint8_t& field);
  void get(uint16_t& field);
  void get(int16_t& field);
  void get(int32_t& field);
  /// A zero-terminated string, lent from the body.
  void get(View& field);

  /// The next `count` bytes, lent from the body.
  View take(size_t count);
  View rest() const { return rest_; }

  /// For what is there but cannot be: from here on nothing can be read.
  void spoil() {
    spoiled_ = true;
    rest_ = {};
  }
  bool spoiled() const { return spoiled_; }
  /// Everything was there and nothing is left over.
  bool complete() const { return !spoiled_ && rest_.empty(); }

 private:
  View rest_;
  bool spoiled_ = false;
};

/// Appends one message to `out`: the constructor writes the tag, the destructor fills in the
/// length. A tag of 0 writes none, as in start-up packets.
class Writer {
 public:
  Writer(Bytes& out, char tag);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  Writer& put(char field);
  Writer& put(uint8_t field);
  Writer& put(uint16_t field);
  Writer& put(int16_t field);
  Writer& put(int32_t field);
  /// A string and its terminating zero; the string itself MUST NOT contain one.
  Writer& put(View field);
  /// Bytes as they are, without terminator.
  Writer& raw(View bytes);

 private:
  Bytes& out_;
  size_t length_at_;
};

}  // namespace headgate
