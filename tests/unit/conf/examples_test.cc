// Configurations as people have them, and the example file that comes with Headgate.
#include <doctest/doctest.h>

#include "conf/example.h"
#include "conf/setting.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;
using test::project_file;
using test::warnings;

namespace {

/// Loads a file of the examples, next to a user list where the examples expect it.
Config example(const std::string& name) {
  const Files files{{{"/etc/x.ini", project_file("tests/unit/conf/examples/" + name)},
                     {"/etc/pgbouncer/userlist.txt", "\"app\" \"secret\"\n"}}};
  auto config = files.load();
  REQUIRE_MESSAGE(config.ok(), test::refusal(config));
  return std::move(*config);
}

}  // namespace

TEST_CASE("examples: a pooler in front of RDS") {
  const Config config = example("iac-dharma.ini");
  CHECK(warnings(config).empty());
  CHECK(config.settings.pool_mode == PoolMode::transaction);
  CHECK(config.settings.reserve_pool_timeout == Duration(seconds(3)));
  CHECK(config.settings.admin_users == "postgres, admin");
  CHECK(config.settings.tcp_defer_accept == false);
  CHECK(config.settings.tcp_keepintvl == 10);
  CHECK(config.databases.at("iac_dharma").host ==
        "iac-dharma-primary.123456.us-east-1.rds.amazonaws.com");
  CHECK(config.user_list.find("app") != nullptr);
}

TEST_CASE("examples: a primary and a replica") {
  const Config config = example("production-rls.ini");
  CHECK(warnings(config).empty());
  CHECK(config.settings.max_client_conn == 10000);
  CHECK(config.databases.size() == 2);
  CHECK(config.databases.at("production_ro").dbname == "production");
}

TEST_CASE("examples: comments behind values") {
  const Config config = example("sark.ini");
  CHECK(warnings(config).empty());
  CHECK(config.settings.pool_mode == PoolMode::transaction);
  CHECK(config.settings.max_client_conn == 1000);
  CHECK(config.settings.query_timeout == Duration(seconds(30)));
  CHECK(config.databases.at("sark_audit").host == "timescaledb");
}

TEST_CASE("examples: an old name") {
  const Config config = example("session-tier.ini");
  CHECK(warnings(config) ==
        "idle_timeout is an old name of client_idle_timeout in configuration (/etc/x.ini:12)\n");
  CHECK(config.settings.pool_mode == PoolMode::session);
  CHECK(config.settings.client_idle_timeout == Duration(seconds(900)));
  CHECK(config.settings.default_pool_size == 100);
}

TEST_CASE("examples: conf/headgate.ini is what the table says (else write example_ini() to it)") {
  CHECK(project_file("conf/headgate.ini") == example_ini());
}

TEST_CASE("examples: conf/headgate.ini loads, and its defaults are the defaults") {
  const Files files{{{"/etc/x.ini", example_ini()},
                     {"/etc/headgate/userlist.txt", project_file("conf/userlist.txt.example")}}};
  auto config = files.load();
  REQUIRE_MESSAGE(config.ok(), test::refusal(config));
  CHECK(warnings(*config).empty());
  CHECK(config->find_database("shop")->dbname == "shop");

  std::string all = example_ini();
  for (size_t at = all.find("\n;"); at != std::string::npos; at = all.find("\n;", at + 1)) {
    if (all[at + 2] != ' ' && all[at + 2] != '\n') all.erase(at + 1, 1);
  }
  auto uncommented = Files{{{"/etc/x.ini", all}}}.load();
  REQUIRE_MESSAGE(uncommented.ok(), test::refusal(uncommented));
  for (const Setting& setting : all_settings()) {
    CAPTURE(setting.name);
    CHECK(all.find("\n" + std::string(setting.name) + " =") != std::string::npos);
    if (setting.name == "conffile") continue;  // the path of either file
    CHECK(show(uncommented->settings, setting) == show(config->settings, setting));
  }
  CHECK(uncommented->databases.at("reports").password == "it's a secret");
  CHECK(uncommented->users.count("batch") == 1);
}

TEST_CASE("examples: the user list has one secret of each kind") {
  std::vector<std::string> errors;
  const UserList list =
      UserList::parse(project_file("conf/userlist.txt.example"), "example", errors);
  CHECK(errors.empty());
  REQUIRE(list.all().size() == 3);
  CHECK(list.find("app")->kind() == SecretKind::plain);
  CHECK(list.find("reports")->kind() == SecretKind::scram);
  CHECK(list.find("legacy")->kind() == SecretKind::md5);
}
