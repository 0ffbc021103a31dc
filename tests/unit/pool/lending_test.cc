#include <doctest/doctest.h>

#include "tests/unit/pool/rig.h"

namespace headgate {
namespace {

using Names = std::vector<std::string>;

PoolRules size(int pool_size) { return {.pool_size = pool_size}; }

TEST_CASE("pool: the client that has waited longest gets the server given back") {
  PoolRig rig({.rules = size(1)});
  CHECK(rig.ask("a") == true);
  CHECK(rig.ask("b") == false);
  CHECK(rig.ask("c") == false);
  rig.give_back("a");
  rig.give_back("b");
  CHECK(rig.lent_to() == Names{"a", "b", "c"});
  CHECK(rig.opened_in_all() == 1);
}

TEST_CASE("pool: a client that withdraws is passed over") {
  PoolRig rig({.rules = size(1)});
  rig.ask("a");
  rig.ask("b");
  rig.ask("c");
  rig.withdraw("b");
  rig.give_back("a");
  CHECK(rig.lent_to() == Names{"a", "c"});
  CHECK_FALSE(rig.waiting("b"));
}

TEST_CASE("pool: nothing is opened while something is idle") {
  PoolRig rig({.rules = size(5)});
  for (int i = 0; i < 10; ++i) {
    rig.ask("a");
    rig.give_back("a");
  }
  CHECK(rig.opened_in_all() == 1);
}

TEST_CASE("pool: the server used last is lent first, so that the others can grow old") {
  PoolRig rig({.rules = size(3)});
  for (auto name : {"a", "b", "c"}) rig.ask(name);
  for (auto name : {"b", "a", "c"}) rig.give_back(name);
  rig.ask("d");
  rig.ask("e");
  CHECK(rig.server_of("d") == 3);
  CHECK(rig.server_of("e") == 1);
}

TEST_CASE("pool: with round robin the server idle for longest is lent first") {
  PoolRig rig({.rules = {.pool_size = 3, .round_robin = true}});
  for (auto name : {"a", "b", "c"}) rig.ask(name);
  for (auto name : {"b", "a", "c"}) rig.give_back(name);
  rig.ask("d");
  rig.ask("e");
  CHECK(rig.server_of("d") == 2);
  CHECK(rig.server_of("e") == 1);
}

TEST_CASE("pool: a client whose server was dead on arrival keeps its place in front") {
  PoolRig rig({.rules = size(2), .prompt = false});
  rig.ask("a");
  rig.ask("b");
  rig.finish_logins();
  Instant asked = rig.now;
  rig.advance(milliseconds(1));
  rig.ask("c");
  rig.server_dies_at_once("a", asked);
  CHECK(rig.client("a").waiting_since() == asked);
  rig.give_back("b");
  CHECK(rig.lent_to() == Names{"a", "b", "a"});
}

TEST_CASE("pool: a client whose server was dead on arrival gets another that is idle") {
  PoolRig rig({.rules = size(2), .prompt = false});
  rig.ask("a");
  rig.ask("b");
  rig.finish_logins();
  rig.give_back("b");
  rig.server_dies_at_once("a", rig.now);
  CHECK(rig.server_of("a") == 2);
  CHECK(rig.letters() == 0);
}

TEST_CASE("pool: a client that asks does not overtake one that was put back") {
  PoolRig rig({.rules = size(2), .prompt = false});
  rig.ask("a");
  rig.ask("b");
  rig.finish_logins();
  rig.give_back("b");
  RigClient back, late;
  rig.pool().ask_again(back, rig.now, rig.now);
  CHECK(rig.pool().ask(late, rig.now) == nullptr);
  Wish wish = rig.pool().wish(rig.now);
  CHECK(wish.want == Wish::Want::lend);
  CHECK(wish.waiter == &back);
  rig.pool().give_back(*wish.server, rig.now);
  CHECK_FALSE(late.waiting());
  CHECK(rig.in_state(ServerState::active).size() == 2);
}

TEST_CASE("pool: who is put back overtakes those who came later, and nobody else") {
  PoolRig rig({.rules = size(1), .prompt = false});
  RigClient early, middle, late;
  rig.pool().ask(early, rig.now);
  rig.pool().ask(late, rig.now + seconds(2));
  rig.pool().ask_again(middle, rig.now + seconds(1), rig.now + seconds(3));
  std::vector<const Waiter*> order;
  rig.pool().waiters().for_each([&](const Waiter& waiter) { order.push_back(&waiter); });
  CHECK(order == std::vector<const Waiter*>{&early, &middle, &late});
  for (RigClient* client : {&early, &middle, &late}) rig.pool().withdraw(*client, rig.now);
}

TEST_CASE("pool: a server that was used dirtily serves nobody before it is reset") {
  PoolRig rig({.rules = size(1), .prompt = false});
  rig.ask("a");
  rig.finish_logins();
  rig.ask("b");
  rig.give_back_dirty("a");
  CHECK(rig.pool().counts(rig.now).tested == 1);
  CHECK(rig.waiting("b"));
  rig.finish_test(*rig.in_state(ServerState::tested).front());
  CHECK(rig.server_of("b") == 1);
}

TEST_CASE("pool: a server idle for long is checked while its client waits") {
  PoolRig rig({.rules = {.pool_size = 2, .server_check_delay = seconds(30)}});
  rig.ask("a");
  rig.give_back("a");
  rig.advance(seconds(30));
  CHECK(rig.pool().counts(rig.now).used == 1);
  CHECK(rig.ask("b") == false);
  CHECK(rig.opened_in_all() == 1);  // the checked one is on its way
  rig.finish_test(*rig.in_state(ServerState::tested).front());
  CHECK(rig.server_of("b") == 1);
}

TEST_CASE("pool: a server that fails its check is replaced for the client that waits for it") {
  PoolRig rig({.rules = size(1)});
  rig.ask("a");
  rig.give_back("a");
  rig.advance(seconds(60));
  rig.ask("b");
  rig.fail_test(*rig.in_state(ServerState::tested).front());
  CHECK(rig.server_of("b") == 2);
}

TEST_CASE("pool: a fresh server is preferred to one that must be checked first") {
  PoolRig rig({.rules = {.pool_size = 2, .round_robin = true}});
  rig.ask("a");
  rig.ask("b");
  rig.give_back("a");
  rig.advance(seconds(60));
  rig.give_back("b");
  CHECK(rig.ask("c") == true);
  CHECK(rig.server_of("c") == 2);
}

TEST_CASE("pool: without a check delay no server is ever checked") {
  PoolRig rig({.rules = {.pool_size = 1, .server_check_delay = {}}});
  rig.ask("a");
  rig.give_back("a");
  rig.advance(seconds(500));
  CHECK(rig.ask("a") == true);
}

TEST_CASE("pool: who waits for a check gets the first server that is free, not that one") {
  PoolRig rig({.rules = size(2), .prompt = false});
  rig.ask("a");
  rig.ask("b");
  rig.finish_logins();
  rig.give_back("a");
  rig.advance(seconds(60));
  rig.ask("c");
  rig.give_back("b");
  CHECK(rig.server_of("c") == 2);
  rig.finish_test(*rig.in_state(ServerState::tested).front());
  CHECK(rig.pool().counts(rig.now).idle == 1);
}

TEST_CASE("pool: every server is in one place and counted there") {
  PoolRig rig({.rules = size(10), .prompt = false});
  for (auto name : {"a", "b", "c", "d", "e"}) rig.ask(name);
  auto logins = rig.in_state(ServerState::login);
  REQUIRE(logins.size() == 5);
  for (size_t i = 0; i < 4; ++i) rig.finish_login(*logins[i]);
  rig.give_back("a");
  rig.give_back_dirty("b");
  rig.crash(*rig.client("c").server);
  auto counts = rig.pool().counts(rig.now);
  CHECK(counts.login == 1);
  CHECK(counts.idle == 0);  // "e" had it at once
  CHECK(rig.server_of("e") == 1);
  CHECK(counts.tested == 1);
  CHECK(counts.active == 2);
  CHECK(counts.closing == 1);
  CHECK(rig.shared().open() == 5);
  CHECK(rig.shared().staying() == 4);
  int seen = 0;
  rig.pool().for_each_server([&](PooledServer&) { ++seen; });
  CHECK(seen == 5);
}

TEST_CASE("server: no step of its life leads anywhere but where the table says") {
  for (size_t state = 0; state < server_states; ++state) {
    for (size_t event = 0; event < server_events; ++event) {
      auto next = after(ServerState(state), ServerEvent(event));
      int rows = 0;
      for (const ServerStep& step : server_life) {
        if (step.from != ServerState(state) || step.event != ServerEvent(event)) continue;
        ++rows;
        CHECK(next == step.to);
      }
      CHECK(rows == (next ? 1 : 0));
    }
  }
  for (size_t event = 0; event < server_events; ++event) {
    CHECK_FALSE(after(ServerState::closing, ServerEvent(event)));
  }
}

}  // namespace
}  // namespace headgate
