// SHOW CLIENTS, SERVERS, SOCKETS and ACTIVE_SOCKETS: the same rows in the same columns; those of
// sockets go on with what is buffered.
#include <fmt/format.h>

#include <array>
#include <tuple>

#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr int64_t second_us = 1'000'000;

void put_type(Cell& cell, const ConnectionRow& row) { cell.put(row.is_server ? "S" : "C"); }

template <std::string ConnectionRow::*member, const char* unknown>
void name_or(Cell& cell, const ConnectionRow& row) {
  cell.put((row.*member).empty() ? View(unknown) : View(row.*member));
}
constexpr char no_user[] = "(nouser)";
constexpr char no_database[] = "(nodb)";

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

constexpr std::array connection_columns = std::to_array<Column<ConnectionRow>>({
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
});

// Headgate's own come last.
constexpr auto own_connection_columns = [] {
  std::array<Column<ConnectionRow>, connection_columns.size() + 1> all{};
  *std::ranges::copy(connection_columns, all.begin()).out = {"pinned", text,
                                                             field<&ConnectionRow::pinned>};
  return all;
}();

// PgBouncer has one buffer for each socket, and shows how far it has been filled, read and sent.
// Here a client's or server's bytes are held at either end: what came from it, what is for it.
template <uint64_t BufferedBytes::*member>
void buffered(Cell& cell, const ConnectionRow& row) {
  cell.put(row.buffered.*member);
}
void put_zero(Cell& cell, const ConnectionRow&) { cell.put(0); }

constexpr std::array buffer_columns = std::to_array<Column<ConnectionRow>>({
    {"recv_pos", int4, buffered<&BufferedBytes::received>},
    {"pkt_pos", int4, put_zero},
    {"pkt_remain", int4, buffered<&BufferedBytes::remaining>},
    {"send_pos", int4, put_zero},
    {"send_remain", int4, buffered<&BufferedBytes::queued>},
    {"pkt_avail", int4, buffered<&BufferedBytes::received>},
    {"send_avail", int4, buffered<&BufferedBytes::queued>},
});

constexpr auto socket_columns = [] {
  std::array<Column<ConnectionRow>, connection_columns.size() + buffer_columns.size()> all{};
  std::ranges::copy(buffer_columns, std::ranges::copy(connection_columns, all.begin()).out);
  // The word for the state is another one: cl_active for active.
  std::ranges::find(all, View("state"), &Column<ConnectionRow>::name)->put =
      field<&ConnectionRow::socket_state>;
  return all;
}();

using Rows = std::vector<const ConnectionRow*>;
using StateOf = const char* ConnectionRow::*;

// Those that have a state there, by pool and by state as listed; a state that is not listed comes
// last.
Rows in_order_of_states(Rows rows, StateOf state, std::span<const View> states) {
  std::erase_if(rows, [&](const ConnectionRow* row) { return row->*state == nullptr; });
  const auto key = [&](const ConnectionRow* row) {
    const auto rank = std::ranges::find(states, View(row->*state)) - states.begin();
    return std::tuple<View, View, ptrdiff_t, uint64_t>(row->database, row->user, rank, row->id);
  };
  std::ranges::stable_sort(rows, {}, key);
  return rows;
}

// States in the order in which they are listed.
constexpr View client_states[] = {"active", "idle", "waiting", "active_cancel_req",
                                  "waiting_cancel_req"};
constexpr View server_states_shown[] = {"active", "idle",          "used",          "tested",
                                        "new",    "active_cancel", "being_canceled"};
constexpr View socket_states[] = {"cl_active", "cl_waiting", "sv_active", "sv_idle",
                                  "sv_used",   "sv_tested",  "sv_login"};

// Clients that log in come last, whatever database they name.
Rows all_sockets(const Snapshot& snapshot) {
  Rows rows = as_they_are(snapshot.clients);
  const Rows servers = as_they_are(snapshot.servers);
  rows.insert(rows.end(), servers.begin(), servers.end());
  rows = in_order_of_states(std::move(rows), &ConnectionRow::socket_state, socket_states);
  std::stable_partition(rows.begin(), rows.end(), [](const ConnectionRow* row) {
    return View(row->socket_state) != "cl_login";
  });
  return rows;
}

bool holds_bytes(const ConnectionRow& row) {
  return row.buffered.received + row.buffered.remaining + row.buffered.queued > 0;
}

}  // namespace

void show_clients(Bytes& out, const ShowRequest& asked) {
  put_table<ConnectionRow>(out, own_connection_columns,
                           in_order_of_states(as_they_are(asked.snapshot.clients),
                                              &ConnectionRow::state, client_states));
}

void show_servers(Bytes& out, const ShowRequest& asked) {
  put_table<ConnectionRow>(out, own_connection_columns,
                           in_order_of_states(as_they_are(asked.snapshot.servers),
                                              &ConnectionRow::state, server_states_shown));
}

void show_sockets(Bytes& out, const ShowRequest& asked) {
  put_table<ConnectionRow>(out, socket_columns, all_sockets(asked.snapshot));
}

void show_active_sockets(Bytes& out, const ShowRequest& asked) {
  Rows rows = all_sockets(asked.snapshot);
  std::erase_if(rows, [](const ConnectionRow* row) { return !holds_bytes(*row); });
  put_table<ConnectionRow>(out, socket_columns, rows);
}

}  // namespace headgate
