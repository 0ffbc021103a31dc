// SHOW HOSTS: the hosts of databases with target_session_attrs, what each says of itself, whether
// it is in use, and how many servers are there.
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr SqlType int8 = SqlType::int8;

template <auto member>
void null_if_silent(Cell& cell, const HostRow& row) {
  row.lsn.empty() ? cell.null() : cell.put(row.*member);
}

template <std::string HostRow::*member>
void null_if_empty(Cell& cell, const HostRow& row) {
  (row.*member).empty() ? cell.null() : cell.put(row.*member);
}

void put_lag(Cell& cell, const HostRow& row) { row.lag_us ? cell.put(*row.lag_us) : cell.null(); }

constexpr Column<HostRow> columns[] = {
    {"database", text, field<&HostRow::database>},
    {"host", text, field<&HostRow::host>},
    {"port", int4, field<&HostRow::port>},
    {"role", text, field<&HostRow::role>},
    {"in_use", int4, field<&HostRow::in_use>},
    {"read", int4, field<&HostRow::read>},
    {"weight", int4, field<&HostRow::weight>},
    {"sv_active", int8, field<&HostRow::servers_active>},
    {"sv_idle", int8, field<&HostRow::servers_idle>},
    {"lsn", text, null_if_empty<&HostRow::lsn>},
    {"lag_us", int8, put_lag},
    {"latency_us", int8, null_if_silent<&HostRow::latency_us>},
    {"silent_us", int8, null_if_silent<&HostRow::silent_us>},
    {"error", text, null_if_empty<&HostRow::error>},
};

}  // namespace

void show_hosts(Bytes& out, const ShowRequest& asked) {
  std::vector<HostRow> rows = asked.snapshot.hosts;
  for (const HostServers& servers : asked.snapshot.host_servers) {
    for (HostRow& row : rows) {
      if (row.database != servers.database || row.host != servers.host) continue;
      row.servers_active = servers.active;
      row.servers_idle = servers.idle;
    }
  }
  put_table<HostRow>(out, columns, in_order(rows, [](const auto& a, const auto& b) {
                       return a.database < b.database;
                     }));
}

}  // namespace headgate
