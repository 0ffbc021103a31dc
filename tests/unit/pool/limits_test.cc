#include <doctest/doctest.h>

#include "tests/unit/pool/rig.h"

namespace headgate {
namespace {

using Names = std::vector<std::string>;

std::string name(int number) { return "c" + std::to_string(number); }

TEST_CASE("limits: a pool never has more servers than pool_size, those on their way included") {
  PoolRig rig({.workers = 3, .rules = {.pool_size = 4}, .prompt = false});
  for (int i = 0; i < 12; ++i) rig.ask(name(i), static_cast<WorkerId>(i % 3));
  CHECK(rig.shared().open() == 4);
  CHECK(rig.in_state(ServerState::login).size() == 4);
}

TEST_CASE("limits: a connection counts until it has gone, not until it is being closed") {
  PoolRig rig({.rules = {.pool_size = 1}, .prompt = false});
  rig.ask("a");
  rig.finish_logins();
  rig.ask("b");
  rig.crash(*rig.client("a").server);
  CHECK(rig.opened_in_all() == 1);
  rig.finish_close(*rig.in_state(ServerState::closing).front());
  rig.deliver_all();
  CHECK(rig.opened_in_all() == 2);
}

TEST_CASE("limits: pool_size 0 sets none") {
  PoolRig rig({.rules = {.pool_size = 0}});
  for (int i = 0; i < 100; ++i) rig.ask(name(i));
  CHECK(rig.shared().open() == 100);
}

TEST_CASE("limits: so many servers are opened at a time, and the next ones as places get free") {
  PoolRig rig({.workers = 2, .rules = {.pool_size = 100}, .prompt = false});
  for (int i = 0; i < 10; ++i) rig.ask(name(i), 0);
  rig.ask("other", 1);
  CHECK(rig.shared().opening() == SharedPool::max_opening);
  // Worker 0 needs its places for itself; worker 1 is told when it does not any more.
  while (rig.waiting("other")) {
    rig.finish_login(*rig.in_state(ServerState::login).front());
    CHECK(rig.shared().opening() <= SharedPool::max_opening);
    rig.deliver_all();
  }
  CHECK(rig.server_of("other") > 0);
}

TEST_CASE("limits: who was refused for a database's limit is told when a permit is free") {
  PoolRig rig({.workers = 2, .pools = 2, .rules = {.pool_size = 5}, .database_limit = 2});
  rig.ask("a", 0, 0);
  rig.ask("b", 1, 0);
  rig.ask("c", 1, 1);
  CHECK(rig.waiting("c"));
  CHECK(rig.database_permits(0).used() == 2);
  rig.crash(*rig.client("a").server);
  CHECK(rig.server_of("c") == 3);
  CHECK(rig.database_permits(0).used() == 2);
}

TEST_CASE("limits: who was refused for a user's limit is told when a permit is free") {
  PoolRig rig({.pools = 3, .rules = {.pool_size = 5}, .user_limit = 1});
  rig.ask("a", 0, 0);
  rig.ask("b", 0, 2);  // another database, the same user
  rig.ask("c", 0, 1);  // the same database, another user
  CHECK(rig.server_of("c") == 2);
  CHECK(rig.waiting("b"));
  rig.crash(*rig.client("a").server);
  CHECK(rig.server_of("b") == 3);
}

TEST_CASE("limits: a database's limit evicts the server of another pool that is idle for longest") {
  PoolRig rig({.pools = 2, .rules = {.pool_size = 5}, .database_limit = 3});
  for (auto client : {"a", "b", "c"}) rig.ask(client, 0, 0);
  rig.give_back("b");
  rig.advance(seconds(1));
  rig.give_back("a");
  rig.ask("d", 0, 1);
  CHECK(rig.server_of("d") == 4);
  CHECK(rig.closed_because() == Names{"evicted"});
  CHECK(rig.in_state(ServerState::idle).front()->number == 1);
}

TEST_CASE(
    "limits: one eviction for each client that waits, and no more until it had time to help") {
  PoolRig rig({.pools = 2, .rules = {.pool_size = 9}, .database_limit = 9, .prompt = false});
  for (int i = 0; i < 9; ++i) rig.ask(name(i), 0, 0);
  while (!rig.in_state(ServerState::login).empty()) rig.finish_logins();
  for (int i = 0; i < 9; ++i) rig.give_back(name(i));
  rig.ask("x", 0, 1);
  rig.ask("y", 0, 1);
  for (int i = 0; i < 5; ++i) rig.look_after(rig.share(0, 1));
  CHECK(rig.in_state(ServerState::closing).size() == 2);
  rig.advance(Pool::eviction_time);
  CHECK(*rig.pool(0, 1).deadline(rig.now) <= rig.now);
  rig.tend();
  CHECK(rig.in_state(ServerState::closing).size() == 4);
}

TEST_CASE("limits: who waits comes before another pool's min_pool_size") {
  PoolRig rig({.pools = 2, .rules = {.pool_size = 5, .min_pool_size = 1}, .database_limit = 1});
  rig.ask("a", 0, 0);
  rig.give_back("a");
  rig.ask("b", 0, 1);
  CHECK(rig.server_of("b") == 2);
  // And it is not taken back before others have had time.
  rig.give_back("b");
  CHECK_FALSE(rig.pool(0, 0).wants_minimum(true, rig.now));
}

TEST_CASE("limits: the reserve opens when the first client has waited for its time") {
  PoolRig rig(
      {.rules = {.pool_size = 1, .reserve_pool_size = 1, .reserve_pool_timeout = seconds(5)}});
  rig.ask("a");
  rig.ask("b");
  rig.ask("c");
  CHECK(rig.pool().deadline(rig.now) == rig.now + seconds(5));
  rig.advance(seconds(5) - microseconds(1));
  rig.tend();
  CHECK(rig.opened_in_all() == 1);
  rig.advance(microseconds(1));
  rig.tend();
  CHECK(rig.server_of("b") == 2);
  CHECK(rig.reserve_opened() == 1);
  CHECK(rig.waiting("c"));
}

TEST_CASE("limits: a reserve_pool_timeout of 0 means no reserve") {
  PoolRig rig({.rules = {.pool_size = 1, .reserve_pool_size = 5, .reserve_pool_timeout = {}}});
  rig.ask("a");
  rig.ask("b");
  rig.advance(seconds(100));
  rig.look_after(rig.share());
  CHECK(rig.opened_in_all() == 1);
}

TEST_CASE("limits: servers above a lowered limit are closed, busy ones when they are given back") {
  PoolRig rig({.workers = 2, .rules = {.pool_size = 6}});
  for (int i = 0; i < 6; ++i) rig.ask(name(i), static_cast<WorkerId>(i % 2));
  rig.give_back(name(0));
  rig.give_back(name(1));
  rig.set_rules({.pool_size = 3});
  CHECK(rig.closed_because() ==
        Names{"too many servers in the pool", "too many servers in the pool"});
  rig.give_back(name(2));
  CHECK(rig.closed_because() == Names{"too many servers in the pool"});
  rig.give_back(name(3));
  CHECK(rig.closed_because().empty());
  CHECK(rig.shared().open() == 3);
}

TEST_CASE("permits: exactly as many as the limit, and a refusal is remembered once") {
  Permits permits(2);
  CHECK(permits.try_take());
  CHECK(permits.try_take());
  CHECK_FALSE(permits.try_take());
  CHECK_FALSE(permits.try_take());
  CHECK(permits.used() == 2);
  CHECK(permits.give_back());
  CHECK_FALSE(permits.give_back());
}

TEST_CASE("permits: what is taken anyway counts too") {
  Permits permits(1);
  permits.take_anyway();
  permits.take_anyway();
  CHECK(permits.used() == 2);
  CHECK_FALSE(permits.try_take());
  permits.give_back();
  CHECK_FALSE(permits.try_take());
  permits.give_back();
  CHECK(permits.try_take());
}

TEST_CASE("permits: a refused connection has taken nothing anywhere") {
  Permits database(1), user(5);
  SharedPool pool(1, "db", "user", {database, user}, 1);
  using Take = SharedPool::Take;
  CHECK(pool.try_open(2) == Take::taken);
  CHECK(pool.try_open(2) == Take::database_full);
  CHECK(pool.try_open(1) == Take::pool_full);
  CHECK(pool.open() == 1);
  CHECK(pool.opening() == 1);
  CHECK(database.used() == 1);
  CHECK(user.used() == 1);
  database.set_limit(0);
  user.set_limit(1);
  CHECK(pool.try_open(2) == Take::user_full);
  CHECK(database.used() == 1);
}

}  // namespace
}  // namespace headgate
