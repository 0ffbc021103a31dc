// The rows of SHOW SOCKETS, ACTIVE_SOCKETS, PEERS, PEER_POOLS, DNS_HOSTS, DNS_ZONES and FDS.
#include <doctest/doctest.h>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::show;
using headgate::test::Text;
using headgate::test::TextRows;

namespace {

constexpr const char* socket_heads =
    "type t, user t, database t, replication t, state t, addr t, port i, local_addr t, "
    "local_port i, connect_time t, request_time t, wait i, wait_us i, close_needed i, ptr t, "
    "link t, remote_pid i, tls t, application_name t, prepared_statements i, id i, "
    "recv_pos i, pkt_pos i, pkt_remain i, send_pos i, send_remain i, pkt_avail i, send_avail i";

ConnectionRow socket(const char* database, const char* state, uint64_t id) {
  ConnectionRow row;
  row.database = database;
  row.state = nullptr;
  row.socket_state = state;
  row.id = id;
  return row;
}

Snapshot some_sockets() {
  Snapshot snapshot;
  snapshot.clients = {socket("z", "cl_waiting", 1), socket("a", "cl_login", 2),
                      socket("z", "cl_active", 3), socket("z", nullptr, 4)};
  snapshot.servers = {socket("z", "sv_login", 5), socket("a", "sv_idle", 6),
                      socket("z", "sv_active", 7)};
  return snapshot;
}

}  // namespace

TEST_CASE("views: sockets stand by pool and state, those who log in come last") {
  const auto answer = show("SHOW SOCKETS", some_sockets());
  CHECK(answer.heads() == socket_heads);
  CHECK(answer.column("id") == std::vector<Text>{"6", "3", "1", "7", "5", "2"});
  CHECK(answer.column("state") == std::vector<Text>{"sv_idle", "cl_active", "cl_waiting",
                                                    "sv_active", "sv_login", "cl_login"});
}

TEST_CASE("views: clients that log in are sockets and no clients yet") {
  CHECK(show("SHOW CLIENTS", some_sockets()).rows.empty());
  CHECK(show("SHOW SERVERS", some_sockets()).rows.empty());
}

TEST_CASE("views: an active socket is one with bytes that wait for something") {
  Snapshot snapshot = some_sockets();
  snapshot.clients[0].buffered.received = 10;
  snapshot.clients[2].buffered.remaining = 20;
  snapshot.servers[1].buffered.queued = 30;
  const auto answer = show("SHOW ACTIVE_SOCKETS", snapshot);
  CHECK(answer.heads() == socket_heads);
  CHECK(answer.column("id") == std::vector<Text>{"6", "3", "1"});
  CHECK(answer.column("recv_pos") == std::vector<Text>{"0", "0", "10"});
  CHECK(answer.column("pkt_avail") == std::vector<Text>{"0", "0", "10"});
  CHECK(answer.column("pkt_remain") == std::vector<Text>{"0", "20", "0"});
  CHECK(answer.column("send_remain") == std::vector<Text>{"30", "0", "0"});
  CHECK(answer.column("send_avail") == std::vector<Text>{"30", "0", "0"});
}

TEST_CASE("views: peers are those of the configuration, their pools those that were used") {
  Config config;
  config.settings.default_pool_size = 20;
  config.peers[2] = {.id = 2, .host = "/run/two", .port = 6433, .pool_size = 5};
  config.peers[1] = {.id = 1, .host = "one", .port = 6432, .pool_size = {}};
  const auto peers = show("SHOW PEERS", {}, config);
  CHECK(peers.heads() == "peer_id i, host t, port i, pool_size i");
  CHECK(peers.rows == TextRows{{"1", "one", "6432", "20"}, {"2", "/run/two", "6433", "5"}});

  Snapshot snapshot;
  snapshot.peers = {{.id = 7},
                    {.id = 3,
                     .clients_active_cancel = 1,
                     .clients_waiting_cancel = 2,
                     .servers_active_cancel = 4,
                     .servers_login = 5}};
  const auto pools = show("SHOW PEER_POOLS", snapshot, config);
  CHECK(pools.heads() ==
        "peer_id i, cl_active_cancel_req i, cl_waiting_cancel_req i, sv_active_cancel i, "
        "sv_login i");
  CHECK(pools.rows == TextRows{{"3", "1", "2", "4", "5"}, {"7", "0", "0", "0", "0"}});
}

TEST_CASE("views: names that were looked up are shown with their addresses; zones never are") {
  Snapshot snapshot;
  snapshot.dns_hosts = {{.hostname = "two", .ttl = 9, .addresses = {"10.0.0.1", "::1"}},
                        {.hostname = "one", .ttl = 0, .addresses = {}}};
  const auto hosts = show("SHOW DNS_HOSTS", snapshot);
  CHECK(hosts.heads() == "hostname t, ttl q, addrs t");
  CHECK(hosts.rows == TextRows{{"one", "0", ""}, {"two", "9", "10.0.0.1,::1"}});
  const auto zones = show("SHOW DNS_ZONES", snapshot);
  CHECK(zones.heads() == "zonename t, serial q, count i");
  CHECK(zones.rows.empty());
}

TEST_CASE("views: descriptors are shown with what their next owner must know") {
  Snapshot snapshot;
  DescriptorRow client;
  client.number = 8;
  client.task = "client";
  client.user = "app";
  client.database = "shop";
  client.address = "10.0.0.1";
  client.port = 5555;
  client.cancel_key = 0x7fffffffffffffff;
  client.link = 9;
  client.client_encoding = "UTF8";
  client.standard_strings = "on";
  client.datestyle = "ISO, MDY";
  client.timezone = "GMT";
  client.scram_client_key = std::string("\x00\x9f\xff", 3);
  DescriptorRow pooler;
  pooler.number = 6;
  pooler.task = "pooler";
  pooler.address = "unix";
  pooler.port = 6432;
  snapshot.descriptors = {pooler, client};
  const auto answer = show("SHOW FDS", snapshot);
  CHECK(answer.heads() ==
        "fd i, task t, user t, database t, addr t, port i, cancel q, link i, client_encoding t, "
        "std_strings t, datestyle t, timezone t, password t, scram_client_key b, "
        "scram_server_key b");
  CHECK(answer.rows ==
        TextRows{{"6", "pooler", {}, {}, "unix", "6432", "0", "0", {}, {}, {}, {}, {}, {}, {}},
                 {"8",
                  "client",
                  "app",
                  "shop",
                  "10.0.0.1",
                  "5555",
                  "9223372036854775807",
                  "9",
                  "UTF8",
                  "on",
                  "ISO, MDY",
                  "GMT",
                  {},
                  "\\x009fff",
                  {}}});
}
