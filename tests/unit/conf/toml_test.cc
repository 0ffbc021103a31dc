#include "conf/toml.h"

#include <doctest/doctest.h>

#include "conf/connstr.h"
#include "conf/convert.h"
#include "conf/entries.h"
#include "conf/example.h"
#include "conf/setting.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;
using test::project_file;
using test::refusal;
using test::warnings;

namespace {

Result<Config> load(const std::string& text) {
  return load_config("/x.toml", Files{{{"/x.toml", text}}}.reader());
}

Config loaded(const std::string& text) {
  auto config = load(text);
  REQUIRE_MESSAGE(config.ok(), refusal(config));
  return std::move(*config);
}

std::string refused(const std::string& text) { return refusal(load(text)); }

}  // namespace

TEST_CASE("toml: settings, databases, users and peers") {
  const Config config = loaded(R"(
[headgate]
pool_mode = "transaction"   # a comment
max_client_conn = 1_000
query_timeout = "250ms"
server_lifetime = 3600
monitor_interval = 0.5
max_packet_size = "256MB"
unix_socket_mode = 0o700
log_stats = false
admin_users = ["joe", "ann"]
server_check_query = "select 1 # one"

[databases.shop]
host = ["a", "b"]
port = 5433
user = "it's me"
password = "a b;#'c"
pool_size = 7
query_wait_timeout = "2min"

[databases]
"*" = "host=fallback # why"
"odd name" = {}

[users.joe]
pool_mode = "session"
query_timeout = "1h"

[peers.1]
host = "other"
port = 6433
)");
  CHECK(warnings(config).empty());
  CHECK(config.settings.pool_mode == PoolMode::transaction);
  CHECK(config.settings.max_client_conn == 1000);
  CHECK(config.settings.query_timeout == Duration(milliseconds(250)));
  CHECK(config.settings.server_lifetime == Duration(seconds(3600)));
  CHECK(config.settings.monitor_interval == Duration(milliseconds(500)));
  CHECK(config.settings.max_packet_size == 256u << 20);
  CHECK(config.settings.unix_socket_mode == 0700);
  CHECK_FALSE(config.settings.log_stats);
  CHECK(config.settings.admin_users == "joe,ann");
  CHECK(config.settings.server_check_query == "select 1 # one");
  const DatabaseEntry& shop = config.databases.at("shop");
  CHECK(shop.host == "a,b");
  CHECK(shop.port == 5433);
  CHECK(shop.user == "it's me");
  CHECK(shop.password == "a b;#'c");
  CHECK(shop.pool_size == 7);
  CHECK(shop.query_wait_timeout == Duration(seconds(120)));
  CHECK(config.databases.contains("odd name"));
  CHECK(config.find_database("any")->host == "fallback");
  CHECK(config.users.at("joe").query_timeout == Duration(seconds(3600)));
  CHECK(config.peers.at(1).port == 6433);
  CHECK(loaded("[pgbouncer]\npool_mode = \"statement\"\n").settings.pool_mode ==
        PoolMode::statement);
}

TEST_CASE("toml: every error names the file and the line") {
  CHECK(refused("[headgate]\npool_mdoe = 1\n") ==
        "unknown parameter: pgbouncer/pool_mdoe | invalid value \"1\" for parameter pool_mdoe in "
        "configuration (/x.toml:2) | did you mean pool_mode?");
  CHECK(
      refused("[headgate]\n\nquery_timeout = \"5m\"\n") ==
      "invalid value \"5m\" for parameter query_timeout in configuration (/x.toml:3) |  | expected "
      "seconds, or a number with a unit (us, ms, s, min, h, d)");
  CHECK(refused("[headgate]\n[databases.a]\nhots = \"x\"\n") ==
        "unrecognized connection parameter: hots | invalid value \"***\" for parameter a in "
        "configuration (/x.toml:2) | did you mean host?");
  CHECK(refused("[headgate]\n[dbs.a]\nhost = \"x\"\n") ==
        "invalid section \"dbs\" in configuration (/x.toml:2) |  | ");
  CHECK(refused("pool_mode = \"session\"\n[headgate]\n") ==
        "value without section: pool_mode in configuration (/x.toml:1) |  | ");
  CHECK(refused("[headgate]\n[pgbouncer]\n") ==
        "[headgate] and [pgbouncer] are the same section in configuration (/x.toml:2) |  | ");
  CHECK(refused("[headgate]\nlogfile = 1979-05-27\n") ==
        "invalid value for parameter logfile in configuration (/x.toml:2) |  | expected a string "
        "without zero bytes, a number, true, false, or an array of them");
  CHECK(
      refused("[headgate]\nlogfile = \"a\\u0000b\"\n").starts_with("invalid value for parameter"));
  CHECK(refused("[headgate]\n[databases.a]\nhost = \"\"\n") ==
        "invalid value for parameter host in configuration (/x.toml:3) |  | expected something; "
        "leave out what is not said");
  CHECK(refused("[headgate]\n[databases]\na = 5\n") ==
        "invalid value for parameter a in configuration (/x.toml:3) |  | expected a table or a "
        "connection string");
  CHECK(refused("[databases.a]\n") == "main section missing from config file |  | ");
}

TEST_CASE("toml: what is no TOML is told with its line and the reason") {
  const std::string text = refused("[headgate]\npool_mode = session\n");
  CHECK(text.starts_with("syntax error in configuration (/x.toml:2), stopping loading |  | "));
  CHECK(text.size() > 70);
  CHECK(refused("[headgate]\na = 1\na = 2\n")
            .starts_with("syntax error in configuration (/x.toml:3)"));
  CHECK(refused("[headgate]\nlogfile = \"\xff\"\n").starts_with("syntax error in configuration"));
  CHECK(refused("[headgate]\na = " + std::string(100'000, '[')).starts_with("syntax error"));
}

TEST_CASE("toml: a key cannot smuggle in another") {
  CHECK(
      refused("[headgate]\n[databases.a]\n\"host=b port\" = \"1\"\n") ==
      "invalid value for parameter host=b port in configuration (/x.toml:3) |  | expected the name "
      "of a key");
}

TEST_CASE("toml: --check finds every error of the file") {
  const Files files{
      {{"/x.toml", "[headgate]\nfoo = 1\nbar = {}\n[databases.a]\nport = 0\n[zoo]\n"}}};
  CHECK(inspect_config("/x.toml", files.reader()).errors.size() == 4);
}

TEST_CASE("toml: texts and names are written so that they are read as they were") {
  CHECK(toml_text("a\"b\\c\n\x7f") == R"("a\"b\\c\u000A\u007F")");
  CHECK(toml_key("a-b_1") == "a-b_1");
  CHECK(toml_key("*") == "\"*\"");
  CHECK(toml_key("") == "\"\"");
  CHECK_FALSE(toml_problem("a = " + toml_text("\x01\t\"'\\ \xc3\xa4")));
  CHECK(toml_problem("a = \"\xff\""));
}

namespace {

/// Everything that a line of a file says, in a form that can be compared.
std::string canonical(const std::string& text) {
  std::vector<std::string> ignored;
  std::map<std::string, std::string> last;
  const auto pairs = parse_connection_string(text, ignored);
  REQUIRE_MESSAGE(pairs.ok(), text);
  for (const KeyValue& pair : *pairs) last[pair.key] = pair.value;
  std::string out;
  for (const auto& [key, value] : last) out += key + "=" + value + "\n";
  return out;
}

void check_converted(const std::string& ini) {
  const Files files{{{"/etc/x.ini", ini},
                     {"/etc/more.ini", "max_client_conn = 4321\n"},
                     {"/etc/headgate/userlist.txt", ""}}};
  auto before = files.load();
  REQUIRE_MESSAGE(before.ok(), refusal(before));
  const Conversion made = convert_to_toml("/etc/x.ini", files.reader());
  const std::string wrong = made.errors.empty() ? "" : made.errors.front().message;
  REQUIRE_MESSAGE(made.errors.empty(), wrong);
  CAPTURE(made.toml);
  const Config after = loaded(made.toml);
  for (const Setting& setting : all_settings()) {
    if (setting.name == "conffile") continue;  // the path of either file
    CAPTURE(setting.name);
    CHECK(show(before->settings, setting) == show(after.settings, setting));
  }
  CHECK(before->databases.size() == after.databases.size());
  for (const auto& [name, entry] : before->databases) {
    CHECK(canonical(entry.text) == canonical(after.databases.at(name).text));
  }
  CHECK(before->fallback.has_value() == after.fallback.has_value());
  if (before->fallback) CHECK(canonical(*before->fallback) == canonical(*after.fallback));
  CHECK(before->users.size() == after.users.size());
  for (const auto& [name, entry] : before->users) {
    const UserEntry& other = after.users.at(name);
    CHECK(entry.pool_mode == other.pool_mode);
    CHECK(entry.query_timeout == other.query_timeout);
    CHECK(entry.max_user_connections == other.max_user_connections);
  }
  CHECK(before->peers.size() == after.peers.size());
}

}  // namespace

TEST_CASE("convert: each example loads to the same from its TOML") {
  for (const std::string name :
       {"iac-dharma.ini", "production-rls.ini", "sark.ini", "session-tier.ini"}) {
    CAPTURE(name);
    check_converted(project_file("tests/unit/conf/examples/" + name));
  }
  check_converted(example_ini());
}

TEST_CASE("convert: odd values, doubled keys and included files come along") {
  check_converted(
      "[databases]\na = host=x host=y password='it''s; #a \"b\\' port=05433\na = host=z user=007 "
      "password=0123 pool_size=20, server_lifetime=1d # why\n'odd \"name' = dbname=q\n* = port=1 ; "
      "x\n"
      "[users]\nu = pool_mode=session query_timeout=1.5 max_user_connections=3\n[peers]\n7 = "
      "host=h\n"
      "[pgbouncer]\nquery_timeout = 0.25\nidle_timeout = 90\nunix_socket_mode = 0700\n"
      "server_check_query = select 'a\\b' # \"x\"\nlogfile = /tmp/x # why\nmonitor_interval = 1us\n"
      "server_reset_query =\nverbose = 2\njob_name = j\nservice_name = s\nauth_user = u\n"
      "%include /etc/more.ini\n");
}

TEST_CASE("convert: every setting comes along") {
  for (const Setting& setting : all_settings()) {
    CAPTURE(setting.name);
    std::string value = show(default_settings(), setting).value_or("x");
    if (value == "0") value = "1";
    if (setting.name == "auth_ldap_options") value = "ldapserver=\"h\"";
    if (setting.name == "verbose") value = "1";
    check_converted("[pgbouncer]\n" + std::string(setting.name) + " = " + value + "\n");
  }
}

TEST_CASE("convert: what is wrong with the file is told, and nothing converted") {
  const Files files{{{"/etc/x.ini", "[pgbouncer]\na = 1\nb = 2\n"},
                     {"/etc/latin.ini", "[pgbouncer]\nlogfile = /\xe4\n"},
                     {"/etc/star.ini", "[databases]\n* = host\n[pgbouncer]\n"},
                     {"/etc/typo.ini", "[databases]\n* = hots=x\n[pgbouncer]\n"}}};
  CHECK(convert_to_toml("/etc/x.ini", files.reader()).errors.size() == 2);
  CHECK(convert_to_toml("/x.toml", files.reader()).errors.front().message ==
        "/x.toml is TOML already");
  const Conversion latin = convert_to_toml("/etc/latin.ini", files.reader());
  REQUIRE(latin.errors.size() == 1);
  CHECK(
      latin.errors.front().message.starts_with("/etc/latin.ini cannot be written as TOML: line 2"));
  for (const std::string name : {"/etc/star.ini", "/etc/typo.ini"}) {
    const Conversion star = convert_to_toml(name, files.reader());
    REQUIRE(star.errors.size() == 1);
    CHECK(star.errors.front().message == "the connection string of * cannot be converted");
  }
}
