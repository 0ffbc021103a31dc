// The admin console's language: what a query on database `pgbouncer` asks for, who may ask, and the
// answers as protocol messages. Runs nothing itself: the proxy carries commands out.
#pragma once

#include <optional>
#include <string>

#include "admin/snapshot.h"
#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

enum class ConsoleVerb : uint8_t {
  // answered from a snapshot or from the configuration
  show_clients,
  show_servers,
  show_pools,
  show_databases,
  show_users,
  show_sockets,
  show_active_sockets,
  show_peers,
  show_peer_pools,
  show_dns_hosts,
  show_dns_zones,
  show_fds,
  show_audit,
  show_hosts,
  show_routes,
  show_waits,
  show_holders,
  show_lists,
  show_stats,
  show_stats_totals,
  show_stats_averages,
  show_totals,
  show_config,
  show_mem,
  show_state,
  show_version,
  show_help,
  show_parameter,
  explain_route,
  set_ignored,  // nothing to do but to say so
  // carried out by the proxy
  set,
  reload,
  pause,
  resume,
  suspend,
  wait_close,
  reconnect,
  kill,
  kill_client,
  disable,
  enable,
  shutdown,
};
enum class ShutdownMode : uint8_t { immediate, wait_for_servers, wait_for_clients };
enum class ConsoleRights : uint8_t { none, stats, admin };

struct ConsoleCommand {
  ConsoleVerb verb;
  std::string argument;  // a database, a client's id, a setting's name, a parameter's name
  std::string value;     // SET, EXPLAIN ROUTE
  ShutdownMode mode = ShutdownMode::immediate;
};

/// Reads one console query. Errors carry PgBouncer's texts (`invalid command '...', use SHOW
/// HELP;`, `admin access needed`, `a database is required`, `bad arguments`) where it has them;
/// whether a database exists, and may be touched, is for the proxy to know.
Result<ConsoleCommand> parse_console(View query, ConsoleRights rights);

/// What a user may do: by admin_users and stats_users; auth_type any gives everybody SHOW. None:
/// not even log in.
ConsoleRights console_rights(const Settings& settings, View user);

/// What answering needs of the workers' parts of a snapshot; nothing: none of it.
std::optional<SnapshotWish> wanted_snapshot(ConsoleVerb verb);

/// Appends the rows (or the notice) and the command tag of all that is not carried out by the
/// proxy; not ReadyForQuery.
void answer_show(Bytes& out, const ConsoleCommand& command, const Snapshot& snapshot,
                 const Config& config);
/// Appends the RowDescription that the answer will begin with, if it has rows.
void describe_answer(Bytes& out, const ConsoleCommand& command);
/// Appends the tag of a command that the proxy has carried out.
void answer_done(Bytes& out, const ConsoleCommand& command);
/// Appends the ParameterStatus messages of a console log-in, in PgBouncer's order.
void console_welcome(Bytes& out);

}  // namespace headgate
