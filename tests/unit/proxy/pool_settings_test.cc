#include "proxy/pool_settings.h"

#include <doctest/doctest.h>

#include <functional>

#include "conf/entries.h"

using namespace headgate;

namespace {

/// What holds for database `shop` and user `bob`, whose lines of [databases] and [users] these are.
struct Lines {
  std::string database, user;
  Settings global;

  Config config() const {
    Config all;
    std::vector<std::string> warnings;
    all.settings = global;
    all.databases["shop"] = parse_database("shop", database, warnings).value();
    if (!user.empty()) all.users["bob"] = parse_user("bob", user, warnings).value();
    return all;
  }
  PoolSettings pool() const {
    const Config all = config();
    return resolve_pool(all, all.databases.at("shop"), "bob");
  }
  ClientTimeouts client() const {
    const Config all = config();
    return resolve_client(all, all.databases.at("shop"), "bob");
  }
};

/// A setting that may stand in three places: the result for what stands there.
struct TimeoutRow {
  const char* key;
  std::function<void(Settings&)> set_global;  // to 5
  std::function<int64_t(const Lines&)> get;
  bool of_databases, of_users;
  int64_t zero;  // what an explicit 0 of the most specific place means, with 5 everywhere
};

int64_t whole_seconds(Duration time) { return std::chrono::duration_cast<seconds>(time).count(); }

const TimeoutRow places[] = {
    {"pool_size", [](Settings& s) { s.default_pool_size = 5; },
     [](const Lines& l) { return l.pool().rules.pool_size; }, true, true, 0},
    {"min_pool_size", [](Settings& s) { s.min_pool_size = 5; },
     [](const Lines& l) { return l.pool().rules.min_pool_size; }, true, false, 0},
    {"reserve_pool_size", [](Settings& s) { s.reserve_pool_size = 5; },
     [](const Lines& l) { return l.pool().rules.reserve_pool_size; }, true, true, 0},
    {"server_lifetime", [](Settings& s) { s.server_lifetime = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.pool().rules.server_lifetime); }, true, false, 5},
    {"query_timeout", [](Settings& s) { s.query_timeout = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.pool().query_timeout); }, false, true, 5},
    {"idle_transaction_timeout", [](Settings& s) { s.idle_transaction_timeout = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.pool().idle_transaction_timeout); }, false, true,
     5},
    {"transaction_timeout", [](Settings& s) { s.transaction_timeout = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.pool().transaction_timeout); }, false, true, 5},
    {"client_idle_timeout", [](Settings& s) { s.client_idle_timeout = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.client().idle); }, false, true, 5},
    {"query_wait_timeout", [](Settings& s) { s.query_wait_timeout = seconds(5); },
     [](const Lines& l) { return whole_seconds(l.client().query_wait); }, true, true, 0},
};

}  // namespace

TEST_CASE("pool settings: a user's own beats the database's, which beats everybody's") {
  for (const TimeoutRow& place : places) {
    CAPTURE(place.key);
    Lines lines;
    place.set_global(lines.global);
    CHECK(place.get(lines) == 5);
    const auto line = [&](int value) { return place.key + ("=" + std::to_string(value)); };
    if (place.of_databases) {
      lines.database = line(6);
      CHECK(place.get(lines) == 6);
      CHECK(place.get(Lines{line(0), "", lines.global}) == place.zero);
    }
    if (!place.of_users) continue;
    lines.user = line(7);
    CHECK(place.get(lines) == 7);
    CHECK(place.get(Lines{"", line(0), lines.global}) == place.zero);
  }
}

TEST_CASE("pool settings: the mode of a pool, from the user, the database, everybody") {
  Lines lines;
  CHECK(lines.pool().mode == PoolMode::session);
  lines.database = "pool_mode=transaction";
  CHECK(lines.pool().mode == PoolMode::transaction);
  lines.user = "pool_mode=statement";
  CHECK(lines.pool().mode == PoolMode::statement);
}

TEST_CASE("pool settings: server_fast_close is for sessions") {
  Lines lines;
  lines.global.server_fast_close = true;
  CHECK(lines.pool().fast_close);
  lines.database = "pool_mode=transaction";
  CHECK_FALSE(lines.pool().fast_close);
}

TEST_CASE("pool settings: what makes servers unfit, and what does not") {
  const auto dirties = [](const std::string& before, const std::string& after) {
    return Lines{after, "", {}}.pool().dirties(Lines{before, "", {}}.pool());
  };
  for (const char* change :
       {"host=b", "port=1", "dbname=b", "connect_query='x'", "host=a load_balance_hosts=disable"}) {
    CAPTURE(change);
    CHECK(dirties("host=a", change));
  }
  for (const char* same : {"host=a pool_size=1", "host=a password=b", "host=a timezone=UTC",
                           "host=a min_pool_size=1", "host=a auth_user=b"}) {
    CAPTURE(same);
    CHECK_FALSE(dirties("host=a", same));
  }
}

TEST_CASE("pool settings: any change of * makes the servers of its databases unfit") {
  const auto of_fallback = [](const std::string& text) {
    Config config;
    config.fallback = text;
    return resolve_pool(config, *config.find_database("shop"), "bob");
  };
  CHECK(of_fallback("host=a pool_size=2").dirties(of_fallback("host=a")));
  CHECK_FALSE(of_fallback("host=a").dirties(of_fallback("host=a")));
}

TEST_CASE("pool settings: a database's own limits of connections count from one") {
  const Config config = Lines{"max_db_connections=0 max_db_client_connections=0", "", {}}.config();
  CHECK_FALSE(config.databases.at("shop").max_db_connections);
  CHECK_FALSE(config.databases.at("shop").max_db_client_connections);
}

TEST_CASE("pool settings: session_state of the user, then of the database, then of all") {
  const auto policy = [](const std::string& database, const std::string& user) {
    Lines lines{database, user, {}};
    lines.global.session_state = SessionPolicy::strict;
    return lines.pool().session_state;
  };
  CHECK(policy("", "") == SessionPolicy::strict);
  CHECK(policy("session_state=track", "") == SessionPolicy::track);
  CHECK(policy("session_state=track", "session_state=pgbouncer") == SessionPolicy::pgbouncer);
  CHECK(policy("", "session_state=pgbouncer") == SessionPolicy::pgbouncer);
  CHECK(Lines{}.pool().session_state == SessionPolicy::track);
}

TEST_CASE("pool settings: sessions are looked at where clients share servers") {
  CHECK_FALSE(Lines{"pool_mode=session", "", {}}.pool().tracks_sessions());
  CHECK_FALSE(Lines{"pool_mode=session session_state=strict", "", {}}.pool().tracks_sessions());
  for (const char* mode : {"pool_mode=transaction", "pool_mode=statement"}) {
    CHECK(Lines{mode, "", {}}.pool().tracks_sessions());
    CHECK(Lines{mode, "session_state=strict", {}}.pool().tracks_sessions());
    CHECK_FALSE(Lines{mode, "session_state=pgbouncer", {}}.pool().tracks_sessions());
  }
}
