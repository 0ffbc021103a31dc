#include <doctest/doctest.h>

#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;
using test::refusal;
using test::warnings;

namespace {

Files files(const std::string& hba, const std::string& ident = "m os db\n") {
  return {{{"/etc/x.ini",
            "[pgbouncer]\nauth_type = hba\nauth_hba_file = /etc/hba\nauth_ident_file = /etc/map\n"},
           {"/etc/hba", hba},
           {"/etc/map", ident}}};
}

Config loaded(const Files& files, const Config* running = nullptr) {
  auto config = files.load(running);
  REQUIRE(config.ok());
  return std::move(*config);
}

}  // namespace

TEST_CASE("auth files: rules and maps are read") {
  const Config config = loaded(files("local all all peer map=m\n"));
  CHECK(warnings(config).empty());
  CHECK(config.hba.all().size() == 1);
  CHECK(config.ident.allows("m", "os", "db"));
}

TEST_CASE("auth files: a start goes on without the bad lines, a reload changes nothing") {
  const Config good = loaded(files("local all all trust\n"));
  const Files bad = files("local all all trust\nhost all all all gss\n");
  const std::string what =
      "could not parse hba config line 2: expected trust, reject, md5, password, scram-sha-256, "
      "peer, cert or ldap as the method, found \"gss\" (/etc/hba:2)";
  const Config started = loaded(bad);
  CHECK(warnings(started) == what + "\n");
  CHECK(started.hba.all().size() == 1);
  CHECK(refusal(bad.load(&good)) == what + " |  | ");

  const Files bad_map = files("local all all trust\n", "m os\n");
  const std::string what_map =
      "could not parse ident config line 1: expected a user name, found the end of the line "
      "(/etc/map:1)";
  CHECK(warnings(loaded(bad_map)) == what_map + "\n");
  CHECK(refusal(bad_map.load(&good)) == what_map + " |  | ");
}

TEST_CASE("auth files: without its file nobody gets in; at a reload the old rules stay") {
  Files missing = files("local all all trust\n");
  const Config good = loaded(missing);
  missing.texts.erase("/etc/hba");
  const std::string what = "could not open auth_hba_file /etc/hba: No such file or directory";
  const Config started = loaded(missing);
  CHECK(warnings(started) == what + "\n");
  CHECK(started.hba.all().empty());
  CHECK(refusal(missing.load(&good)) == what + " |  | ");
}

TEST_CASE("auth files: a rule that can fit nobody is told of") {
  CHECK(warnings(loaded(files("host all all 10.0.0.1/8 trust\n"))) ==
        "hba config line 1: bits of the address lie outside of its mask: never fits "
        "(/etc/hba:1)\n");
}
