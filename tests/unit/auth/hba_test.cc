#include "auth/hba.h"

#include <doctest/doctest.h>

#include <map>

using namespace headgate;

namespace {

using Files = std::map<std::string, std::string>;

struct Parsed {
  HbaRules rules;
  std::vector<LineProblem> problems, doubts;
};

Parsed parse(View text, Files files = {}, View ident = "people os bob\n") {
  Parsed parsed;
  std::vector<LineProblem> ident_problems;
  const IdentMaps maps = IdentMaps::parse(ident, "/etc/ident", ident_problems);
  REQUIRE(ident_problems.empty());
  const auto read = [&](const std::string& path) -> Result<std::string> {
    if (files.contains(path)) return files[path];
    return Error(ErrorCode::io, "No such file or directory");
  };
  parsed.rules = HbaRules::parse(text, "/etc/hba", maps, read, parsed.problems, parsed.doubts);
  return parsed;
}

HbaLogin from(const char* address, View database = "shop", View user = "bob", bool tls = false) {
  HbaLogin login;
  login.address = IpNumber::of_peer(address);
  REQUIRE(login.address);
  login.has_tls = tls;
  login.database = database;
  login.user = user;
  return login;
}

HbaLogin local(View database = "shop", View user = "bob") {
  HbaLogin login;
  login.is_local = true;
  login.database = database;
  login.user = user;
  return login;
}

bool lets(View line, const HbaLogin& login, const Files& files = {}) {
  const Parsed parsed = parse(line, files);
  REQUIRE(parsed.problems.empty());
  return parsed.rules.find(login) != nullptr;
}

std::string problem(View line, const Files& files = {}) {
  const Parsed parsed = parse(line, files);
  CHECK(parsed.rules.all().empty());
  return parsed.problems.empty() ? "none" : parsed.problems[0].what;
}

}  // namespace

TEST_CASE("hba: the kind of connection") {
  const HbaLogin plain = from("10.0.0.1"), encrypted = from("10.0.0.1", "shop", "bob", true);
  CHECK(lets("host all all all trust", plain));
  CHECK(lets("host all all all trust", encrypted));
  CHECK_FALSE(lets("host all all all trust", local()));
  CHECK(lets("hostssl all all all trust", encrypted));
  CHECK_FALSE(lets("hostssl all all all trust", plain));
  CHECK(lets("hostnossl all all all trust", plain));
  CHECK_FALSE(lets("hostnossl all all all trust", encrypted));
  CHECK(lets("local all all trust", local()));
  CHECK_FALSE(lets("local all all trust", plain));
}

TEST_CASE("hba: databases and users, by name and keyword") {
  const HbaLogin bob = from("10.0.0.1"), own = from("10.0.0.1", "bob", "bob");
  CHECK(lets("host shop bob all trust", bob));
  CHECK(lets("host other,shop , more carl,bob all trust", bob));
  CHECK_FALSE(lets("host shop carl all trust", bob));
  CHECK_FALSE(lets("host sho bob all trust", bob));
  CHECK(lets("host sameuser all all trust", own));
  CHECK_FALSE(lets("host sameuser all all trust", bob));
  CHECK(lets("host all sameuser all trust", own));
  CHECK_FALSE(lets("host all sameuser all trust", bob));
  // In quotes a keyword is a name, and a name may have anything in it.
  CHECK_FALSE(lets("host \"all\" all all trust", bob));
  CHECK(lets("host \"all\" all all trust", from("::1", "all")));
  CHECK(lets("host \"my \"\"odd\"\", #1\" all all trust", from("::1", "my \"odd\", #1")));
}

TEST_CASE("hba: physical replication fits the keyword alone, logical its database") {
  HbaLogin physical = from("10.0.0.1", "replication");
  physical.replication = Replication::physical;
  HbaLogin logical = from("10.0.0.1");
  logical.replication = Replication::logical;
  CHECK(lets("host replication all all trust", physical));
  CHECK(lets("host shop,replication all all trust", physical));
  CHECK_FALSE(lets("host all all all trust", physical));
  CHECK_FALSE(lets("host \"replication\" all all trust", physical));
  CHECK(lets("host shop all all trust", logical));
  CHECK_FALSE(lets("host replication all all trust", logical));
  CHECK_FALSE(lets("host replication all all trust", from("10.0.0.1", "replication")));
}

TEST_CASE("hba: addresses") {
  CHECK(lets("host all all 10.1.2.3/32 trust", from("10.1.2.3")));
  CHECK_FALSE(lets("host all all 10.1.2.3/32 trust", from("10.1.2.4")));
  CHECK(lets("host all all 10.0.0.0/8 trust", from("10.255.0.1")));
  CHECK_FALSE(lets("host all all 10.0.0.0/8 trust", from("11.0.0.1")));
  CHECK(lets("host all all 10.0.0.0 255.0.0.0 trust", from("10.255.0.1")));
  CHECK(lets("host all all 10.0.0.8/29 trust", from("10.0.0.15")));
  CHECK_FALSE(lets("host all all 10.0.0.8/29 trust", from("10.0.0.16")));
  CHECK(lets("host all all 0.0.0.0/0 trust", from("192.0.2.1")));
  CHECK_FALSE(lets("host all all 0.0.0.0/0 trust", from("::1")));
  CHECK_FALSE(lets("host all all ::/0 trust", from("10.0.0.1")));
  CHECK(lets("host all all 2001:db8::/33 trust", from("2001:db8:7fff::1")));
  CHECK_FALSE(lets("host all all 2001:db8::/33 trust", from("2001:db8:8000::1")));
  CHECK(lets("host all all ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff trust", from("::1")));
  CHECK(lets("host all all all trust", from("::1")));
  CHECK(lets("host all all fe80::/10 trust", from("fe80::1%eth0")));
  CHECK_FALSE(lets("host all all fd00::/8 trust", from("fe80::1%eth0")));
}

TEST_CASE("hba: bits outside of the mask are told of, and the rule fits nobody") {
  const Parsed parsed = parse("host all all 10.0.0.1/8 trust\n");
  CHECK(parsed.problems.empty());
  REQUIRE(parsed.doubts.size() == 1);
  CHECK(parsed.doubts[0].line == 1);
  CHECK(parsed.rules.find(from("10.0.0.1")) == nullptr);
}

TEST_CASE("hba: the first rule that fits decides") {
  const Parsed parsed = parse(
      "host shop bob 10.0.0.0/8 reject\n"
      "host all all all md5 # the rest\n"
      "local all all peer map=people\n");
  CHECK(parsed.rules.find(from("10.0.0.1"))->method == AuthMethod::reject);
  CHECK(parsed.rules.find(from("11.0.0.1"))->method == AuthMethod::md5);
  CHECK(parsed.rules.find(local())->method == AuthMethod::peer);
  CHECK(parsed.rules.find(local())->map == "people");
}

TEST_CASE("hba: methods") {
  const std::pair<const char*, AuthMethod> methods[] = {
      {"trust", AuthMethod::trust},
      {"reject", AuthMethod::reject},
      {"md5", AuthMethod::md5},
      {"password", AuthMethod::plain},
      {"cert", AuthMethod::cert},
      {"scram-sha-256", AuthMethod::scram_sha_256},
      {"peer", AuthMethod::peer},
      {"cert map=people", AuthMethod::cert},
      {"ldap ldapserver=h", AuthMethod::ldap}};
  for (const auto& [text, method] : methods) {
    const Parsed parsed = parse("host all all all " + std::string(text));
    REQUIRE(parsed.rules.all().size() == 1);
    CHECK(parsed.rules.all()[0].method == method);
  }
  const Parsed ldap = parse("host all all all ldap ldapserver=\"a b\" ldapprefix=\"cn=\" # why");
  CHECK(ldap.rules.all()[0].ldap.servers == "a b");
  CHECK(ldap.rules.all()[0].ldap.prefix == "cn=");
}

TEST_CASE("hba: names from files, relative to the file that names them") {
  const Files files = {{"/etc/names", "bob # he\n\n\"carl\", @more/names\n"},
                       {"/etc/more/names", "@last dora"},
                       {"/etc/more/last", "emil"}};
  for (const View user : {"bob", "carl", "dora", "emil"}) {
    CHECK(lets("host all @names all trust", from("::1", "shop", user), files));
    CHECK(lets("host all @/etc/names all trust", from("::1", "shop", user), files));
  }
  CHECK_FALSE(lets("host all @names all trust", from("::1", "shop", "fritz"), files));
  CHECK(problem("host all @missing all trust") ==
        "cannot read \"/etc/missing\": No such file or directory");
  CHECK(problem("host all @loop all trust", {{"/etc/loop", "@loop"}})
            .starts_with("files include each other too deep"));
  std::string many;
  for (size_t i = 0; i <= HbaRules::max_names; ++i) many += "a ";
  CHECK(problem("host all @many all trust", {{"/etc/many", many}}) == "too many names");
}

TEST_CASE("hba: what is wrong with a line is said with the word and what was expected") {
  const std::string kinds = "expected local, host, hostssl or hostnossl, found ";
  const std::string address = "expected an address: all, or a number with /bits or a mask, found ";
  const std::string method =
      "expected trust, reject, md5, password, scram-sha-256, peer, cert or ldap as the method, "
      "found ";
  CHECK(problem("hosts all all all trust") == kinds + "\"hosts\"");
  CHECK(problem("\"host\" all all all trust") == kinds + "\"host\"");
  CHECK(problem("host") == "expected a database, found the end of the line");
  CHECK(problem("host a,") == "expected a database, found the end of the line");
  CHECK(problem("host , all all trust") == "expected a database, found \",\"");
  CHECK(problem("host samerole all all trust") ==
        "expected a database (groups are not known here), found \"samerole\"");
  CHECK(problem("host all +staff all trust") ==
        "expected a user (groups are not known here), found \"+staff\"");
  for (const char* bad : {"localhost", "samehost", "samenet", "10.0.0.1/33", "10.0.0.1/", "::1/129",
                          "10.0.0.1/x", "10.0.0/8", ".example.com", "1.2.3.4/-1"}) {
    CHECK(problem("host all all " + std::string(bad) + " trust") == address + "\"" + bad + "\"");
  }
  CHECK(problem("host all all 10.0.0.1 trust") ==
        "expected the mask of the address, found \"trust\"");
  CHECK(problem("host all all 10.0.0.1 ffff:: trust") ==
        "expected the mask of the address, found \"ffff::\"");
  CHECK(problem("host all all all") == method + "the end of the line");
  for (const char* bad : {"pam", "ident", "gss", "sspi", "radius", "bsd", "any", "plain", "hba"}) {
    CHECK(problem("host all all all " + std::string(bad)) == method + "\"" + bad + "\"");
  }
  CHECK(problem("host all all all md5 map=people") ==
        "expected the end of the line, found \"map=people\"");
  CHECK(problem("local all all peer map=nobody") ==
        "expected a map of auth_ident_file, found \"map=nobody\"");
  CHECK(problem("local all all peer people") == "expected map=NAME, found \"people\"");
  CHECK(problem("local all all peer map=people map=people") ==
        "expected the end of the line, found \"map=people\"");
  CHECK(problem("host all all all ldap") == "expected ldapserver, found none");
  CHECK(problem("host \"all all all trust") == "a quote that is not closed");
  CHECK(problem(View("host all all\0 all trust", 22)) == "a zero byte in the line");
}

TEST_CASE("hba: a bad line is left out, with its number, and the rest holds") {
  const Parsed parsed = parse("# one\n\nrubbish\nhost all all all trust\nhost\n");
  REQUIRE(parsed.problems.size() == 2);
  CHECK(parsed.problems[0].line == 3);
  CHECK(parsed.problems[0].file == "/etc/hba");
  CHECK(parsed.problems[1].line == 5);
  REQUIRE(parsed.rules.all().size() == 1);
  CHECK(parsed.rules.all()[0].line == 4);
  CHECK(parse("").rules.find(local()) == nullptr);
}

TEST_CASE("ident: a map lets system names in as users") {
  std::vector<LineProblem> problems;
  const IdentMaps maps = IdentMaps::parse(
      "# map  system  user\nm os1 db1\nm os1 db2\nm \"os 2\" all\nother os1 \"all\"\n"
      "m os1\nm\nm a b c\nm a,b\n",
      "/etc/ident", problems);
  CHECK(maps.allows("m", "os1", "db1"));
  CHECK(maps.allows("m", "os1", "db2"));
  CHECK_FALSE(maps.allows("m", "os1", "db3"));
  CHECK(maps.allows("m", "os 2", "anybody"));
  CHECK_FALSE(maps.allows("m", "OS1", "db1"));
  CHECK(maps.allows("other", "os1", "all"));
  CHECK_FALSE(maps.allows("other", "os1", "db1"));
  CHECK_FALSE(maps.allows("missing", "os1", "db1"));
  CHECK(maps.size() == 2);
  std::string all;
  for (const auto& problem : problems)
    all += std::to_string(problem.line) + ": " + problem.what + "\n";
  CHECK(all ==
        "6: expected a user name, found the end of the line\n"
        "7: expected a system name, found the end of the line\n"
        "8: expected the end of the line, found \"c\"\n"
        "9: expected a user name, found \",\"\n");
}
