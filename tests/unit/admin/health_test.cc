#include "admin/health.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("health: a process whose loops answer lives, whatever it is told to do") {
  CHECK(live_health({}).good);
  CHECK(live_health({}).text == "ok\n");
  CHECK(live_health({.shutting_down = true, .waits_for_servers = true}).good);
  CHECK(live_health({.paused = true, .suspended = true}).good);
}

TEST_CASE("health: a worker that does not answer is named") {
  CHECK_FALSE(live_health({.silent_worker = 3}).good);
  CHECK(live_health({.silent_worker = 3}).text == "worker 3 does not answer\n");
  CHECK_FALSE(ready_health({.silent_worker = 3}).good);
  CHECK(ready_health({.silent_worker = 3, .paused = true}).text == "worker 3 does not answer\n");
}

TEST_CASE("health: who should get no clients says why") {
  CHECK(ready_health({}).good);
  const auto reason = [](const HealthFacts& facts) {
    const Health health = ready_health(facts);
    CHECK_FALSE(health.good);
    return health.text;
  };
  CHECK(reason({.starting = true}) == "starting\n");
  CHECK(reason({.paused = true}) == "paused\n");
  CHECK(reason({.suspended = true}) == "suspended\n");
  CHECK(reason({.shutting_down = true}) == "shutting down: waiting for clients to leave\n");
  CHECK(reason({.shutting_down = true, .waits_for_servers = true, .paused = true}) ==
        "shutting down: waiting for servers to be released\n");
}

TEST_CASE("health: a process that drains is not ready, and says how far it is") {
  const HealthFacts facts{.shutting_down = true, .drain = "draining: 3 clients left"};
  CHECK(live_health(facts).good);
  CHECK_FALSE(ready_health(facts).good);
  CHECK(ready_health(facts).text == "draining: 3 clients left\n");
}
