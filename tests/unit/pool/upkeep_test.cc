#include <doctest/doctest.h>

#include <set>

#include "tests/unit/pool/rig.h"

namespace headgate {
namespace {

using Names = std::vector<std::string>;

std::string name(int number) { return "c" + std::to_string(number); }

// So many servers, opened at once and idle.
void fill(PoolRig& rig, int servers, WorkerId worker = 0) {
  for (int i = 0; i < servers; ++i) rig.ask(name(i), worker);
  for (int i = 0; i < servers; ++i) rig.give_back(name(i));
}

TEST_CASE("lifetime: a server ends within the last tenth of its lifetime, when it is given back") {
  PoolRig rig({.rules = {.pool_size = 1, .server_lifetime = seconds(1000)}});
  rig.ask("a");
  rig.advance(seconds(900) - microseconds(1));
  rig.give_back("a");
  CHECK(rig.closed_because().empty());
  rig.advance(seconds(-1));
  rig.ask("a");
  rig.advance(seconds(101));
  rig.give_back("a");
  CHECK(rig.closed_because() == Names{"server lifetime over"});
}

TEST_CASE("lifetime: an idle server is retired by its deadline") {
  PoolRig rig(
      {.rules = {.pool_size = 1, .server_lifetime = seconds(1000), .server_idle_timeout = {}}});
  rig.ask("a");
  Instant opened = rig.now;
  rig.give_back("a");
  auto deadline = rig.pool().deadline(rig.now);
  REQUIRE(deadline);
  CHECK(*deadline >= opened + seconds(900));
  CHECK(*deadline <= opened + seconds(1000));
  rig.now = *deadline - microseconds(1);
  rig.tend();
  CHECK(rig.shared().open() == 1);
  rig.now = *deadline;
  rig.tend();
  CHECK(rig.closed_because() == Names{"server lifetime over"});
  CHECK(rig.pool().deadline(rig.now) == std::nullopt);
}

TEST_CASE("lifetime: servers opened at once do not expire at once") {
  PoolRig rig(
      {.workers = 2,
       .rules = {.pool_size = 10, .server_lifetime = seconds(1000), .server_idle_timeout = {}}});
  fill(rig, 10);
  rig.advance(seconds(1000));
  rig.tend();
  CHECK(rig.closed_because().size() == 1);
  rig.advance(seconds(99));
  rig.tend();
  CHECK(rig.closed_because().empty());
  rig.advance(seconds(1));
  rig.tend();
  CHECK(rig.closed_because().size() == 1);
}

TEST_CASE("lifetime: its end differs from server to server") {
  std::set<Instant> ends;
  PoolRig rig(
      {.rules = {.pool_size = 20, .server_lifetime = seconds(1000), .server_idle_timeout = {}}});
  for (int i = 0; i < 20; ++i) {
    rig.ask(name(i));
    rig.give_back(name(i));
    rig.tend(rig.share(), true);
    ends.insert(*rig.pool().deadline(rig.now));
    rig.crash(*rig.in_state(ServerState::idle).front());
  }
  CHECK(ends.size() >= 15);
}

TEST_CASE("lifetime: 0 means that a server is used once") {
  PoolRig rig({.rules = {.pool_size = 1, .server_lifetime = {}}});
  rig.ask("a");
  rig.ask("b");
  rig.give_back("a");
  CHECK(rig.closed_because() == Names{"server lifetime over"});
  CHECK(rig.server_of("b") == 2);
}

TEST_CASE("lifetime: a server that nobody has used yet is not closed for a lifetime of 0") {
  PoolRig rig({.rules = {.pool_size = 3, .min_pool_size = 2, .server_lifetime = {}}});
  rig.tend(rig.share(), true);
  rig.advance(seconds(100));
  rig.tend(rig.share(), true);
  CHECK(rig.shared().open() == 2);
  CHECK(rig.opened_in_all() == 2);
}

TEST_CASE("lifetime: a changed setting holds for the servers that are there") {
  PoolRig rig({.rules = {.pool_size = 1, .server_lifetime = seconds(1000)}});
  rig.ask("a");
  rig.set_rules({.pool_size = 1, .server_lifetime = seconds(10)});
  rig.advance(seconds(10));
  rig.give_back("a");
  CHECK(rig.closed_because() == Names{"server lifetime over"});
}

TEST_CASE("idle: servers idle for too long are closed, those that were lent lately are not") {
  PoolRig rig({.rules = {.pool_size = 3, .server_idle_timeout = seconds(10)}});
  fill(rig, 3);
  Instant returned = rig.now;
  rig.advance(seconds(5));
  rig.ask("late");
  rig.give_back("late");
  CHECK(rig.pool().deadline(rig.now) == returned + seconds(10));
  rig.now = returned + seconds(10);
  rig.tend();
  CHECK(rig.closed_because() == Names{"server idle timeout", "server idle timeout"});
  CHECK(rig.shared().open() == 1);
}

TEST_CASE("idle: min_pool_size servers stay, counted over all workers") {
  PoolRig rig({.workers = 3,
               .rules = {.pool_size = 9, .min_pool_size = 4, .server_idle_timeout = seconds(10)}});
  for (int i = 0; i < 9; ++i) rig.ask(name(i), static_cast<WorkerId>(i % 3));
  for (int i = 0; i < 9; ++i) rig.give_back(name(i));
  rig.advance(seconds(10));
  rig.tend();
  CHECK(rig.shared().open() == 4);
}

TEST_CASE("minimum: missing servers are opened while clients are there") {
  PoolRig rig({.rules = {.pool_size = 9, .min_pool_size = 3}});
  rig.tend(rig.share(), false);
  CHECK(rig.shared().open() == 0);
  CHECK(rig.pool().deadline(rig.now) == std::nullopt);
  rig.tend(rig.share(), true);
  CHECK(rig.shared().open() == 3);
  CHECK(rig.in_state(ServerState::idle).size() == 3);
}

TEST_CASE("minimum: with a forced user it holds without clients, and is soon restored") {
  PoolRig rig({.rules = {.pool_size = 9, .min_pool_size = 3, .forced_user = true}});
  rig.tend(rig.share(), false);
  CHECK(rig.shared().open() == 3);
  rig.crash(*rig.in_state(ServerState::idle).front());
  CHECK(rig.pool().deadline(rig.now) <= rig.now + Pool::minimum_interval);
  rig.advance(Pool::minimum_interval);
  rig.tend();
  CHECK(rig.shared().open() == 3);
}

TEST_CASE("minimum: it never asks for more than pool_size") {
  PoolRig rig({.rules = {.pool_size = 2, .min_pool_size = 5}});
  rig.tend(rig.share(), true);
  CHECK(rig.shared().open() == 2);
}

TEST_CASE("pause: idle servers are closed now, busy ones when they come back, and clients wait") {
  PoolRig rig({.rules = {.pool_size = 3}});
  rig.ask("busy");
  fill(rig, 2);
  rig.pause(0, true);
  CHECK(rig.closed_because() == Names{"pause mode", "pause mode"});
  CHECK(rig.ask("late") == false);
  rig.give_back("busy");
  CHECK(rig.closed_because() == Names{"pause mode"});
  CHECK(rig.shared().open() == 0);
  CHECK(rig.waiting("late"));
  rig.pause(0, false);
  CHECK(rig.server_of("late") > 0);
}

TEST_CASE("pause: what logs in, is tested or arrives during a pause is closed too") {
  PoolRig rig({.workers = 2, .rules = {.pool_size = 9}, .prompt = false});
  rig.ask("a", 0);
  rig.ask("b", 0);
  rig.finish_logins();
  rig.give_back_dirty("a");
  rig.ask("c", 1);
  rig.finish_logins();
  rig.give_back("c");
  rig.ask("d", 0);
  rig.ask("e", 0);
  rig.finish_test(*rig.in_state(ServerState::tested).front());
  rig.deliver(0);  // the server of "c" is on its way to worker 0
  rig.pause(0, true);
  rig.closed_because();
  rig.deliver_all();
  CHECK(rig.closed_because() == Names{"pause mode"});
  rig.finish_logins();
  CHECK(rig.shared().hungry() == 0);
  CHECK(rig.in_state(ServerState::idle).empty());
}

TEST_CASE("close_needed: an idle server is closed now, a busy one when it comes back") {
  PoolRig rig({.rules = {.pool_size = 2}});
  rig.ask("busy");
  fill(rig, 1);
  for (auto& server : rig.servers()) server->set_close_needed();
  CHECK(rig.ask("x") == false);  // not lent, whether it has been closed already or not
  rig.tend(rig.share(), true);
  CHECK(rig.closed_because() == Names{"close_needed"});
  CHECK(rig.server_of("x") == 3);
  rig.give_back("busy");
  CHECK(rig.closed_because() == Names{"close_needed"});
}

TEST_CASE("retry: after a failed log-in nothing is opened for server_login_retry") {
  PoolRig rig({.workers = 2,
               .rules = {.pool_size = 9, .server_login_retry = seconds(15)},
               .prompt = false});
  rig.ask("a", 0);
  rig.fail_login(*rig.in_state(ServerState::login).front());
  rig.finish_close(*rig.in_state(ServerState::closing).front());
  rig.ask("b", 1);
  rig.deliver_all();
  CHECK(rig.opened_in_all() == 1);
  CHECK(rig.shared().failing());
  for (WorkerId worker : {0, 1}) {
    CHECK(rig.pool(worker).deadline(rig.now) == rig.now + seconds(15));
  }
  rig.advance(seconds(15));
  rig.tend();
  CHECK(rig.in_state(ServerState::login).size() == 1);  // one tries for all
  rig.finish_logins();
  CHECK_FALSE(rig.shared().failing());
  rig.deliver_all();
  rig.finish_logins();
  CHECK(rig.server_of("a") + rig.server_of("b") == 2 + 3);
}

// A server that is used all the time, until its lifetime is over. Returns the most connections.
int most_open_until_it_expires(PoolRig& rig, bool used) {
  rig.ask("a");
  rig.give_back("a");
  int most = 0;
  Names closed;
  for (int step = 0; closed.empty() && step < 10000; ++step) {
    rig.advance(milliseconds(100));
    rig.tend();
    closed = rig.closed_because();
    if (used && closed.empty()) {
      rig.ask("a");
      rig.give_back("a");
    }
    most = std::max(most, rig.shared().open());
  }
  CHECK(closed == Names{"server lifetime over"});
  return most;
}

TEST_CASE("lifetime: a server in use is replaced before it goes, within the limits") {
  const Duration lifetime = seconds(100);
  PoolRig roomy({.rules = {.pool_size = 2, .server_lifetime = lifetime}});
  CHECK(most_open_until_it_expires(roomy, true) == 2);
  CHECK(roomy.shared().staying() == 1);
  PoolRig full({.rules = {.pool_size = 1, .server_lifetime = lifetime}});
  CHECK(most_open_until_it_expires(full, true) == 1);
  PoolRig idle({.rules = {.pool_size = 2, .server_lifetime = lifetime}});
  CHECK(most_open_until_it_expires(idle, false) == 1);
}

TEST_CASE("lifetime: no replacement is opened beside a server that is idle anyway") {
  PoolRig rig({.rules = {.pool_size = 3, .server_lifetime = seconds(100)}});
  fill(rig, 2);
  CHECK(most_open_until_it_expires(rig, true) == 2);
}

TEST_CASE("retry: the attempt that fails again puts everybody off again") {
  PoolRig rig({.rules = {.pool_size = 9, .server_login_retry = seconds(15)}, .prompt = false});
  rig.ask("a");
  for (int attempt = 1; attempt <= 3; ++attempt) {
    CHECK(rig.opened_in_all() == attempt);
    rig.fail_login(*rig.in_state(ServerState::login).front());
    rig.finish_close(*rig.in_state(ServerState::closing).front());
    rig.deliver_all();
    rig.advance(seconds(15) - microseconds(1));
    rig.tend();
    CHECK(rig.opened_in_all() == attempt);
    rig.advance(microseconds(1));
    rig.tend();
  }
}

TEST_CASE("retry: servers that are there are lent while log-ins fail") {
  PoolRig rig({.rules = {.pool_size = 2}, .prompt = false});
  rig.ask("a");
  rig.finish_logins();
  rig.ask("b");
  rig.fail_login(*rig.in_state(ServerState::login).front());
  rig.give_back("a");
  CHECK(rig.server_of("b") == 1);
}

}  // namespace
}  // namespace headgate
