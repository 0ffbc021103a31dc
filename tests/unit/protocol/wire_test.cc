#include "protocol/wire.h"

#include <doctest/doctest.h>

using namespace headgate;
using namespace std::string_view_literals;

TEST_CASE("wire: a reader reads fields in order, big-endian") {
  Reader reader("\x01\xff\xfe\x80\x00\x12\x34\x80\x00\x00\x01name\0tail"sv);
  char letter;
  uint8_t byte;
  int16_t negative;
  int16_t lowest;
  uint16_t number;
  int32_t large;
  View name;
  reader.get(letter);
  CHECK(letter == '\x01');
  reader.get(byte);
  CHECK(byte == 0xff);
  reader.take(1);
  reader.get(lowest);
  CHECK(lowest == -32768);
  reader.get(number);
  CHECK(number == 0x1234);
  reader.get(large);
  CHECK(large == -2147483647);
  reader.get(name);
  CHECK(name == "name");
  CHECK(reader.rest() == "tail");
  CHECK_FALSE(reader.complete());
  CHECK(reader.take(4) == "tail");
  CHECK(reader.complete());

  Reader another("\xff\xfe"sv);
  another.get(negative);
  CHECK(negative == -2);
}

TEST_CASE("wire: a short read spoils a reader for good") {
  const auto spoils = [](auto field, View body) {
    Reader reader(body);
    reader.get(field);
    View after;
    reader.get(after);
    return reader.spoiled() && reader.rest().empty() && !reader.complete() && after.empty();
  };
  CHECK(spoils(char{}, ""));
  CHECK(spoils(uint8_t{}, ""));
  CHECK(spoils(uint16_t{}, "1"));
  CHECK(spoils(int16_t{}, "1"));
  CHECK(spoils(int32_t{}, "123"));
  CHECK(spoils(View{}, "no zero"));
  CHECK(spoils(View{}, ""));

  Reader reader("12\0"sv);
  CHECK(reader.take(4).empty());
  CHECK(reader.spoiled());
  CHECK(reader.take(0).empty());
  CHECK(reader.spoiled());
}

TEST_CASE("wire: what is spoiled by its reader cannot be complete") {
  Reader reader("");
  CHECK(reader.complete());
  reader.spoil();
  CHECK_FALSE(reader.complete());
}

TEST_CASE("wire: a writer fills in the length, which counts itself but not the tag") {
  Bytes out = "before";
  Writer(out, 'X').put(int16_t{-2}).put(uint16_t{0x1234}).put("ab").put('c').raw("d\0"sv);
  CHECK(out ==
        "beforeX\0\0\0\x0e\xff\xfe\x12\x34"
        "ab\0cd\0"sv);
}

TEST_CASE("wire: a tag of zero writes none") {
  Bytes out;
  Writer(out, 0).put(int32_t{-1}).put(uint8_t{200});
  CHECK(out == "\0\0\0\x09\xff\xff\xff\xff\xc8"sv);
}
