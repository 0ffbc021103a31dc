#include "base/bytes.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace headgate;

TEST_CASE("bytes: integers on the wire are big-endian, wherever they lie") {
  const char bytes[] = "\x01\x02\x03\x04\xff";
  CHECK(load_u16(bytes) == 0x0102);
  CHECK(load_u16(bytes + 1) == 0x0203);
  CHECK(load_u32(bytes) == 0x01020304);
  CHECK(load_u32(bytes + 1) == 0x020304ff);
  char out[6] = {};
  store_u16(out, 0xff01);
  store_u32(out + 2, 0x80000001);
  CHECK(View(out, 6) == View("\xff\x01\x80\x00\x00\x01", 6));
  CHECK(load_u16(out) == 0xff01);
  CHECK(load_u32(out + 2) == 0x80000001);
}

TEST_CASE("bytes: a wiped secret is empty, and gone from its memory") {
  Bytes secret = "a secret too long to lie inside of the string";
  const char* memory = secret.data();
  const size_t size = secret.size();
  REQUIRE(secret.capacity() >= size);
  wipe(secret);
  CHECK(secret.empty());
  REQUIRE(secret.data() == memory);
  CHECK(std::count(memory, memory + size, '\0') == static_cast<std::ptrdiff_t>(size));
}
