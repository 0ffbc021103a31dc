#include "conf/entries.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

std::vector<std::string> ignored;

DatabaseEntry database(const std::string& text) {
  auto entry = parse_database("db", text, ignored);
  REQUIRE_MESSAGE(entry.ok(), text);
  return std::move(*entry);
}

UserEntry user(const std::string& text) {
  auto entry = parse_user("u", text, ignored);
  REQUIRE_MESSAGE(entry.ok(), text);
  return std::move(*entry);
}

template <class Entry>
std::string refusal(const Result<Entry>& entry) {
  return entry ? "accepted" : entry.error().message;
}

std::string database_refusal(const std::string& text) {
  return refusal(parse_database("db", text, ignored));
}

}  // namespace

TEST_CASE("entries: an empty database line is the local database of that name") {
  const DatabaseEntry entry = database("");
  CHECK(entry.name == "db");
  CHECK(entry.dbname == "db");
  CHECK(entry.host.empty());
  CHECK(entry.port == 5432);
  CHECK(!entry.user);
  CHECK(!entry.pool_size);
  CHECK(entry.load_balance_hosts == LoadBalance::round_robin);
}

TEST_CASE("entries: every key of a database finds its member") {
  const std::string text =
      "dbname=d host=h,i port=1 user=u password='p w' auth_user=au auth_query='select $1' "
      "auth_dbname=ad pool_size=2 min_pool_size=3 reserve_pool_size=4 max_db_connections=5 "
      "max_db_client_connections=6 pool_mode=Statement session_state=Strict server_lifetime=7 "
      "query_wait_timeout=8 "
      "connect_query='set x=1' load_balance_hosts=disable client_encoding=utf8 datestyle=ISO "
      "target_session_attrs=prefer-standby host_weights=2,0 "
      "timezone=UTC application_name=n";
  const DatabaseEntry entry = database(text);
  CHECK(entry.dbname == "d");
  CHECK(entry.host == "h,i");
  CHECK(entry.port == 1);
  CHECK(entry.user == "u");
  CHECK(entry.password == "p w");
  CHECK(entry.auth_user == "au");
  CHECK(entry.auth_query == "select $1");
  CHECK(entry.auth_dbname == "ad");
  CHECK(entry.pool_size == 2);
  CHECK(entry.min_pool_size == 3);
  CHECK(entry.reserve_pool_size == 4);
  CHECK(entry.max_db_connections == 5);
  CHECK(entry.max_db_client_connections == 6);
  CHECK(entry.pool_mode == PoolMode::statement);
  CHECK(entry.session_state == SessionPolicy::strict);
  CHECK(entry.server_lifetime == Duration(seconds(7)));
  CHECK(entry.query_wait_timeout == Duration(seconds(8)));
  CHECK(entry.connect_query == "set x=1");
  CHECK(entry.load_balance_hosts == LoadBalance::disable);
  CHECK(entry.target == TargetRole::prefer_standby);
  CHECK(entry.host_weights == std::vector<int>{2, 0});
  const std::vector<std::pair<std::string, std::string>> parameters = {{"client_encoding", "utf8"},
                                                                       {"datestyle", "ISO"},
                                                                       {"timezone", "UTC"},
                                                                       {"application_name", "n"}};
  CHECK(entry.startup_parameters == parameters);
  CHECK(entry.text == text);
}

TEST_CASE("entries: target_session_attrs has libpq's words") {
  CHECK(database("").target == TargetRole::any);
  CHECK(database("target_session_attrs=any").target == TargetRole::any);
  CHECK(database("target_session_attrs=primary").target == TargetRole::primary);
  CHECK(database("target_session_attrs=read-write").target == TargetRole::primary);
  CHECK(database("target_session_attrs=standby").target == TargetRole::standby);
  CHECK(database("target_session_attrs=Read-Only").target == TargetRole::standby);
}

TEST_CASE("entries: reserve_pool is another name, and a repeated key counts last") {
  CHECK(database("reserve_pool=4").reserve_pool_size == 4);
  CHECK(database("port=1 port=2").port == 2);
  CHECK(database("timezone=A timezone=B").startup_parameters.size() == 1);
  CHECK(database("timezone=A timezone=B").startup_parameters[0].second == "B");
}

TEST_CASE("entries: which numbers of a database mean 'as everywhere else'") {
  CHECK(database("pool_size=0").pool_size == 0);
  CHECK(!database("pool_size=-1").pool_size);
  CHECK(!database("pool_size=5 pool_size=-1").pool_size);
  CHECK(database("min_pool_size=0").min_pool_size == 0);
  CHECK(!database("max_db_connections=0").max_db_connections);
  CHECK(!database("max_db_connections=-1").max_db_connections);
  CHECK(!database("server_lifetime=0").server_lifetime);
  CHECK(database("server_lifetime=1h").server_lifetime == Duration(seconds(3600)));
  CHECK(database("query_wait_timeout=0").query_wait_timeout == Duration::zero());
  CHECK(!database("query_wait_timeout=-1").query_wait_timeout);
}

TEST_CASE("entries: digits with something behind them count, with a warning") {
  std::vector<std::string> warnings;
  auto entry = parse_database("db", "pool_size=20, port=010 server_lifetime=30x", warnings);
  REQUIRE(entry.ok());
  CHECK(entry->pool_size == 20);
  CHECK(entry->port == 10);
  CHECK(entry->server_lifetime == Duration(seconds(30)));
  CHECK(warnings == std::vector<std::string>{"pool_size=20, is taken as 20",
                                             "server_lifetime=30x is taken as 30 seconds; units "
                                             "are us, ms, s, min, h, d"});
}

TEST_CASE("entries: the errors of a database line") {
  CHECK(database_refusal("foo=1") == "unrecognized connection parameter: foo");
  CHECK(database_refusal("Host=1") == "unrecognized connection parameter: Host");
  CHECK(database_refusal("port=0") == "invalid port: 0");
  CHECK(database_refusal("port=abc") == "invalid port: abc");
  CHECK(database_refusal("port=65536") == "invalid port: 65536");
  CHECK(database_refusal("pool_mode=x") == "invalid pool mode: x");
  CHECK(database_refusal("session_state=x") == "invalid session_state: x");
  CHECK(database_refusal("pool_size=abc") == "invalid pool_size: abc");
  CHECK(database_refusal("pool_size=99999999999999999999") ==
        "invalid pool_size: 99999999999999999999");
  CHECK(database_refusal("server_lifetime=-") == "invalid server_lifetime: -");
  CHECK(database_refusal("target_session_attrs=x") == "invalid target_session_attrs: x");
  CHECK(database_refusal("host=a,b host_weights=1,x") == "invalid host_weights: 1,x");
  CHECK(database_refusal("host=a,b host_weights=1,101") == "invalid host_weights: 1,101");
  CHECK(database_refusal("host=a,b host_weights=1,-1") == "invalid host_weights: 1,-1");
  CHECK(database_refusal("load_balance_hosts=x") == "invalid load_balance_hosts: x");
  CHECK(database_refusal("auth_dbname=pgbouncer") ==
        "cannot use the reserved \"pgbouncer\" database as an auth_dbname");
  CHECK(database_refusal("port") == "syntax error in connection string");
}

TEST_CASE("entries: a mistyped key is told its nearest") {
  CHECK(parse_database("db", "pool_sise=1", ignored).error().hint == "did you mean pool_size?");
  CHECK(parse_database("db", "session_stat=1", ignored).error().hint ==
        "did you mean session_state?");
  CHECK(parse_user("u", "pool_mod=session", ignored).error().hint == "did you mean pool_mode?");
}

TEST_CASE("entries: names that a database cannot have") {
  CHECK(refusal(parse_database("pgbouncer", "", ignored)) ==
        "database name \"pgbouncer\" is reserved");
  CHECK(parse_database(std::string(63, 'a'), "", ignored).ok());
  CHECK(refusal(parse_database(std::string(64, 'a'), "", ignored)) ==
        "too long db name: " + std::string(64, 'a'));
}

TEST_CASE("entries: every key of a user finds its member") {
  const UserEntry entry = user(
      "pool_mode=session session_state=pgbouncer pool_size=1 reserve_pool_size=2 "
      "max_user_connections=3 "
      "max_user_client_connections=4 query_timeout=5 idle_transaction_timeout=6 "
      "transaction_timeout=7 client_idle_timeout=8 query_wait_timeout=9");
  CHECK(entry.name == "u");
  CHECK(entry.pool_mode == PoolMode::session);
  CHECK(entry.session_state == SessionPolicy::pgbouncer);
  CHECK(entry.pool_size == 1);
  CHECK(entry.reserve_pool_size == 2);
  CHECK(entry.max_user_connections == 3);
  CHECK(entry.max_user_client_connections == 4);
  CHECK(entry.query_timeout == Duration(seconds(5)));
  CHECK(entry.idle_transaction_timeout == Duration(seconds(6)));
  CHECK(entry.transaction_timeout == Duration(seconds(7)));
  CHECK(entry.client_idle_timeout == Duration(seconds(8)));
  CHECK(entry.query_wait_timeout == Duration(seconds(9)));
}

TEST_CASE("entries: a timeout of 0 is inherited, but for query_wait_timeout") {
  CHECK(!user("query_timeout=0").query_timeout);
  CHECK(!user("client_idle_timeout=0").client_idle_timeout);
  CHECK(!user("max_user_connections=0").max_user_connections);
  CHECK(user("query_wait_timeout=0").query_wait_timeout == Duration::zero());
  CHECK(!user("").pool_mode);
  CHECK(!user("").session_state);
}

TEST_CASE("entries: the errors of a user line") {
  CHECK(refusal(parse_user("u", "session", ignored)) == "syntax error in user settings");
  CHECK(refusal(parse_user("u", "host=x", ignored)) == "unrecognized user parameter: host");
  CHECK(refusal(parse_user("u", "pool_mode=x", ignored)) == "invalid pool mode: x");
  const auto policy = parse_user("u", "session_state=x", ignored);
  CHECK(refusal(policy) == "invalid session_state: x");
  CHECK(policy.error().hint == "expected one of track, strict, pgbouncer");
  CHECK(refusal(parse_user(std::string(128, 'a'), "", ignored)) ==
        "too long user name: " + std::string(128, 'a'));
}

TEST_CASE("entries: a peer has a number, a host and PgBouncer's port") {
  auto peer = parse_peer("3", "host=/run/p3 pool_size=2", ignored);
  REQUIRE(peer.ok());
  CHECK(peer->id == 3);
  CHECK(peer->host == "/run/p3");
  CHECK(peer->port == 6432);
  CHECK(peer->pool_size == 2);
  const std::string bad_id = "ids of peers must be a number larger than 0 and at most 65536";
  for (const char* id : {"0", "65536", "-1", "a", ""}) {
    CAPTURE(id);
    CHECK(refusal(parse_peer(id, "host=x", ignored)) == bad_id);
  }
  CHECK(refusal(parse_peer("1", "port=1", ignored)) == "a peer needs a host");
  CHECK(refusal(parse_peer("1", "host=x port=0", ignored)) == "invalid port: 0");
}

TEST_CASE("entries: a password belongs to the user of the entry") {
  std::vector<std::string> warnings;
  CHECK(parse_database("db", "auth_user=a auth_query=q auth_dbname=d user=u password=p", warnings));
  CHECK(warnings.empty());
  CHECK(parse_database("db", "password=p", warnings).ok());
  CHECK(warnings == std::vector<std::string>{"password has no effect without user"});
}

TEST_CASE("entries: an unknown database is made from * under the name asked for") {
  Config config;
  config.databases["known"] = database("port=1");
  CHECK(!config.find_database("other"));
  config.fallback = "host=h port=2 dbname=fixed";
  CHECK(config.find_database("known")->port == 1);
  CHECK(config.find_database("other")->port == 2);
  CHECK(config.find_database("other")->name == "other");
  CHECK(config.find_database("other")->dbname == "fixed");
  config.fallback = "host=h";
  CHECK(config.find_database("a b'c")->dbname == "a b'c");
  CHECK(!config.find_database("pgbouncer"));
  CHECK(!config.find_database(std::string(64, 'a')));
  config.fallback = "nonsense";
  CHECK(!config.find_database("other"));
}
