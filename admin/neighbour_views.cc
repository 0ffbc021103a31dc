// SHOW PEERS, PEER_POOLS, DNS_HOSTS and DNS_ZONES: what is known of the world around.
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr SqlType int8 = SqlType::int8;

struct PeerRow {
  int id = 0;
  View host;
  int port = 0;
  int pool_size = 0;
};
constexpr Column<PeerRow> peer_columns[] = {
    {"peer_id", int4, field<&PeerRow::id>},
    {"host", text, field<&PeerRow::host>},
    {"port", int4, field<&PeerRow::port>},
    {"pool_size", int4, field<&PeerRow::pool_size>},
};

constexpr Column<PeerStats> peer_pool_columns[] = {
    {"peer_id", int4, field<&PeerStats::id>},
    {"cl_active_cancel_req", int4, field<&PeerStats::clients_active_cancel>},
    {"cl_waiting_cancel_req", int4, field<&PeerStats::clients_waiting_cancel>},
    {"sv_active_cancel", int4, field<&PeerStats::servers_active_cancel>},
    {"sv_login", int4, field<&PeerStats::servers_login>},
};

void put_addresses(Cell& cell, const DnsHostRow& row) {
  std::string list;
  for (const std::string& address : row.addresses) {
    if (!list.empty()) list += ",";
    list += address;
  }
  cell.put(list);
}
constexpr Column<DnsHostRow> dns_host_columns[] = {
    {"hostname", text, field<&DnsHostRow::hostname>},
    {"ttl", int8, field<&DnsHostRow::ttl>},
    {"addrs", text, put_addresses},
};

constexpr TextColumn dns_zone_columns[] = {{"zonename"}, {"serial", int8}, {"count", int4}};

}  // namespace

void show_peers(Bytes& out, const ShowRequest& asked) {
  const Settings& settings = asked.config.settings;
  std::vector<PeerRow> rows;
  for (const auto& [id, peer] : asked.config.peers) {
    rows.push_back({id, peer.host, peer.port, peer.pool_size.value_or(settings.default_pool_size)});
  }
  put_table<PeerRow>(out, peer_columns, as_they_are(rows));
}

void show_peer_pools(Bytes& out, const ShowRequest& asked) {
  const auto less = [](const PeerStats& a, const PeerStats& b) { return a.id < b.id; };
  put_table<PeerStats>(out, peer_pool_columns, in_order(asked.snapshot.peers, less));
}

void show_dns_hosts(Bytes& out, const ShowRequest& asked) {
  const auto less = [](const DnsHostRow& a, const DnsHostRow& b) {
    return a.hostname < b.hostname;
  };
  put_table<DnsHostRow>(out, dns_host_columns, in_order(asked.snapshot.dns_hosts, less));
}

// Zones are never asked for their serial: a name is looked up again when its time is over.
void show_dns_zones(Bytes& out, const ShowRequest&) { encode_columns(out, dns_zone_columns); }

}  // namespace headgate
