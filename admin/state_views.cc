// The small SHOWs: counts, settings, memory, state, version, help, parameters.
#include <array>

#include "admin/commands.h"
#include "admin/console_rows.h"
#include "admin/table.h"
#include "admin/views.h"
#include "base/version.h"
#include "conf/load.h"
#include "protocol/error_fields.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;

// A result of one row and one column.
void put_value(Bytes& out, View name, View value) {
  encode_columns(out, std::array{TextColumn{name}});
  TextRow(out, 1).text(value);
}

struct ListRow {
  View list;
  size_t items;
};
constexpr Column<ListRow> list_columns[] = {
    {"list", text, field<&ListRow::list>},
    {"items", int4, field<&ListRow::items>},
};

void put_changeable(Cell& cell, const ShownSetting& row) {
  cell.put(row.changeable ? "yes" : "no");
}
constexpr Column<ShownSetting> config_columns[] = {
    {"key", text, field<&ShownSetting::key>},
    {"value", text, field<&ShownSetting::value>},
    {"default", text, field<&ShownSetting::default_value>},
    {"changeable", text, put_changeable},
};

constexpr Column<MemoryRow> memory_columns[] = {
    {"name", text, field<&MemoryRow::name>},      {"size", int4, field<&MemoryRow::size>},
    {"used", int4, field<&MemoryRow::used>},      {"free", int4, field<&MemoryRow::free>},
    {"memtotal", int4, field<&MemoryRow::total>},
};

// PgBouncer's object caches. Those that Headgate has no use for stay empty.
constexpr const char* caches[] = {
    "user_cache",
    "credentials_cache",
    "db_cache",
    "peer_cache",
    "peer_pool_cache",
    "pool_cache",
    "outstanding_request_cache",
    "server_cache",
    "client_cache",
    "iobuf_cache",
    "var_list_cache",
    "server_prepared_statement_cache",
};

struct StateRow {
  View key;
  bool value;
};
void put_yes_or_no(Cell& cell, const StateRow& row) { cell.put(row.value ? "yes" : "no"); }
constexpr Column<StateRow> state_columns[] = {
    {"key", text, field<&StateRow::key>},
    {"value", text, put_yes_or_no},
};

std::vector<MemoryRow> memory_rows(const Snapshot& snapshot) {
  std::vector<MemoryRow> rows;
  for (const char* name : caches) rows.push_back({.name = name});
  for (const MemoryRow& measured : snapshot.memory) {
    const auto row = std::ranges::find(rows, View(measured.name),
                                       [](const MemoryRow& each) { return View(each.name); });
    if (row == rows.end()) {
      rows.push_back(measured);
    } else {
      *row = measured;
    }
  }
  return rows;
}

}  // namespace

void show_lists(Bytes& out, const ShowRequest& asked) {
  const auto& [command, snapshot, config] = asked;
  const auto databases =
      with_console(snapshot.databases, console_database_row(snapshot, config.settings)).size();
  const auto users = with_console(snapshot.users, console_user_row(config.settings)).size();
  const auto pools = with_console(snapshot.pools, console_pool_row(snapshot)).size();
  const std::vector<ListRow> rows = {
      {"databases", databases},
      {"users", users},
      {"peers", config.peers.size()},
      {"pools", pools},
      {"peer_pools", snapshot.peers.size()},
      {"free_clients", 0},  // a session's memory goes with it
      {"used_clients", snapshot.clients.size()},
      {"login_clients", snapshot.login_clients},
      {"free_servers", 0},
      {"used_servers", snapshot.servers.size()},
      {"dns_names", snapshot.dns_hosts.size()},
      {"dns_zones", 0},
      {"dns_queries", snapshot.dns_queries},
      {"dns_pending", 0},
  };
  put_table<ListRow>(out, list_columns, as_they_are(rows));
}

void show_config(Bytes& out, const ShowRequest& asked) {
  const auto rows = show_settings(asked.config.settings);
  put_table<ShownSetting>(out, config_columns, as_they_are(rows));
}

void show_mem(Bytes& out, const ShowRequest& asked) {
  const auto rows = memory_rows(asked.snapshot);
  put_table<MemoryRow>(out, memory_columns, as_they_are(rows));
}

void show_state(Bytes& out, const ShowRequest& asked) {
  const Snapshot& snapshot = asked.snapshot;
  const std::vector<StateRow> rows = {
      {"active", !snapshot.paused && !snapshot.suspended},
      {"paused", snapshot.paused},
      {"suspended", snapshot.suspended},
  };
  put_table<StateRow>(out, state_columns, as_they_are(rows));
}

// Scripts look for `PgBouncer X.Y.Z` in front; who reads the rest learns whom he talks to.
void show_version(Bytes& out, const ShowRequest&) {
  put_value(
      out, "version",
      "PgBouncer " + std::string(compatible_version) + " (Headgate " + std::string(version) + ")");
}

void show_help(Bytes& out, const ShowRequest&) {
  encode_notice(out, "Console usage", console_help());
}

void show_parameter(Bytes& out, const ShowRequest& asked) {
  const FixedParameter* parameter = find_parameter(asked.command.argument);
  MUST(parameter);
  put_value(out, parameter->name, parameter->value);
}

}  // namespace headgate
