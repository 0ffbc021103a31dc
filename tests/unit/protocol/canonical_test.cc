#include "protocol/canonical.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("canonical: an encoding by any of its names") {
  for (const View name : {"UTF8", "utf8", "utf-8", "Utf_8", " U.T.F-8 ", "unicode", "Unicode"}) {
    CHECK(canonical_encoding(name) == "UTF8");
  }
  CHECK(canonical_encoding("UNICODE") == "UNICODE");  // old JDBC drivers want it back
  CHECK(canonical_encoding("iso-8859-1") == "LATIN1");
  CHECK(canonical_encoding("windows-1252") == "WIN1252");
  CHECK(canonical_encoding("iso_8859_5") == "ISO_8859_5");
  CHECK(canonical_encoding("abc") == "WIN1258");
  CHECK(canonical_encoding("windows950") == "BIG5");
  for (const View name : {"", "-", "utf", "utf16", "latin", "zzz"}) {
    CHECK(canonical_encoding(name).empty());
  }
}

TEST_CASE("canonical: switches are on or off") {
  for (const View word : {"on", "ON", "t", "tru", "True", "y", "yes", "1"}) {
    CHECK(canonical_switch(word) == "on");
  }
  for (const View word : {"of", "off", "f", "FALSE", "n", "no", "0"}) {
    CHECK(canonical_switch(word) == "off");
  }
  for (const View word : {"", "o", "onn", "truee", "2", "perhaps"}) {
    CHECK(canonical_switch(word).empty());
  }
}
