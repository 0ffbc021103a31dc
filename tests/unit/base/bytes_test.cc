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

TEST_CASE("bytes: UTF-8 as PostgreSQL wants it") {
  for (const View good :
       {"", "plain", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
        "\xed\x9f\xbf", "\xee\x80\x80", "\xc2\x80", "\xe0\xa0\x80"}) {
    CHECK(is_utf8(good));
  }
  for (const View bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe2\x82", "\xe0\x9f\xbf",
                         "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                         "\xff", "a\xc3z", "\xe2\x28\xa1", "\xf0\x9f\x98"}) {
    CHECK_FALSE(is_utf8(bad));
  }
}
