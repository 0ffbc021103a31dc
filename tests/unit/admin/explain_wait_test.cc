#include "admin/explain_wait.h"

#include <doctest/doctest.h>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using namespace headgate::test;

namespace {

HolderRow worker() {
  HolderRow holder;
  holder.user = "web";
  holder.client = "10.0.0.7:5123";
  holder.application_name = "worker";
  holder.process = 4711;
  holder.held_us = 31'000'000;
  holder.holding = Holding::idle_in_transaction;
  return holder;
}

PoolNeed full_pool() {
  PoolNeed pool;
  pool.database = "app";
  pool.user = "web";
  pool.mode = PoolMode::transaction;
  pool.open = pool.pool_size = pool.database_open = pool.user_open = 20;
  pool.use.idle_in_transaction = 14;
  pool.use.running = 6;
  pool.use.waiting = 37;
  pool.use.longest = worker();
  return pool;
}

Explanation explained(const PoolNeed& pool, View user = "web") {
  return explain_wait(pool, user, seconds(120));
}

bool has(const std::string& text, View part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("explain: who holds the servers, how many, for how long, and who waits") {
  const Explanation all = explained(full_pool());
  CHECK(all.detail ==
        "All 20 of 20 servers of pool app/web are in use: 14 idle in transaction, 6 running; the "
        "longest for 31 s by application worker (10.0.0.7:5123), pid 4711; 37 clients wait, this "
        "one for 120 s.");
  CHECK(has(all.hint, "transactions that the application leaves open"));
  CHECK(has(all.hint, "idle_transaction_timeout"));
}

TEST_CASE("explain: one is one") {
  PoolNeed pool = full_pool();
  pool.open = pool.pool_size = 1;
  pool.use = {};
  pool.use.running = pool.use.waiting = 1;
  CHECK(explain_wait(pool, "web", milliseconds(1500)).detail ==
        "All 1 of 1 server of pool app/web is in use: 1 running; 1 client waits, this one for 1.5 "
        "s.");
}

TEST_CASE("explain: what is unknown is said to be nothing else") {
  PoolNeed pool = full_pool();
  pool.use.running = 4;
  CHECK(has(explained(pool).detail, "14 idle in transaction, 4 running, 2 changing hands;"));
}

TEST_CASE("explain: what another user's client calls itself is not told") {
  const std::string detail = explained(full_pool(), "somebody").detail;
  CHECK(has(detail, "the longest for 31 s by another user's client, pid 4711"));
  CHECK_FALSE(has(detail, "worker"));
  CHECK_FALSE(has(detail, "10.0.0.7"));
}

TEST_CASE("explain: the hint goes by what most servers are busy with") {
  PoolNeed pool = full_pool();
  pool.use.running = 18;
  pool.use.idle_in_transaction = 2;
  CHECK(has(explained(pool).hint, "slow statements"));
  CHECK(has(explained(pool).hint, "pool_size"));

  pool.use.running = 0;
  pool.use.between_transactions = 18;
  pool.use.pins = Pin::advisory_lock;
  CHECK(has(explained(pool).detail, "18 kept between transactions (advisory lock), 2 idle in"));
  CHECK(has(explained(pool).hint, "(advisory lock)"));
  CHECK(has(explained(pool).hint, "docs/sessions.md"));

  pool.mode = PoolMode::session;
  CHECK(has(explained(pool).detail, "18 idle in their clients' sessions"));
  CHECK(has(explained(pool).hint, "pool_mode = session"));
}

TEST_CASE("explain: the limit that is in the way is named") {
  PoolNeed pool = full_pool();
  pool.open = 12;
  pool.use.idle_in_transaction = 6;
  pool.database_open = pool.database_limit = 30;
  CHECK(obstacle_of(pool) == Obstacle::database_full);
  CHECK(has(explained(pool).detail,
            "All 30 of 30 servers of database app are in use (max_db_connections), 12 of them in "
            "pool app/web: 6 "));
  CHECK(has(explained(pool).hint, "The limit is max_db_connections"));

  pool.database_limit = 0;
  pool.user_open = pool.user_limit = 25;
  CHECK(obstacle_of(pool) == Obstacle::user_full);
  CHECK(has(explained(pool).hint, "The limit is max_user_connections"));

  pool.user_limit = 0;
  pool.open = 22;
  pool.reserve = 5;
  CHECK(obstacle_of(pool) == Obstacle::pool_full);
  CHECK(has(explained(pool).detail, "22 of 25 servers of pool app/web are in use"));
}

TEST_CASE("explain: a pool that is paused, or has no host, or cannot be opened") {
  PoolNeed pool = full_pool();
  pool.failure = "password authentication failed for user \"web\"";
  pool.retry_us = 12'000'000;
  CHECK(obstacle_of(pool) == Obstacle::pool_full);  // those that are there serve on
  pool.use = {};
  pool.open = 0;
  CHECK(has(explained(pool).detail,
            "No server of pool app/web can be opened: password authentication failed for user "
            "\"web\"; the next attempt is due in 12 s (server_login_retry); 1 client waits"));
  CHECK(has(explained(pool).hint, "user and password"));
  CHECK(explain_failing(pool).detail ==
        "Pool app/web has no server; the next attempt is due in 12 s (server_login_retry).");

  pool.missing_role = "primary";
  CHECK(has(explained(pool).detail, "No host of database app is known to be primary"));
  CHECK(has(explained(pool).hint, "SHOW HOSTS"));

  pool.paused = true;
  CHECK(has(explained(pool).detail, "Pool app/web is paused"));
  CHECK(has(explained(pool).hint, "RESUME"));
}

TEST_CASE("explain: servers that open slowly") {
  PoolNeed pool = full_pool();
  pool.use = {};
  pool.use.opening = 2;
  pool.use.opening_us = 12'000'000;
  pool.open = pool.pool_size = 2;
  CHECK(obstacle_of(pool) == Obstacle::opening);
  CHECK(has(explained(pool).detail,
            "A server of pool app/web is being opened, for 12 s now: 2 being opened"));
}

TEST_CASE("explain: the pool of a replica has its host in its name") {
  PoolNeed pool = full_pool();
  pool.host = "10.1.1.2";
  CHECK(has(explained(pool).detail, "of pool app/web at replica 10.1.1.2 are in use"));
}

TEST_CASE("explain: names of others are cut, and can forge nothing") {
  PoolNeed pool = full_pool();
  pool.database = std::string(5000, 'd');
  pool.user = "\n\xc3\xa9" + std::string(61, 'u');
  pool.host = std::string(300, 'h');
  pool.failure = std::string(100'000, 'f');
  pool.use.longest->user = "web";
  pool.use.longest->application_name = std::string("a\0b\r\n\xff", 6) + std::string(500, 'x');
  for (const bool lent : {true, false}) {
    if (!lent) pool.use.running = pool.use.idle_in_transaction = 0;
    const Explanation all = explained(pool);
    CHECK(all.detail.size() < 1000);
    CHECK(all.hint.size() < 500);
    for (const char c : all.detail) CHECK(static_cast<unsigned char>(c) >= ' ');
    CHECK(has(all.detail, "?\xc3\xa9uuu"));
    if (lent) CHECK(has(all.detail, "a?b???xxx"));
  }
}

TEST_CASE("explain: parts of workers add up, and the oldest holder is the oldest of all") {
  PoolUse sum, one, other;
  one.running = 2;
  one.waiting = 3;
  one.longest = worker();
  other.running = 1;
  other.idle = 4;
  other.waiting = 5;
  other.pins = Pin::cursor;
  other.longest = worker();
  other.longest->held_us += 1;
  other.longest->process = 7;
  for (const PoolUse* part : {&other, &one, &sum}) add(sum, PoolUse(*part));
  CHECK(sum.running == 6);  // with itself
  CHECK(sum.idle == 8);
  CHECK(sum.waiting == 16);
  CHECK(sum.pins.has(Pin::cursor));
  CHECK(sum.longest->process == 7);
}

TEST_CASE("explain: limits of clients, and what a client was too slow with") {
  CHECK(
      has(explain_full(ErrorCode::max_client_conn, {}, 100).detail, "All 100 client connections"));
  CHECK(has(explain_full(ErrorCode::max_db_client_connections, "app", 5).detail,
            "max_db_client_connections allows to database app"));
  CHECK(has(explain_full(ErrorCode::max_user_client_connections, "web", 5).detail,
            "max_user_client_connections allows to user web"));
  CHECK(explain_overdue(ErrorCode::idle_transaction_timeout, seconds(61), seconds(60)).detail ==
        "The transaction was idle for 61 s; idle_transaction_timeout is 60 s.");
  Error error(ErrorCode::transaction_timeout);
  error.detail = "said before";
  explain(error, explain_overdue(error.code, seconds(2), seconds(1)));
  CHECK(error.detail == "said before");
  CHECK(has(error.hint, "raise transaction_timeout"));
}

// --- on the console

TEST_CASE("console: SHOW WAITS has who waits longest first, with the place in the pool's queue") {
  Snapshot snapshot;
  snapshot.needs.push_back(full_pool());
  PoolNeed paused = full_pool();
  paused.database = "other";
  paused.paused = true;
  snapshot.needs.push_back(paused);
  const auto wait = [&](const char* database, int64_t us, bool queued = true) {
    WaitRow row;
    row.database = database;
    row.user = "someone";
    row.pool_user = "web";
    row.wait_us = us;
    row.queued = queued;
    row.waits_for = queued ? "server" : "listener";
    snapshot.waits.push_back(row);
  };
  wait("app", 1'500'000);
  wait("app", 3'000'000);
  wait("other", 2'000'000);
  wait("app", 500'000, false);
  wait("gone", 100'000);
  const Answer answer = show("SHOW WAITS", snapshot);
  CHECK(
      answer.heads() ==
      "database t, user t, host t, addr t, port i, application_name t, state t, wait i, wait_us i, "
      "place i, pool_size i, in_use i, limit t, reason t, id i");
  using Texts = std::vector<Text>;
  CHECK(answer.column("database") == Texts{"app", "other", "app", "app", "gone"});
  CHECK(answer.column("place") == Texts{"1", "1", "2", std::nullopt, "1"});
  CHECK(answer.column("state") == Texts{"server", "paused", "server", "listener", "server"});
  CHECK(answer.column("wait") == Texts{"3", "2", "1", "0", "0"});
  CHECK(answer.column("in_use") == Texts{"20", "20", "20", "20", std::nullopt});
  CHECK(answer.column("limit").at(0) == "pool_size");
  CHECK(answer.column("reason").at(0) ==
        "All 20 of 20 servers of pool app/web are in use: 14 idle in transaction, 6 running");
}

TEST_CASE("console: SHOW HOLDERS has who holds longest first, what it does and what keeps it") {
  Snapshot snapshot;
  HolderRow holder = worker();
  holder.transaction_us = 30'000'000;
  snapshot.holders.push_back(holder);
  holder.held_us = 90'000'001;
  holder.transaction_us.reset();
  holder.holding = Holding::between_transactions;
  holder.kept_by = "pinned: advisory lock";
  snapshot.holders.push_back(holder);
  holder.held_us = 5;
  holder.kept_by.clear();
  holder.holding = Holding::running;
  snapshot.holders.push_back(holder);
  const Answer answer = show("SHOW HOLDERS", snapshot);
  using Texts = std::vector<Text>;
  CHECK(answer.column("held") == Texts{"90", "31", "0"});
  CHECK(answer.column("held_us") == Texts{"1", "0", "5"});
  CHECK(answer.column("state") == Texts{"idle", "idle in transaction", "running"});
  CHECK(answer.column("reason") ==
        Texts{"pinned: advisory lock", "its transaction", "its statement"});
  CHECK(answer.column("transaction") == Texts{std::nullopt, "30", std::nullopt});
}
