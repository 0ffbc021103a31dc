// The answers of SHOW LISTS, CONFIG, MEM, STATE, VERSION, HELP and of parameters.
#include <doctest/doctest.h>

#include <limits>

#include "base/version.h"
#include "conf/load.h"
#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::show;
using headgate::test::Text;
using headgate::test::TextRows;

TEST_CASE("views: SHOW LISTS counts everything, the console's own included") {
  Snapshot snapshot;
  snapshot.clients.resize(5);
  snapshot.servers.resize(4);
  snapshot.databases.resize(2);
  snapshot.users.resize(7);
  snapshot.pools.resize(6);
  snapshot.login_clients = 3;
  snapshot.dns_hosts.resize(12);
  snapshot.dns_queries = 13;
  snapshot.peers.resize(2);
  Config config;
  config.peers = {{1, {}}, {2, {}}, {3, {}}};
  const auto answer = show("SHOW LISTS", snapshot, config);
  CHECK(answer.heads() == "list t, items i");
  CHECK(answer.rows == TextRows{{"databases", "3"},
                                {"users", "8"},
                                {"peers", "3"},
                                {"pools", "7"},
                                {"peer_pools", "2"},
                                {"free_clients", "0"},
                                {"used_clients", "5"},
                                {"login_clients", "3"},
                                {"free_servers", "0"},
                                {"used_servers", "4"},
                                {"dns_names", "12"},
                                {"dns_zones", "0"},
                                {"dns_queries", "13"},
                                {"dns_pending", "0"}});
}

TEST_CASE("views: SHOW CONFIG is the list of settings as it is") {
  Config config;
  config.settings.listen_port = 7777;
  const auto answer = show("SHOW CONFIG", {}, config);
  CHECK(answer.heads() == "key t, value t, default t, changeable t");
  const auto settings = show_settings(config.settings);
  REQUIRE(answer.rows.size() == settings.size());
  bool changed = false, unset = false;
  for (size_t i = 0; i < settings.size(); ++i) {
    CHECK(answer.rows[i] == std::vector<Text>{settings[i].key, settings[i].value,
                                              settings[i].default_value,
                                              settings[i].changeable ? "yes" : "no"});
    changed |= answer.rows[i] == std::vector<Text>{"listen_port", "7777", "6432", "no"};
    unset |= !answer.rows[i][1];
  }
  CHECK(changed);
  CHECK(unset);
}

TEST_CASE("views: SHOW MEM has PgBouncer's caches in its order, then those of Headgate") {
  Snapshot snapshot;
  snapshot.memory = {{.name = "buffers", .size = 1, .used = 2, .free = 3, .total = 4},
                     {.name = "server_cache", .size = 608, .used = 5, .free = 6, .total = 7000},
                     {.name = "client_cache",
                      .size = std::numeric_limits<uint64_t>::max(),
                      .used = 2'147'483'648,
                      .free = 2'147'483'647,
                      .total = 0}};
  const auto answer = show("SHOW MEM", snapshot);
  CHECK(answer.heads() == "name t, size i, used i, free i, memtotal i");
  CHECK(answer.rows == TextRows{{"user_cache", "0", "0", "0", "0"},
                                {"credentials_cache", "0", "0", "0", "0"},
                                {"db_cache", "0", "0", "0", "0"},
                                {"peer_cache", "0", "0", "0", "0"},
                                {"peer_pool_cache", "0", "0", "0", "0"},
                                {"pool_cache", "0", "0", "0", "0"},
                                {"outstanding_request_cache", "0", "0", "0", "0"},
                                {"server_cache", "608", "5", "6", "7000"},
                                {"client_cache", "2147483647", "2147483647", "2147483647", "0"},
                                {"iobuf_cache", "0", "0", "0", "0"},
                                {"var_list_cache", "0", "0", "0", "0"},
                                {"server_prepared_statement_cache", "0", "0", "0", "0"},
                                {"buffers", "1", "2", "3", "4"}});
}

TEST_CASE("views: SHOW STATE is one of active, paused, suspended") {
  const auto state = [](bool paused, bool suspended) {
    Snapshot snapshot;
    snapshot.paused = paused;
    snapshot.suspended = suspended;
    const auto answer = show("SHOW STATE", snapshot);
    CHECK(answer.heads() == "key t, value t");
    CHECK(answer.column("key") == std::vector<Text>{"active", "paused", "suspended"});
    return answer.column("value");
  };
  CHECK(state(false, false) == std::vector<Text>{"yes", "no", "no"});
  CHECK(state(true, false) == std::vector<Text>{"no", "yes", "no"});
  CHECK(state(false, true) == std::vector<Text>{"no", "no", "yes"});
}

TEST_CASE("views: SHOW VERSION begins as scripts expect and ends with the truth") {
  const auto answer = show("SHOW VERSION");
  CHECK(answer.heads() == "version t");
  CHECK(answer.value("version") == "PgBouncer 1.26.0 (Headgate " + std::string(version) + ")");
}

TEST_CASE("views: SHOW HELP is a notice and no rows") {
  const auto answer = show("SHOW HELP");
  CHECK(answer.order == "NC");
  CHECK(answer.notice == "Console usage");
  CHECK(answer.notice_detail ==
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
        "\n\tEXPLAIN ROUTE <sql>");
}

TEST_CASE("views: the five parameters that drivers ask for have fixed answers") {
  struct Row {
    const char* query;
    const char* heads;
    const char* value;
  };
  const Row table[] = {
      {"SHOW client_encoding", "client_encoding t", "UTF-8"},
      {"show DEFAULT_TRANSACTION_ISOLATION", "default_transaction_isolation t", "read committed"},
      {"SHOW standard_conforming_strings", "standard_conforming_strings t", "on"},
      {"SHOW DateStyle", "datestyle t", "ISO"},
      {"SHOW TimeZone", "timezone t", "GMT"},
  };
  for (const Row& row : table) {
    CAPTURE(row.query);
    const auto answer = show(row.query);
    CHECK(answer.heads() == row.heads);
    CHECK(answer.rows == TextRows{{row.value}});
  }
}
