#include "conf/read_consistency.h"

#include <doctest/doctest.h>

using namespace headgate;
using Kind = ReadConsistency::Kind;

TEST_CASE("read consistency: session, eventual, or a bound") {
  struct Row {
    const char* text;
    ReadConsistency meaning;
    const char* shown;
  };
  for (const Row& row : {Row{"session", {Kind::session, {}}, "session"},
                         Row{"EVENTUAL", {Kind::eventual, {}}, "eventual"},
                         Row{"lag:2", {Kind::lag, seconds(2)}, "lag:2"},
                         Row{"Lag:300ms", {Kind::lag, milliseconds(300)}, "lag:0.3"}}) {
    CAPTURE(row.text);
    ReadConsistency consistency{Kind::lag, seconds(9)};
    CHECK_FALSE(parse_read_consistency(row.text, consistency));
    CHECK(consistency == row.meaning);
    CHECK(to_text(consistency) == row.shown);
  }
}

TEST_CASE("read consistency: what is none is refused, and changes nothing") {
  ReadConsistency consistency{Kind::lag, seconds(9)};
  for (const char* text : {"", "on", "lag", "lag:", "lag:x", "lag:-1", "sessions"}) {
    CAPTURE(text);
    const auto expected = parse_read_consistency(text, consistency);
    REQUIRE(expected);
    CHECK(expected->find("lag:TIME") != std::string::npos);
    CHECK(consistency == ReadConsistency{Kind::lag, seconds(9)});
  }
}
