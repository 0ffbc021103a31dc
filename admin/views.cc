#include "admin/views.h"

#include <fmt/format.h>

#include <tuple>

#include "admin/console_rows.h"
#include "admin/table.h"
#include "conf/values.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr int64_t second_us = 1'000'000;

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
