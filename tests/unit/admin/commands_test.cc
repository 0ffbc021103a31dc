#include "admin/commands.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "admin/console_line.h"

using namespace headgate;

namespace {

Error error_of(View query, ConsoleRights rights = ConsoleRights::admin) {
  const auto command = parse_console(query, rights);
  REQUIRE_FALSE(command.ok());
  return command.error();
}

std::string invalid(const std::string& query) {
  return "invalid command '" + query + "', use SHOW HELP;";
}

ConsoleVerb verb_of(View query) {
  const auto command = parse_console(query, ConsoleRights::admin);
  REQUIRE(command.ok());
  return command->verb;
}

// Every command as an operator types it, and who may use it.
struct Typed {
  const char* query;
  ConsoleVerb verb;
  ConsoleRights rights;
};
constexpr ConsoleRights stats = ConsoleRights::stats;
constexpr ConsoleRights admin = ConsoleRights::admin;
constexpr Typed all_commands[] = {
    {"SHOW CLIENTS", ConsoleVerb::show_clients, stats},
    {"SHOW SERVERS", ConsoleVerb::show_servers, stats},
    {"SHOW POOLS", ConsoleVerb::show_pools, stats},
    {"SHOW DATABASES", ConsoleVerb::show_databases, stats},
    {"SHOW USERS", ConsoleVerb::show_users, stats},
    {"SHOW PEERS", ConsoleVerb::show_peers, stats},
    {"SHOW PEER_POOLS", ConsoleVerb::show_peer_pools, stats},
    {"SHOW FDS", ConsoleVerb::show_fds, admin},
    {"SHOW SOCKETS", ConsoleVerb::show_sockets, stats},
    {"SHOW ACTIVE_SOCKETS", ConsoleVerb::show_active_sockets, stats},
    {"SHOW DNS_HOSTS", ConsoleVerb::show_dns_hosts, stats},
    {"SHOW DNS_ZONES", ConsoleVerb::show_dns_zones, stats},
    {"SHOW AUDIT", ConsoleVerb::show_audit, stats},
    {"SHOW HOSTS", ConsoleVerb::show_hosts, stats},
    {"SHOW ROUTES", ConsoleVerb::show_routes, stats},
    {"SHOW WAITS", ConsoleVerb::show_waits, stats},
    {"SHOW HOLDERS", ConsoleVerb::show_holders, stats},
    {"SHOW LISTS", ConsoleVerb::show_lists, stats},
    {"SHOW STATS", ConsoleVerb::show_stats, stats},
    {"SHOW STATS_TOTALS", ConsoleVerb::show_stats_totals, stats},
    {"SHOW STATS_AVERAGES", ConsoleVerb::show_stats_averages, stats},
    {"SHOW TOTALS", ConsoleVerb::show_totals, stats},
    {"SHOW CONFIG", ConsoleVerb::show_config, stats},
    {"SHOW MEM", ConsoleVerb::show_mem, stats},
    {"SHOW STATE", ConsoleVerb::show_state, stats},
    {"SHOW VERSION", ConsoleVerb::show_version, stats},
    {"SHOW HELP", ConsoleVerb::show_help, stats},
    {"SHOW timezone", ConsoleVerb::show_parameter, stats},
    {"EXPLAIN ROUTE SELECT 1", ConsoleVerb::explain_route, stats},
    {"SET timezone = 'x'", ConsoleVerb::set_ignored, stats},
    {"SET verbose = 1", ConsoleVerb::set, admin},
    {"RELOAD", ConsoleVerb::reload, admin},
    {"PAUSE", ConsoleVerb::pause, admin},
    {"RESUME", ConsoleVerb::resume, admin},
    {"RECONNECT", ConsoleVerb::reconnect, admin},
    {"SUSPEND", ConsoleVerb::suspend, admin},
    {"WAIT_CLOSE", ConsoleVerb::wait_close, admin},
    {"WAIT_CLOSE shop", ConsoleVerb::wait_close, admin},
    {"KILL_CLIENT", ConsoleVerb::kill_client, admin},
    {"KILL_CLIENT 17", ConsoleVerb::kill_client, admin},
    {"PAUSE shop", ConsoleVerb::pause, admin},
    {"RESUME shop", ConsoleVerb::resume, admin},
    {"RECONNECT shop", ConsoleVerb::reconnect, admin},
    {"KILL shop", ConsoleVerb::kill, admin},
    {"KILL", ConsoleVerb::kill, admin},
    {"DISABLE shop", ConsoleVerb::disable, admin},
    {"ENABLE shop", ConsoleVerb::enable, admin},
    {"SHUTDOWN", ConsoleVerb::shutdown, admin},
    {"SHUTDOWN WAIT_FOR_SERVERS", ConsoleVerb::shutdown, admin},
    {"SHUTDOWN WAIT_FOR_CLIENTS", ConsoleVerb::shutdown, admin},
};

constexpr const char* not_commands[] = {
    "",
    " ",
    ";",
    "-- nothing",
    "/* nothing */ show pools",
    "show pools -- all of them",
    "show pools /* all */",
    "show pools; show pools",
    "show pools;;",
    "showpools",
    "show\"pools\"",
    "show pools all",
    "show",
    "show nothing",
    "show \"pools",
    "show 'pools'",
    "show pools\v",
    "show\fpools",
    "show pools.all",
    "show pööls",
    "abort",
    "begin",
    "select 1",
    "select pg_is_in_recovery()",
    "reload now",
    "shutdown now",
    "shutdown immediate",
    "pause a b",
    "pause a-b",
    "pause 'a'",
    "set",
    "set verbose",
    "set verbose 1",
    "set verboseto1",
    "set = 1",
    "set verbose = ",
    "set verbose = 1.5",
    "set verbose = 1 2",
    "set verbose = '1",
    "set verbose = '1' '2'",
    "set verbose := 1",
    "set a.b = 1",
    "suspend now",
    "suspend shop",
    "show fds all",
    "explain",
    "explain select 1",
    "explain routes select 1",
    "explain route(select 1)",
    "explain route 'select 1",
    "explain route 'select 1' 'select 2'",
    "explain route 'select 1';;",
};

}  // namespace

TEST_CASE("console: every command is there for those who have the rights, and for nobody else") {
  for (const Typed& typed : all_commands) {
    CAPTURE(typed.query);
    for (const auto rights : {ConsoleRights::none, stats, admin}) {
      const auto command = parse_console(typed.query, rights);
      CHECK(command.ok() == (rights >= typed.rights));
      if (command.ok()) {
        CHECK(command->verb == typed.verb);
      } else {
        CHECK(command.error().message == "admin access needed");
        CHECK(command.error().code == ErrorCode::admin_access);
      }
    }
  }
}

TEST_CASE("console: the table above names every verb") {
  std::set<ConsoleVerb> typed;
  for (const Typed& each : all_commands) typed.insert(each.verb);
  CHECK(typed.size() == static_cast<size_t>(ConsoleVerb::shutdown) + 1);
  for (const CommandRow& row : console_commands()) CHECK(typed.contains(row.verb));
}

TEST_CASE("console: HELP names every command, and every command in HELP is one") {
  const std::string help(console_help());
  for (const CommandRow& row : console_commands()) {
    CAPTURE(row.word);
    CAPTURE(row.second);
    CHECK(help.find(row.word) != std::string::npos);
    CHECK(help.find(row.second) != std::string::npos);
  }
  std::set<std::string> helped;
  for (size_t at = help.find('\t'); at != std::string::npos; at = help.find('\t', at + 1)) {
    const std::string line = help.substr(at + 1, help.find('\n', at) - at - 1);
    const std::string word = line.substr(0, line.find(' '));
    std::string rest = line.size() > word.size() ? line.substr(word.size() + 1) : "";
    if (rest.starts_with("key")) rest = "";
    rest = rest.substr(0, std::min(rest.find('<'), rest.find("[<")));
    if (rest.ends_with(' ')) rest.pop_back();
    do {
      helped.insert(word + " " + rest.substr(0, rest.find('|')));
      rest.erase(0, rest.find('|') == std::string::npos ? rest.size() : rest.find('|') + 1);
    } while (!rest.empty());
  }
  std::set<std::string> known = {"SET "};
  for (const CommandRow& row : console_commands()) {
    known.insert(std::string(row.word) + " " + std::string(row.second));
  }
  CHECK(helped == known);
}

TEST_CASE("console: what is well formed is understood") {
  struct Good {
    const char* query;
    ConsoleVerb verb;
    const char* argument = "";
    const char* value = "";
  };
  const Good table[] = {
      {"show pools", ConsoleVerb::show_pools},
      {"ShOw PoOlS;", ConsoleVerb::show_pools},
      {"  \t\r\n show \n pools \t ; \n", ConsoleVerb::show_pools},
      {"\"show\" \"POOLS\"", ConsoleVerb::show_pools},
      {"SELECT pools", ConsoleVerb::show_pools},
      {"select version;", ConsoleVerb::show_version},
      {"SHOW DateStyle", ConsoleVerb::show_parameter, "datestyle"},
      {"select CLIENT_ENCODING", ConsoleVerb::show_parameter, "client_encoding"},
      {"SHOW default_transaction_isolation", ConsoleVerb::show_parameter,
       "default_transaction_isolation"},
      {"SHOW standard_conforming_strings", ConsoleVerb::show_parameter,
       "standard_conforming_strings"},
      {"pause", ConsoleVerb::pause},
      {"pause \"\"", ConsoleVerb::pause},
      {"pause Shop_1", ConsoleVerb::pause, "Shop_1"},
      {"pause \"a-b c;'\"", ConsoleVerb::pause, "a-b c;'"},
      {"pause \"a\"\"b\"", ConsoleVerb::pause, "a\"b"},
      {"pause \"\"\"\"\"\"", ConsoleVerb::pause, "\"\""},
      {"resume pgbouncer", ConsoleVerb::resume, "pgbouncer"},
      {"kill 42", ConsoleVerb::kill, "42"},
      {"disable Pgbouncer", ConsoleVerb::disable, "Pgbouncer"},
      {"shutdown \"\"", ConsoleVerb::shutdown},
      {"reload;", ConsoleVerb::reload},
      {"set verbose=1", ConsoleVerb::set, "verbose", "1"},
      {"SET Verbose = '1' ;", ConsoleVerb::set, "Verbose", "1"},
      {"set verbose to 1", ConsoleVerb::set, "verbose", "1"},
      {"set verbose TO1", ConsoleVerb::set, "verbose", "1"},
      {"set \"verbose\"to'1'", ConsoleVerb::set, "verbose", "1"},
      {"set server_check_query = 'select ''x'' -- \"'", ConsoleVerb::set, "server_check_query",
       "select 'x' -- \""},
      {"set logfile = ''", ConsoleVerb::set, "logfile", ""},
      {"set logfile = \"a\"\"b\"", ConsoleVerb::set, "logfile", "a\"b"},
      {"SET DateStyle TO ISO", ConsoleVerb::set_ignored, "DateStyle", "ISO"},
      {"set client_encoding to 'UTF8'", ConsoleVerb::set_ignored, "client_encoding", "UTF8"},
      {"set default_transaction_isolation = x", ConsoleVerb::set_ignored,
       "default_transaction_isolation", "x"},
      {"set standard_conforming_strings = on", ConsoleVerb::set_ignored,
       "standard_conforming_strings", "on"},
      {"set timezone = 'Europe/Berlin'", ConsoleVerb::set_ignored, "timezone", "Europe/Berlin"},
      {"explain route select 'a'';', \"b\" ; ", ConsoleVerb::explain_route, "",
       "select 'a'';', \"b\""},
      {"EXPLAIN \"Route\"\n (SELECT 1); SELECT 2;;", ConsoleVerb::explain_route, "",
       "(SELECT 1); SELECT 2;"},
      {"Explain Route 'select ''a''; select 2;' ;", ConsoleVerb::explain_route, "",
       "select 'a'; select 2;"},
  };
  for (const Good& good : table) {
    CAPTURE(good.query);
    const auto command = parse_console(good.query, admin);
    REQUIRE(command.ok());
    CHECK(command->verb == good.verb);
    CHECK(command->argument == good.argument);
    CHECK(command->value == good.value);
  }
}

TEST_CASE("console: what is not a command is quoted back with the way to help") {
  for (const char* query : not_commands) {
    CAPTURE(query);
    const Error error = error_of(query);
    CHECK(error.message == invalid(query));
    CHECK(error.code == ErrorCode::admin_command);
    CHECK(error.sqlstate() == "08P01");
    CHECK(error.severity() == Severity::error);
  }
}

TEST_CASE("console: a command with a stray argument is invalid whoever sends it") {
  CHECK(error_of("RELOAD x", stats).message == invalid("RELOAD x"));
  CHECK(error_of("SHUTDOWN x", stats).message == invalid("SHUTDOWN x"));
  CHECK(error_of("DISABLE", stats).message == "admin access needed");
}

TEST_CASE("console: a zero byte is in no command and comes back in no answer") {
  using namespace std::string_view_literals;
  for (const View query : {"show pools\0"sv, "set logfile = 'a\0b'"sv, "pause \"a\0\""sv}) {
    CHECK_FALSE(parse_console(query, admin).ok());
  }
}

TEST_CASE("console: DISABLE and ENABLE want a database") {
  for (const char* query : {"DISABLE", "disable;", "DISABLE \"\"", "ENABLE", "enable \"\""}) {
    CAPTURE(query);
    CHECK(error_of(query).message == "a database is required");
  }
}

TEST_CASE("console: EXPLAIN ROUTE wants SQL, of any length") {
  for (const char* query :
       {"EXPLAIN ROUTE", "explain route;", "explain route ;", "explain route ''"}) {
    CAPTURE(query);
    CHECK(error_of(query).message == "a query is required");
  }
  const std::string sql = "SELECT " + std::string(4000, '1');
  CHECK(parse_console("EXPLAIN ROUTE " + sql, stats)->value == sql);
  CHECK(parse_console("EXPLAIN ROUTE '" + sql + "'", stats)->value == sql);
}

TEST_CASE("console: SHUTDOWN says what it waits for") {
  const auto mode_of = [](View query) { return parse_console(query, admin)->mode; };
  CHECK(mode_of("SHUTDOWN") == ShutdownMode::immediate);
  CHECK(mode_of("shutdown wait_for_servers") == ShutdownMode::wait_for_servers);
  CHECK(mode_of("SHUTDOWN WAIT_FOR_CLIENTS;") == ShutdownMode::wait_for_clients);
  CHECK(verb_of("SHUTDOWN WAIT_FOR_CLIENTS") == ConsoleVerb::shutdown);
}

TEST_CASE("console: words, arguments and values may be so long and no longer") {
  const auto letters = [](size_t count) { return std::string(count, 'a'); };
  const std::string bad = "bad arguments";

  CHECK(error_of(letters(15)).message == invalid(letters(15)));
  CHECK(error_of(letters(16)).message == bad);
  CHECK(parse_console("pause " + letters(63), admin)->argument == letters(63));
  CHECK(error_of("pause " + letters(64)).message == bad);
  CHECK(parse_console("pause \"" + letters(63) + "\"", admin)->argument == letters(63));
  CHECK(error_of("pause \"" + letters(64) + "\"").message == bad);
  CHECK(parse_console("set " + letters(63) + "=1", admin)->argument == letters(63));
  CHECK(error_of("set " + letters(64) + "=1").message == bad);
  CHECK(parse_console("set a='" + letters(255) + "'", admin)->value == letters(255));
  CHECK(error_of("set a='" + letters(256) + "'").message == bad);
  CHECK(parse_console("set a=" + letters(255), admin)->value == letters(255));
  CHECK(error_of("set a=" + letters(256)).message == bad);
  CHECK(error_of("set \"\" = 1").message == bad);
  CHECK(error_of(letters(16), stats).message == bad);
}

TEST_CASE("console: a long mistake is quoted in part, and never in the middle of a character") {
  const std::string quotable(999, '-');
  CHECK(error_of(quotable + "-").message == invalid(quotable + "-"));
  CHECK(error_of(quotable + "--").message == invalid(quotable + "-"));
  CHECK(error_of(quotable + "\xc3\xa4").message == invalid(quotable));
  CHECK(error_of(quotable.substr(2) + "\xf0\x9f\x98\x80").message == invalid(quotable.substr(2)));
  // Not UTF-8 at all: cut somewhere, not eaten up.
  CHECK(error_of(std::string(2000, '\x80')).message.size() > 990);
}

TEST_CASE("console: the tag of a command is its word") {
  CHECK(command_tag(ConsoleVerb::show_pools) == "SHOW");
  CHECK(command_tag(ConsoleVerb::show_parameter) == "SHOW");
  CHECK(command_tag(ConsoleVerb::set) == "SET");
  CHECK(command_tag(ConsoleVerb::set_ignored) == "SET");
  for (const CommandRow& row : console_commands()) CHECK(command_tag(row.verb) == row.word);
}

TEST_CASE("console: no sequence of bytes gets past the grammar in part") {
  // Every text of up to five of these characters, where a command might take it for an argument.
  constexpr char alphabet[] = {'a', '"', '\'', ' ', ';', '=', '\0'};
  size_t commands = 0, mistakes = 0;
  for (const std::string prefix : {"", "pause ", "set k", "set k = "}) {
    for (size_t number = 0; number < 7 * 7 * 7 * 7 * 7; ++number) {
      std::string query = prefix;
      for (size_t rest = number; rest > 0; rest /= std::size(alphabet)) {
        query += alphabet[rest % std::size(alphabet)];
      }
      const auto command = parse_console(query, admin);
      if (!command.ok()) {
        mistakes +=
            command.error().message != "bad arguments" && command.error().message != invalid(query);
        continue;
      }
      ++commands;
      const std::string parts = command->argument + command->value;
      mistakes += parts.find('\0') != std::string::npos || parts.size() > query.size();
    }
  }
  CHECK(mistakes == 0);
  CHECK(commands > 100);
}
