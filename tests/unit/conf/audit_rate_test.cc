#include "conf/audit_rate.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("audit rate: off, all, and one of so many") {
  AuditRate rate{3};
  struct Row {
    const char* text;
    int every;
  };
  for (const Row& row :
       {Row{"off", 0}, {"OFF", 0}, {"all", 1}, {"All", 1}, {"sample:1", 1}, {"Sample:250", 250}}) {
    CAPTURE(row.text);
    CHECK_FALSE(parse_audit_rate(row.text, rate));
    CHECK(rate.every == row.every);
  }
  CHECK(to_text(AuditRate{0}) == "off");
  CHECK(to_text(AuditRate{1}) == "all");
  CHECK(to_text(AuditRate{250}) == "sample:250");
}

TEST_CASE("audit rate: what is none is refused, and changes nothing") {
  AuditRate rate{7};
  for (const char* text : {"", "on", "1", "sample", "sample:", "sample:0", "sample:-1", "sample:x",
                           "sample:99999999999"}) {
    CAPTURE(text);
    REQUIRE(parse_audit_rate(text, rate));
    CHECK(parse_audit_rate(text, rate)->find("sample:N") != std::string::npos);
    CHECK(rate.every == 7);
  }
}
