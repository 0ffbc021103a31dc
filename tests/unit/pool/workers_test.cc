#include <doctest/doctest.h>

#include "tests/unit/pool/rig.h"

namespace headgate {
namespace {

using Names = std::vector<std::string>;

PoolRig::Options two_workers(int pool_size, bool prompt = true) {
  return {.workers = 2, .rules = {.pool_size = pool_size}, .prompt = prompt};
}

TEST_CASE("workers: an idle server of another worker is handed over rather than one opened") {
  PoolRig rig(two_workers(5));
  rig.ask("a", 0);
  rig.give_back("a");
  rig.ask("b", 1);
  CHECK(rig.server_of("b") == 1);
  CHECK(rig.opened_in_all() == 1);
  CHECK(rig.pool(0).handed_over() == 1);
  rig.give_back("b");
  CHECK(rig.shared().idle_of(0) == 0);
  CHECK(rig.shared().idle_of(1) == 1);
}

TEST_CASE("workers: a server given back where nobody waits goes to the worker that is hungry") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  rig.ask("b", 1);
  CHECK(rig.waiting("b"));
  CHECK(rig.shared().hungry() == mask_of(1));
  rig.give_back("a");
  CHECK(rig.server_of("b") == 1);
  CHECK(rig.shared().hungry() == 0);
}

TEST_CASE("workers: a server given back stays for the client that asks in the same turn") {
  PoolRig rig(two_workers(1, false));
  rig.ask("a", 0);
  rig.finish_logins();
  rig.ask("b", 1);
  rig.give_back("a");
  CHECK(rig.ask("c", 0));
  rig.deliver_all();
  CHECK(rig.waiting("b"));
  rig.give_back("c");
  rig.deliver_all();
  CHECK(rig.server_of("b") == 1);
}

TEST_CASE("workers: of several hungry workers the one hungry for longest is served") {
  PoolRig rig({.workers = 4, .rules = {.pool_size = 1}});
  rig.ask("a", 0);
  for (auto [name, worker] : {std::pair{"b", 2}, {"c", 1}, {"d", 3}}) {
    rig.ask(name, static_cast<WorkerId>(worker));
    rig.advance(milliseconds(2));
  }
  for (auto name : {"a", "b", "c", "d"}) rig.give_back(name);
  CHECK(rig.lent_to() == Names{"a", "b", "c", "d"});
}

TEST_CASE("workers: one's own waiter comes first while the other is not much older") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  rig.ask("old", 1);
  rig.advance(Pool::fairness_bound);
  rig.ask("own", 0);
  rig.give_back("a");
  CHECK(rig.server_of("own") == 1);
}

TEST_CASE("workers: a waiter elsewhere that is older by more than the bound comes first") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  rig.ask("old", 1);
  rig.advance(Pool::fairness_bound + microseconds(1));
  rig.ask("own", 0);
  rig.give_back("a");
  CHECK(rig.server_of("old") == 1);
  rig.give_back("old");
  CHECK(rig.server_of("own") == 1);
}

TEST_CASE("workers: all waiters of a worker are served, though it is marked as hungry only once") {
  PoolRig rig(two_workers(3));
  for (auto name : {"a", "b", "c"}) rig.ask(name, 0);
  for (auto name : {"x", "y", "z"}) rig.ask(name, 1);
  for (auto name : {"a", "b", "c"}) rig.give_back(name);
  CHECK(rig.lent_to() == Names{"a", "b", "c", "x", "y", "z"});
}

TEST_CASE("workers: no more servers are fetched than clients wait") {
  PoolRig rig(two_workers(5, false));
  for (auto name : {"a", "b", "c", "d"}) rig.ask(name, 0);
  rig.finish_logins();
  for (auto name : {"a", "b", "c", "d"}) rig.give_back(name);
  rig.ask("x", 1);
  rig.ask("y", 1);
  rig.look_after(rig.share(1));
  CHECK(rig.letters() == 2);
  rig.deliver_all();
  CHECK(rig.server_of("x") > 0);
  CHECK(rig.server_of("y") > 0);
  CHECK(rig.shared().idle_of(0) == 2);
  CHECK(rig.opened_in_all() == 4);
}

TEST_CASE("workers: one idle server is asked for once, and for the second client one is opened") {
  PoolRig rig(two_workers(5, false));
  rig.ask("a", 0);
  rig.finish_logins();
  rig.give_back("a");
  rig.ask("x", 1);
  rig.ask("y", 1);
  CHECK(rig.letters() == 1);
  CHECK(rig.in_state(ServerState::login).size() == 1);
}

TEST_CASE("workers: a fetch that comes too late ends in a server opened, not in asking for ever") {
  PoolRig rig(two_workers(5, false));
  rig.ask("a", 0);
  rig.finish_logins();
  rig.give_back("a");
  rig.ask("x", 1);
  rig.ask("a");  // takes it before the letter is there
  rig.deliver_all();
  CHECK(rig.waiting("x"));
  CHECK(rig.in_state(ServerState::login).size() == 1);
  rig.finish_logins();
  CHECK(rig.server_of("x") == 2);
}

TEST_CASE("workers: a worker whose idle servers may not be lent is asked once, not for ever") {
  PoolRig rig(two_workers(2, false));
  rig.ask("a", 0);
  rig.finish_logins();
  rig.give_back("a");
  rig.servers().front()->set_close_needed();
  rig.ask("x", 1);
  rig.deliver_all();
  CHECK(rig.shared().idle_of(0) == 0);
  rig.finish_logins();
  CHECK(rig.server_of("x") == 2);
}

TEST_CASE("workers: a server handed over to a worker whose clients have left stays there, idle") {
  PoolRig rig(two_workers(1, false));
  rig.ask("a", 0);
  rig.finish_logins();
  rig.give_back("a");
  rig.ask("x", 1);
  rig.withdraw("x");
  CHECK(rig.shared().hungry() == 0);
  rig.deliver_all();
  CHECK(rig.shared().idle_of(1) == 1);
}

TEST_CASE("workers: a server that arrives unneeded goes on to a worker that is hungry meanwhile") {
  PoolRig rig({.workers = 3, .rules = {.pool_size = 1}, .prompt = false});
  rig.ask("a", 0);
  rig.finish_logins();
  rig.give_back("a");
  rig.ask("x", 1);
  rig.deliver(0);  // it is on its way to worker 1
  rig.ask("z", 2);
  rig.withdraw("x");
  rig.deliver_all();
  CHECK(rig.server_of("z") == 1);
}

TEST_CASE("workers: the hunger of the last waiter ends when it leaves") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  rig.ask("b", 1);
  rig.withdraw("b");
  CHECK(rig.shared().hungry() == 0);
  rig.give_back("a");
  CHECK(rig.shared().idle_of(0) == 1);
}

TEST_CASE("workers: the age of the oldest waiter is published anew only when it moved enough") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  Instant first = rig.now;
  rig.ask("b", 1);
  rig.advance(Pool::hunger_step);
  rig.ask("c", 1);
  rig.advance(microseconds(1));
  rig.ask("d", 1);
  CHECK(rig.shared().hungry_since(1) == first);
  rig.withdraw("b");
  CHECK(rig.shared().hungry_since(1) == first);
  rig.withdraw("c");
  CHECK(rig.shared().hungry_since(1) == rig.now);
}

TEST_CASE("workers: a permit that gets free anywhere opens a server for whoever is hungry") {
  PoolRig rig(two_workers(1));
  rig.ask("a", 0);
  rig.ask("b", 1);
  rig.crash(*rig.client("a").server);
  CHECK(rig.server_of("b") == 2);
}

TEST_CASE("workers: a stale server from elsewhere is checked before it is lent") {
  PoolRig rig(two_workers(2));
  rig.ask("a", 0);
  rig.give_back("a");
  rig.advance(seconds(60));
  rig.ask("b", 1);
  CHECK(rig.waiting("b"));
  REQUIRE(rig.in_state(ServerState::tested).size() == 1);
  CHECK(rig.pool(1).counts(rig.now).tested == 1);
  rig.finish_test(*rig.in_state(ServerState::tested).front());
  CHECK(rig.server_of("b") == 1);
}

// A client on each worker, in turns: each transaction finds its server at the other worker.
void bounce(PoolRig& rig, int times) {
  for (int i = 0; i < times; ++i) {
    for (auto [name, worker] : {std::pair{"a", 0}, {"b", 1}}) {
      rig.ask(name, static_cast<WorkerId>(worker));
      rig.advance(milliseconds(1));
      rig.give_back(name);
    }
  }
}

TEST_CASE("workers: a pool whose servers bounce opens one more, and then they bounce no more") {
  PoolRig rig(two_workers(5));
  bounce(rig, 400);
  CHECK(rig.opened_in_all() == 1);
  bounce(rig, 400);
  CHECK(rig.opened_in_all() == 2);
  auto handed_over = rig.pool(0).handed_over() + rig.pool(1).handed_over();
  bounce(rig, 2000);
  CHECK(rig.opened_in_all() == 2);
  CHECK(rig.pool(0).handed_over() + rig.pool(1).handed_over() == handed_over);
}

TEST_CASE("workers: servers that bounce keep bouncing where the limit allows no more of them") {
  PoolRig rig(two_workers(1));
  bounce(rig, 2000);
  CHECK(rig.opened_in_all() == 1);
  CHECK(rig.pool(0).handed_over() == 2000);
}

TEST_CASE("workers: a few hand-overs are no reason to open") {
  PoolRig rig(two_workers(5));
  for (int i = 0; i < 50; ++i) {
    bounce(rig, 1);
    rig.advance(milliseconds(300));
  }
  CHECK(rig.opened_in_all() == 1);
}

}  // namespace
}  // namespace headgate
