#include "admin/console.h"

#include <algorithm>
#include <cstdint>

#include "admin/commands.h"
#include "admin/views.h"
#include "base/check.h"
#include "conf/lists.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"

namespace headgate {

namespace {

constexpr std::optional<SnapshotWish> from_config;
constexpr SnapshotWish from_snapshot;
constexpr SnapshotWish from_waits = {.connections = false, .waits = true};
constexpr SnapshotWish from_holders = {.connections = false, .holders = SIZE_MAX};

void refuse_set(Bytes& out, const ShowRequest&) { encode_notice(out, "SET ignored"); }

struct AnswerRow {
  ConsoleVerb verb;
  std::optional<SnapshotWish> wanted;
  void (*put)(Bytes& out, const ShowRequest& asked);
};
constexpr AnswerRow answer_table[] = {
    {ConsoleVerb::show_clients, from_snapshot, show_clients},
    {ConsoleVerb::show_servers, from_snapshot, show_servers},
    {ConsoleVerb::show_pools, from_snapshot, show_pools},
    {ConsoleVerb::show_databases, from_snapshot, show_databases},
    {ConsoleVerb::show_users, from_snapshot, show_users},
    {ConsoleVerb::show_sockets, from_snapshot, show_sockets},
    {ConsoleVerb::show_active_sockets, from_snapshot, show_active_sockets},
    {ConsoleVerb::show_peers, from_config, show_peers},
    {ConsoleVerb::show_peer_pools, from_snapshot, show_peer_pools},
    {ConsoleVerb::show_dns_hosts, from_snapshot, show_dns_hosts},
    {ConsoleVerb::show_dns_zones, from_config, show_dns_zones},
    {ConsoleVerb::show_fds, from_snapshot, show_fds},
    {ConsoleVerb::show_audit, from_snapshot, show_audit},
    {ConsoleVerb::show_hosts, from_snapshot, show_hosts},
    {ConsoleVerb::show_routes, from_snapshot, show_routes},
    {ConsoleVerb::show_waits, from_waits, show_waits},
    {ConsoleVerb::show_holders, from_holders, show_holders},
    {ConsoleVerb::show_lists, from_snapshot, show_lists},
    {ConsoleVerb::show_stats, from_snapshot, show_stats},
    {ConsoleVerb::show_stats_totals, from_snapshot, show_stats_totals},
    {ConsoleVerb::show_stats_averages, from_snapshot, show_stats_averages},
    {ConsoleVerb::show_totals, from_snapshot, show_totals},
    {ConsoleVerb::show_config, from_config, show_config},
    {ConsoleVerb::show_mem, from_snapshot, show_mem},
    {ConsoleVerb::show_state, from_snapshot, show_state},
    {ConsoleVerb::show_version, from_config, show_version},
    {ConsoleVerb::show_help, from_config, show_help},
    {ConsoleVerb::show_parameter, from_config, show_parameter},
    {ConsoleVerb::explain_route, from_config, explain_route},
    {ConsoleVerb::set_ignored, from_config, refuse_set},
};

const AnswerRow* find_answer(ConsoleVerb verb) {
  const auto row = std::ranges::find(answer_table, verb, &AnswerRow::verb);
  return row == std::end(answer_table) ? nullptr : row;
}

// Words as in every list, and, as in PgBouncer, a name with a blank in it.
bool names_user(View list, View user) {
  const auto parts = split_at_commas(list);
  return list_contains(list, user) || std::ranges::find(parts, user) != parts.end();
}

}  // namespace

ConsoleRights console_rights(const Settings& settings, View user) {
  if (user.empty()) return ConsoleRights::none;
  if (names_user(settings.admin_users, user)) return ConsoleRights::admin;
  if (names_user(settings.stats_users, user)) return ConsoleRights::stats;
  return settings.auth_type == AuthMethod::any ? ConsoleRights::stats : ConsoleRights::none;
}

std::optional<SnapshotWish> wanted_snapshot(ConsoleVerb verb) {
  const AnswerRow* answer = find_answer(verb);
  return answer ? answer->wanted : std::nullopt;
}

void answer_show(Bytes& out, const ConsoleCommand& command, const Snapshot& snapshot,
                 const Config& config) {
  const AnswerRow* answer = find_answer(command.verb);
  MUST(answer);
  answer->put(out, {command, snapshot, config});
  encode(out, backend::CommandComplete{command_tag(command.verb)});
}

// The columns are the same whatever the rows: those of an empty snapshot.
void describe_answer(Bytes& out, const ConsoleCommand& command) {
  const AnswerRow* answer = find_answer(command.verb);
  if (!answer) return;
  Bytes all;
  answer->put(all, {command, Snapshot(), Config()});
  if (all[0] == backend::row_description)
    out += View(all).substr(0, 1 + size_t{load_u32(all.data() + 1)});
}

void answer_done(Bytes& out, const ConsoleCommand& command) {
  std::string tag(command_tag(command.verb));
  if (command.verb == ConsoleVerb::set) tag += " " + command.argument + "=" + command.value;
  encode(out, backend::CommandComplete{tag});
}

void console_welcome(Bytes& out) {
  const std::string server_version = std::string(compatible_version) + "/bouncer";
  const backend::ParameterStatus parameters[] = {
      {"server_version", server_version},
      {"client_encoding", "UTF8"},
      {"server_encoding", "UTF8"},
      {"DateStyle", "ISO"},
      {"TimeZone", "GMT"},
      {"standard_conforming_strings", "on"},
      {"is_superuser", "on"},
  };
  for (const auto& parameter : parameters) encode(out, parameter);
}

}  // namespace headgate
