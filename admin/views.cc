#include "admin/views.h"

#include <fmt/format.h>

#include <ctime>
#include <tuple>

#include "admin/console_rows.h"
#include "admin/table.h"
#include "conf/values.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr int64_t second_us = 1'000'000;

// --- clients and servers

void put_type(Cell& cell, const ConnectionRow& row) { cell.put(row.is_server ? "S" : "C"); }

template <std::string ConnectionRow::*member, const char* unknown>
void name_or(Cell& cell, const ConnectionRow& row) {
  cell.put((row.*member).empty() ? View(unknown) : View(row.*member));
}
constexpr char no_user[] = "(nouser)";
constexpr char no_database[] = "(nodb)";

// In the zone of the process, as PgBouncer and the log do. Empty: never.
void put_time(Cell& cell, int64_t since_1970_us) {
  char shown[64] = "";
  const time_t since_1970 = static_cast<time_t>(since_1970_us / second_us);
  tm parts{};
  if (since_1970_us > 0 && localtime_r(&since_1970, &parts)) {
    strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S %Z", &parts);
  }
  cell.put(View(shown));
}

void put_connect_time(Cell& cell, const ConnectionRow& row) { put_time(cell, row.connect_time); }

// PgBouncer counts the log-in as the first request.
void put_request_time(Cell& cell, const ConnectionRow& row) {
  put_time(cell, row.request_time > 0 ? row.request_time : row.connect_time);
}

void put_wait(Cell& cell, const ConnectionRow& row) { cell.put(row.wait_us / second_us); }
void put_wait_us(Cell& cell, const ConnectionRow& row) { cell.put(row.wait_us % second_us); }

template <uintptr_t ConnectionRow::*member>
void pointer(Cell& cell, const ConnectionRow& row) {
  cell.put(row.*member == 0 ? View() : View(fmt::format("{:#x}", row.*member)));
}

constexpr Column<ConnectionRow> connection_columns[] = {
    {"type", text, put_type},
    {"user", text, name_or<&ConnectionRow::user, no_user>},
    {"database", text, name_or<&ConnectionRow::database, no_database>},
    {"replication", text, field<&ConnectionRow::replication>},
    {"state", text, field<&ConnectionRow::state>},
    {"addr", text, field<&ConnectionRow::address>},
    {"port", int4, field<&ConnectionRow::port>},
    {"local_addr", text, field<&ConnectionRow::local_address>},
    {"local_port", int4, field<&ConnectionRow::local_port>},
    {"connect_time", text, put_connect_time},
    {"request_time", text, put_request_time},
    {"wait", int4, put_wait},
    {"wait_us", int4, put_wait_us},
    {"close_needed", int4, field<&ConnectionRow::close_needed>},
    {"ptr", text, pointer<&ConnectionRow::ptr>},
    {"link", text, pointer<&ConnectionRow::link>},
    {"remote_pid", int4, field<&ConnectionRow::remote_pid>},
    {"tls", text, field<&ConnectionRow::tls>},
    {"application_name", text, field<&ConnectionRow::application_name>},
    {"prepared_statements", int4, field<&ConnectionRow::prepared_statements>},
    {"id", int4, field<&ConnectionRow::id>},
};

// States in the order in which they are listed; one that is not here comes last.
constexpr View client_states[] = {"active", "idle", "waiting", "active_cancel_req",
                                  "waiting_cancel_req"};
constexpr View server_states_shown[] = {"active", "idle",          "used",          "tested",
                                        "new",    "active_cancel", "being_canceled"};

void put_connections(Bytes& out, const std::vector<ConnectionRow>& rows,
                     std::span<const View> states) {
  const auto rank = [&](const ConnectionRow& row) {
    return std::ranges::find(states, View(row.state)) - states.begin();
  };
  const auto key = [&](const ConnectionRow& row) {
    return std::tuple<View, View, ptrdiff_t, uint64_t>(row.database, row.user, rank(row), row.id);
  };
  const auto less = [&](const ConnectionRow& a, const ConnectionRow& b) { return key(a) < key(b); };
  put_table<ConnectionRow>(out, connection_columns, in_order(rows, less));
}

// --- pools

void put_max_wait(Cell& cell, const PoolRow& row) { cell.put(row.max_wait_us / second_us); }
void put_max_wait_us(Cell& cell, const PoolRow& row) { cell.put(row.max_wait_us % second_us); }
void put_pool_mode(Cell& cell, const PoolRow& row) { cell.put(name_of(row.mode)); }

constexpr Column<PoolRow> pool_columns[] = {
    {"database", text, field<&PoolRow::database>},
    {"user", text, field<&PoolRow::user>},
    {"cl_active", int4, field<&PoolRow::clients_active>},
    {"cl_waiting", int4, field<&PoolRow::clients_waiting>},
    {"cl_active_cancel_req", int4, field<&PoolRow::clients_active_cancel>},
    {"cl_waiting_cancel_req", int4, field<&PoolRow::clients_waiting_cancel>},
    {"sv_active", int4, field<&PoolRow::servers_active>},
    {"sv_active_cancel", int4, field<&PoolRow::servers_active_cancel>},
    {"sv_being_canceled", int4, field<&PoolRow::servers_being_canceled>},
    {"sv_idle", int4, field<&PoolRow::servers_idle>},
    {"sv_used", int4, field<&PoolRow::servers_used>},
    {"sv_tested", int4, field<&PoolRow::servers_tested>},
    {"sv_login", int4, field<&PoolRow::servers_login>},
    {"maxwait", int4, put_max_wait},
    {"maxwait_us", int4, put_max_wait_us},
    {"pool_mode", text, put_pool_mode},
    {"load_balance_hosts", text, field<&PoolRow::load_balance_hosts>},
};

// --- databases

template <std::string DatabaseRow::*member>
void null_if_empty(Cell& cell, const DatabaseRow& row) {
  (row.*member).empty() ? cell.null() : cell.put(View(row.*member));
}

constexpr Column<DatabaseRow> database_columns[] = {
    {"name", text, field<&DatabaseRow::name>},
    {"host", text, null_if_empty<&DatabaseRow::host>},
    {"port", int4, field<&DatabaseRow::port>},
    {"database", text, field<&DatabaseRow::dbname>},
    {"force_user", text, null_if_empty<&DatabaseRow::force_user>},
    {"pool_size", int4, field<&DatabaseRow::pool_size>},
    {"min_pool_size", int4, field<&DatabaseRow::min_pool_size>},
    {"reserve_pool_size", int4, field<&DatabaseRow::reserve_pool_size>},
    {"server_lifetime", int4, field<&DatabaseRow::server_lifetime>},
    {"pool_mode", text, field<&DatabaseRow::pool_mode>},
    {"load_balance_hosts", text, field<&DatabaseRow::load_balance_hosts>},
    {"max_connections", int4, field<&DatabaseRow::max_connections>},
    {"current_connections", int4, field<&DatabaseRow::current_connections>},
    {"max_client_connections", int4, field<&DatabaseRow::max_client_connections>},
    {"current_client_connections", int4, field<&DatabaseRow::current_client_connections>},
    {"paused", int4, field<&DatabaseRow::paused>},
    {"disabled", int4, field<&DatabaseRow::disabled>},
};

// --- users

// Text, right-aligned: PgBouncer's own way of saying a number that may be unset.
template <int UserRow::*member>
void size_or_empty(Cell& cell, const UserRow& row) {
  cell.put(row.*member < 0 ? View() : View(fmt::format("{:9}", row.*member)));
}

constexpr Column<UserRow> user_columns[] = {
    {"name", text, field<&UserRow::name>},
    {"pool_size", text, size_or_empty<&UserRow::pool_size>},
    {"reserve_pool_size", text, size_or_empty<&UserRow::reserve_pool_size>},
    {"pool_mode", text, field<&UserRow::pool_mode>},
    {"max_user_connections", int4, field<&UserRow::max_connections>},
    {"current_connections", int4, field<&UserRow::current_connections>},
    {"max_user_client_connections", int4, field<&UserRow::max_client_connections>},
    {"current_client_connections", int4, field<&UserRow::current_client_connections>},
};

template <class Row>
bool by_name(const Row& a, const Row& b) {
  return a.name < b.name;
}

}  // namespace

void show_clients(Bytes& out, const ShowRequest& asked) {
  put_connections(out, asked.snapshot.clients, client_states);
}

void show_servers(Bytes& out, const ShowRequest& asked) {
  put_connections(out, asked.snapshot.servers, server_states_shown);
}

void show_pools(Bytes& out, const ShowRequest& asked) {
  const auto less = [](const PoolRow& a, const PoolRow& b) {
    return std::tie(a.database, a.user) < std::tie(b.database, b.user);
  };
  const auto rows = with_console(asked.snapshot.pools, console_pool_row(asked.snapshot));
  put_table<PoolRow>(out, pool_columns, in_order(rows, less));
}

void show_databases(Bytes& out, const ShowRequest& asked) {
  const auto rows = with_console(asked.snapshot.databases,
                                 console_database_row(asked.snapshot, asked.config.settings));
  put_table<DatabaseRow>(out, database_columns, in_order(rows, by_name<DatabaseRow>));
}

void show_users(Bytes& out, const ShowRequest& asked) {
  const auto rows = with_console(asked.snapshot.users, console_user_row(asked.config.settings));
  put_table<UserRow>(out, user_columns, in_order(rows, by_name<UserRow>));
}

}  // namespace headgate
