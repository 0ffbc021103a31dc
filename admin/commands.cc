#include "admin/commands.h"

#include <algorithm>

#include "admin/console_line.h"
#include "base/check.h"
#include "conf/values.h"

namespace headgate {

namespace {

constexpr ConsoleRights stats = ConsoleRights::stats;
constexpr ConsoleRights admin = ConsoleRights::admin;

constexpr CommandRow command_table[] = {
    {"SHOW", "CLIENTS", ConsoleVerb::show_clients, stats},
    {"SHOW", "SERVERS", ConsoleVerb::show_servers, stats},
    {"SHOW", "POOLS", ConsoleVerb::show_pools, stats},
    {"SHOW", "DATABASES", ConsoleVerb::show_databases, stats},
    {"SHOW", "USERS", ConsoleVerb::show_users, stats},
    {"SHOW", "PEERS", ConsoleVerb::show_peers, stats},
    {"SHOW", "PEER_POOLS", ConsoleVerb::show_peer_pools, stats},
    {"SHOW", "FDS", ConsoleVerb::show_fds, admin},
    {"SHOW", "SOCKETS", ConsoleVerb::show_sockets, stats},
    {"SHOW", "ACTIVE_SOCKETS", ConsoleVerb::show_active_sockets, stats},
    {"SHOW", "DNS_HOSTS", ConsoleVerb::show_dns_hosts, stats},
    {"SHOW", "DNS_ZONES", ConsoleVerb::show_dns_zones, stats},
    {"SHOW", "AUDIT", ConsoleVerb::show_audit, stats},
    {"SHOW", "HOSTS", ConsoleVerb::show_hosts, stats},
    {"SHOW", "ROUTES", ConsoleVerb::show_routes, stats},
    {"SHOW", "WAITS", ConsoleVerb::show_waits, stats},
    {"SHOW", "HOLDERS", ConsoleVerb::show_holders, stats},
    {"SHOW", "LISTS", ConsoleVerb::show_lists, stats},
    {"SHOW", "STATS", ConsoleVerb::show_stats, stats},
    {"SHOW", "STATS_TOTALS", ConsoleVerb::show_stats_totals, stats},
    {"SHOW", "STATS_AVERAGES", ConsoleVerb::show_stats_averages, stats},
    {"SHOW", "TOTALS", ConsoleVerb::show_totals, stats},
    {"SHOW", "CONFIG", ConsoleVerb::show_config, stats},
    {"SHOW", "MEM", ConsoleVerb::show_mem, stats},
    {"SHOW", "STATE", ConsoleVerb::show_state, stats},
    {"SHOW", "VERSION", ConsoleVerb::show_version, stats},
    {"SHOW", "HELP", ConsoleVerb::show_help, stats},
    {"EXPLAIN", "ROUTE", ConsoleVerb::explain_route, stats, TakesArgument::sql},
    {"RELOAD", "", ConsoleVerb::reload, admin},
    {"PAUSE", "", ConsoleVerb::pause, admin, TakesArgument::maybe_database},
    {"RESUME", "", ConsoleVerb::resume, admin, TakesArgument::maybe_database},
    {"SUSPEND", "", ConsoleVerb::suspend, admin},
    {"DISABLE", "", ConsoleVerb::disable, admin, TakesArgument::database},
    {"ENABLE", "", ConsoleVerb::enable, admin, TakesArgument::database},
    {"RECONNECT", "", ConsoleVerb::reconnect, admin, TakesArgument::maybe_database},
    {"KILL", "", ConsoleVerb::kill, admin, TakesArgument::maybe_database},
    {"KILL_CLIENT", "", ConsoleVerb::kill_client, admin, TakesArgument::client},
    {"WAIT_CLOSE", "", ConsoleVerb::wait_close, admin, TakesArgument::maybe_database},
    {"SHUTDOWN", "", ConsoleVerb::shutdown, admin},
    {"SHUTDOWN", "WAIT_FOR_SERVERS", ConsoleVerb::shutdown, admin, TakesArgument::nothing,
     ShutdownMode::wait_for_servers},
    {"SHUTDOWN", "WAIT_FOR_CLIENTS", ConsoleVerb::shutdown, admin, TakesArgument::nothing,
     ShutdownMode::wait_for_clients},
};

constexpr FixedParameter parameters[] = {
    {"client_encoding", "UTF-8"},
    {"default_transaction_isolation", "read committed"},
    {"standard_conforming_strings", "on"},
    {"datestyle", "ISO"},
    {"timezone", "GMT"},
};

constexpr View help =
    "\n\tSHOW HELP|CONFIG|DATABASES|POOLS|CLIENTS|SERVERS|USERS|VERSION"
    "\n\tSHOW PEERS|PEER_POOLS"
    "\n\tSHOW FDS|SOCKETS|ACTIVE_SOCKETS|LISTS|MEM|STATE"
    "\n\tSHOW DNS_HOSTS|DNS_ZONES"
    "\n\tSHOW STATS|STATS_TOTALS|STATS_AVERAGES|TOTALS"
    "\n\tSET key = arg"
    "\n\tRELOAD"
    "\n\tPAUSE [<db>]"
    "\n\tRESUME [<db>]"
    "\n\tDISABLE <db>"
    "\n\tENABLE <db>"
    "\n\tRECONNECT [<db>]"
    "\n\tKILL [<db>]"
    "\n\tKILL_CLIENT <client_id>"
    "\n\tSUSPEND"
    "\n\tSHUTDOWN"
    "\n\tSHUTDOWN WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS"
    "\n\tWAIT_CLOSE [<db>]"
    "\n\tSHOW AUDIT"
    "\n\tSHOW HOSTS|ROUTES"
    "\n\tSHOW WAITS|HOLDERS"
    "\n\tEXPLAIN ROUTE <sql>";

// Long enough for any command within the limits; a longer query is nothing to show in full.
constexpr size_t max_quoted_query = 1000;

Error refusal(std::string text) { return Error(ErrorCode::admin_command, std::move(text)); }

View cut_between_characters(View text, size_t size) {
  if (text.size() <= size) return text;
  const auto continues = [&](size_t at) { return (text[at] & 0xC0) == 0x80; };
  // An UTF-8 character has at most three bytes that continue it.
  for (size_t i = 0; i < 3 && size > 0 && continues(size); ++i) --size;
  return text.substr(0, size);
}

Error invalid_command(View query) {
  return refusal("invalid command '" +
                 std::string(cut_between_characters(query, max_quoted_query)) +
                 "', use SHOW HELP;");
}

View show_for_select(View word) {
  return equal_ignoring_case(word, "SELECT") ? View("SHOW") : word;
}

const CommandRow* find_command(const ConsoleLine& line) {
  const View word = show_for_select(line.word);
  const auto matches = [&](const CommandRow& row) {
    if (!equal_ignoring_case(row.word, word)) return false;
    const bool second_decides = row.takes == TakesArgument::nothing || !row.second.empty();
    return !second_decides || equal_ignoring_case(row.second, line.argument);
  };
  const auto row = std::ranges::find_if(command_table, matches);
  return row == std::end(command_table) ? nullptr : row;
}

Result<ConsoleCommand> setting(ConsoleLine line, ConsoleRights rights) {
  const bool ignored = find_parameter(line.argument) != nullptr;
  if (rights < (ignored ? stats : admin)) return Error(ErrorCode::admin_access);
  return ConsoleCommand{.verb = ignored ? ConsoleVerb::set_ignored : ConsoleVerb::set,
                        .argument = std::move(line.argument),
                        .value = std::move(line.value)};
}

// SHOW of anything that is no command: a parameter, or a mistake.
Result<ConsoleCommand> show_parameter(const ConsoleLine& line, View query, ConsoleRights rights) {
  const FixedParameter* parameter = find_parameter(line.argument);
  if (!parameter || !equal_ignoring_case(show_for_select(line.word), "SHOW")) {
    return invalid_command(query);
  }
  if (rights < stats) return Error(ErrorCode::admin_access);
  return ConsoleCommand{
      .verb = ConsoleVerb::show_parameter, .argument = std::string(parameter->name), .value = {}};
}

Result<ConsoleCommand> command(const CommandRow& row, ConsoleLine line) {
  ConsoleCommand command{.verb = row.verb, .argument = {}, .value = {}, .mode = row.mode};
  if (row.takes != TakesArgument::nothing) command.argument = std::move(line.argument);
  if (row.takes == TakesArgument::database && command.argument.empty()) {
    return refusal("a database is required");
  }
  if (row.takes == TakesArgument::sql) {
    command.argument.clear();
    command.value = std::move(line.value);
    if (command.value.empty()) return refusal("a query is required");
  }
  return command;
}

}  // namespace

std::span<const CommandRow> console_commands() { return command_table; }

View command_tag(ConsoleVerb verb) {
  if (verb == ConsoleVerb::set || verb == ConsoleVerb::set_ignored) return "SET";
  if (verb == ConsoleVerb::show_parameter) return "SHOW";
  const auto row = std::ranges::find(command_table, verb, &CommandRow::verb);
  MUST(row != std::end(command_table));
  return row->word;
}

const FixedParameter* find_parameter(View name) {
  const auto matches = [&](const FixedParameter& parameter) {
    return equal_ignoring_case(parameter.name, name);
  };
  const auto found = std::ranges::find_if(parameters, matches);
  return found == std::end(parameters) ? nullptr : found;
}

View console_help() { return help; }

Result<ConsoleCommand> parse_console(View query, ConsoleRights rights) {
  std::optional<ConsoleLine> line = read_console_line(query);
  if (!line) return invalid_command(query);
  if (!line->within_limits()) return refusal("bad arguments");
  if (line->is_setting) return setting(std::move(*line), rights);

  const CommandRow* row = find_command(*line);
  if (!row) return show_parameter(*line, query, rights);
  // As in PgBouncer, nobody learns from a refusal which databases there are.
  if (rights < row->rights) return Error(ErrorCode::admin_access);
  return command(*row, std::move(*line));
}

}  // namespace headgate
