#include "admin/console.h"

#include <doctest/doctest.h>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::Answer;

TEST_CASE("console: admin_users may do everything, stats_users may look, others may not log in") {
  Settings settings;
  settings.admin_users = "root, adm ,a b,,";
  settings.stats_users = "\tmonitor,adm";
  CHECK(console_rights(settings, "root") == ConsoleRights::admin);
  CHECK(console_rights(settings, "adm") == ConsoleRights::admin);
  CHECK(console_rights(settings, "a b") == ConsoleRights::admin);
  CHECK(console_rights(settings, "monitor") == ConsoleRights::stats);
  for (const char* user : {"", " ", "roo", "root2", "Root", "root, adm", "a  b", ","}) {
    CAPTURE(user);
    CHECK(console_rights(settings, user) == ConsoleRights::none);
  }
  settings.admin_users = "alice bob\tcarol";  // blanks separate, too, as in PgBouncer
  for (const char* user : {"alice", "bob", "carol"}) {
    CAPTURE(user);
    CHECK(console_rights(settings, user) == ConsoleRights::admin);
  }
}

TEST_CASE("console: with auth_type any everybody may look") {
  Settings settings;
  settings.admin_users = "root";
  settings.auth_type = AuthMethod::any;
  CHECK(console_rights(settings, "root") == ConsoleRights::admin);
  CHECK(console_rights(settings, "anyone") == ConsoleRights::stats);
}

TEST_CASE("console: only what the workers know is asked of them") {
  for (const char* query :
       {"SHOW CLIENTS", "SHOW SERVERS", "SHOW POOLS", "SHOW DATABASES", "SHOW USERS", "SHOW LISTS",
        "SHOW STATS", "SHOW STATS_TOTALS", "SHOW STATS_AVERAGES", "SHOW TOTALS", "SHOW MEM",
        "SHOW STATE", "SHOW SOCKETS", "SHOW ACTIVE_SOCKETS", "SHOW PEER_POOLS", "SHOW DNS_HOSTS",
        "SHOW FDS"}) {
    CAPTURE(query);
    CHECK(wanted_snapshot(parse_console(query, ConsoleRights::admin)->verb));
  }
  for (const char* query :
       {"SHOW CONFIG", "SHOW VERSION", "SHOW HELP", "SHOW datestyle", "RELOAD", "SET a=1",
        "SET timezone=1", "PAUSE", "RESUME", "KILL", "RECONNECT", "ENABLE x", "DISABLE x",
        "SHUTDOWN", "SHOW PEERS", "SHOW DNS_ZONES", "SUSPEND", "WAIT_CLOSE", "KILL_CLIENT 1"}) {
    CAPTURE(query);
    CHECK_FALSE(wanted_snapshot(parse_console(query, ConsoleRights::admin)->verb));
  }
}

TEST_CASE("console: a command that was carried out is confirmed with its tag") {
  struct Row {
    const char* query;
    const char* tag;
  };
  const Row table[] = {
      {"pause", "PAUSE"},
      {"PAUSE shop", "PAUSE"},
      {"resume", "RESUME"},
      {"reload", "RELOAD"},
      {"reconnect shop", "RECONNECT"},
      {"kill shop", "KILL"},
      {"disable shop", "DISABLE"},
      {"enable shop", "ENABLE"},
      {"suspend", "SUSPEND"},
      {"wait_close shop", "WAIT_CLOSE"},
      {"kill_client 7", "KILL_CLIENT"},
      {"shutdown wait_for_clients", "SHUTDOWN"},
      {"set Verbose to 1", "SET Verbose=1"},
      {"set server_check_query = 'select ''x'''", "SET server_check_query=select 'x'"},
      {"set logfile = ''", "SET logfile="},
  };
  for (const Row& row : table) {
    CAPTURE(row.query);
    Bytes out;
    answer_done(out, *parse_console(row.query, ConsoleRights::admin));
    const Answer answer(out);
    CHECK(answer.order == "C");
    CHECK(answer.tag == row.tag);
  }
}

TEST_CASE("console: setting what never changes is ignored with a notice") {
  Bytes out;
  answer_show(out, *parse_console("SET DateStyle = 'German'", ConsoleRights::stats), {}, {});
  const Answer answer(out);
  CHECK(answer.order == "NC");
  CHECK(answer.notice == "SET ignored");
  CHECK(answer.notice_detail.empty());
  CHECK(answer.tag == "SET");
}

TEST_CASE("console: a log-in is greeted with PgBouncer's parameters in its order") {
  Bytes out;
  console_welcome(out);
  std::string parameters;
  for (View rest = out; !rest.empty();) {
    REQUIRE(rest[0] == backend::parameter_status);
    const size_t size = 1 + load_u32(rest.data() + 1);
    const auto status = decode<backend::ParameterStatus>(rest.substr(5, size - 5));
    REQUIRE(status.ok());
    parameters += std::string(status->parameter) + "=" + std::string(status->value) + "\n";
    rest.remove_prefix(size);
  }
  CHECK(parameters ==
        "server_version=1.26.0/bouncer\n"
        "client_encoding=UTF8\n"
        "server_encoding=UTF8\n"
        "DateStyle=ISO\n"
        "TimeZone=GMT\n"
        "standard_conforming_strings=on\n"
        "is_superuser=on\n");
}
