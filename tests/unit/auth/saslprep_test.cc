#include "auth/saslprep.h"

#include <doctest/doctest.h>

#include "tests/unit/auth/rig.h"

using namespace headgate;
using namespace headgate::auth_tests;

TEST_CASE("saslprep: ASCII is taken as it is") {
  for (const View text : {"", "correct horse", "a\tb\x01\x7f"}) CHECK(saslprep(text) == text);
}

TEST_CASE("saslprep: what looks the same becomes the same") {
  CHECK(saslprep("u\xcc\x88") == "\xc3\xbc");  // u and two dots: u with two dots
  CHECK(saslprep("a\xc2\xa0"
                 "b") == "a b");            // a blank that does not break
  CHECK(saslprep("\xe2\x85\xa8") == "IX");  // the Roman number
  CHECK(saslprep("I\xc2\xadX") == "IX");    // a soft hyphen is nothing
  CHECK(saslprep("\xc2\xaa") == "a");
  CHECK(saslprep("\xc3\xbc"
                 "ber") ==
        "\xc3\xbc"
        "ber");
}

TEST_CASE("saslprep: what cannot be normalised is taken as it is") {
  const Bytes kept[] = {
      "\xff\xfe",               // no UTF-8
      "\xc3",                   // cut off
      "a\xc2\x85",              // a control character
      "\xd8\xa7\x31",           // right to left, and no such letter at its end
      "\xee\x80\x80",           // private use
      "\xc2\xad",               // nothing would be left
      "\xf0\x9f\xa6\x84",       // newer than the rules
      Bytes("\xc3\xbc\0x", 4),  // a zero
      Bytes(longest_prepared_password + 1, '\xcc'),
  };
  for (const Bytes& text : kept) CHECK(saslprep(text) == text);
  Bytes marks = "u";
  while (marks.size() + 2 <= longest_prepared_password) marks += "\xcc\x88";
  CHECK(saslprep(marks).size() < marks.size());  // the longest, and it takes no time
}

TEST_CASE("saslprep: both roles of SCRAM normalise the password") {
  KeyCache cache;
  const View composed = "caf\xc3\xa9", decomposed = "cafe\xcc\x81";
  for (const auto& [stored, typed] : {std::pair(composed, decomposed), {decomposed, composed}}) {
    const auto method = AuthMethod::scram_sha_256;
    CHECK(talk(client(method, as_plain(stored)), server(as_plain(typed)), cache).good());
  }
  CHECK(talk(client(AuthMethod::scram_sha_256, as_scram(composed)), server(as_plain(decomposed)),
             cache)
            .good());
  // And so does a password in clear that is checked against a SCRAM secret.
  CHECK(talk(client(AuthMethod::plain, as_scram(composed)), server(as_plain(decomposed)), cache)
            .good());
}
