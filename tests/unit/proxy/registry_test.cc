#include "proxy/registry.h"

#include <doctest/doctest.h>

#include <atomic>
#include <set>
#include <thread>

#include "proxy/log.h"

using namespace headgate;

namespace {

constexpr Duration autodb_timeout = seconds(60);
constexpr Duration pool_timeout = seconds(30);

struct RegistryRig {
  RegistryRig() {
    auto config = std::make_shared<Config>();
    config->settings.autodb_idle_timeout = autodb_timeout;
    config->settings.pool_idle_timeout = pool_timeout;
    config->databases["shop"].name = "shop";
    config->fallback = "host=a";
    registry.emplace(2, config);
  }

  std::set<std::string> databases() {
    std::set<std::string> names;
    for (const DatabaseState* one : registry->databases()) names.insert(one->name);
    return names;
  }
  /// Time passes, in small steps as in the program.
  std::set<std::string> pass(Duration time) {
    std::set<std::string> idle;
    for (const Instant end = now + time; now < end;) {
      now += seconds(1);
      for (const uint32_t id : registry->tidy(now))
        idle.insert(registry->pool(id)->shared.database);
    }
    return idle;
  }

  Instant now = Instant(seconds(1000));
  std::optional<Registry> registry;
};

}  // namespace

TEST_CASE("registry: an entry is one for all who hold it") {
  RegistryRig rig;
  const auto one = rig.registry->pool("shop", "bob");
  const auto again = rig.registry->pool("shop", "bob");
  CHECK(&*one == &*again);
  CHECK(&one->database == &*rig.registry->database("shop"));
  CHECK_FALSE(rig.registry->known_database("other"));
}

TEST_CASE("registry: names tried by strangers do not pile up") {
  RegistryRig rig;
  for (int i = 0; i < 100000; ++i) {
    const auto held = rig.registry->database("guess" + std::to_string(i));
    held->clients.try_take();
    held->clients.give_back();
  }
  CHECK(rig.databases().size() <= 2 * Registry::most_idle);
  rig.pass(seconds(1));
  CHECK(rig.databases().size() <= 1);
}

TEST_CASE("registry: who is held stays, a stranger too") {
  RegistryRig rig;
  const auto held = rig.registry->database("guess");
  rig.pass(seconds(100));
  CHECK(&*rig.registry->known_database("guess") == &*held);
}

TEST_CASE("registry: a database made from * goes when nobody has used it for long") {
  RegistryRig rig;
  {
    const auto held = rig.registry->database("made");
    rig.registry->remember(*held);
    REQUIRE(held->clients.try_take());
    rig.pass(3 * autodb_timeout);
    held->clients.give_back();
  }
  rig.pass(autodb_timeout - seconds(1));
  CHECK(rig.databases().contains("made"));
  rig.pass(seconds(3));
  CHECK_FALSE(rig.databases().contains("made"));
}

TEST_CASE("registry: its pools go with it, configured ones by their own timeout") {
  RegistryRig rig;
  rig.registry->remember(*rig.registry->database("made"));
  std::optional<Hold<PoolEntry>> made = rig.registry->pool("made", "bob");
  std::optional<Hold<PoolEntry>> shop = rig.registry->pool("shop", "bob");
  (*shop)->clients.fetch_add(1);
  CHECK(rig.pass(pool_timeout + seconds(2)) == std::set<std::string>{"made"});
  (*shop)->clients.fetch_sub(1);
  CHECK(rig.pass(pool_timeout + seconds(2)).contains("shop"));
  made.reset();
  shop.reset();
  rig.pass(autodb_timeout);
  CHECK(rig.registry->pools().empty());
  CHECK(rig.databases() == std::set<std::string>{"shop"});
}

TEST_CASE("registry: a visit between two looks counts as use") {
  RegistryRig rig;
  rig.registry->remember(*rig.registry->database("made"));
  rig.pass(autodb_timeout - seconds(1));
  rig.registry->remember(*rig.registry->database("made"));
  rig.pass(autodb_timeout - seconds(1));
  CHECK(rig.databases().contains("made"));
  rig.pass(seconds(4));
  CHECK_FALSE(rig.databases().contains("made"));
}

// The client counts itself and is remembered on its worker, at any moment of the tidying.
TEST_CASE("registry: a database to which somebody comes while it is given up is remembered") {
  constexpr int rounds = 3000;
  redirect_log([](LogLevel, std::string_view) {});
  RegistryRig rig;
  const auto held = rig.registry->database("made");
  std::atomic<int> begun{0}, done{0};
  std::thread worker([&] {
    for (int round = 1; round <= rounds; ++round) {
      while (begun.load() < round) std::this_thread::yield();
      for (int wait = 0; wait < round % 1000; ++wait) begun.load();
      held->clients.take_anyway();
      rig.registry->remember(*held);
      done.store(round);
    }
  });
  int forgotten = 0;
  for (int round = 1; round <= rounds; ++round) {
    rig.registry->remember(*held);
    for (int look = 0; look < 2; ++look) rig.registry->tidy(rig.now);
    rig.now += 2 * autodb_timeout;
    begun.store(round);
    rig.registry->tidy(rig.now);
    while (done.load() < round) std::this_thread::yield();
    forgotten += !held->registered.load();
    held->clients.give_back();
  }
  worker.join();
  redirect_log(nullptr);
  CHECK(forgotten == 0);
}

TEST_CASE("registry: a number is never used again") {
  RegistryRig rig;
  const uint32_t id = rig.registry->pool("shop", "bob")->shared.id;
  rig.pass(2 * pool_timeout);
  CHECK_FALSE(rig.registry->pool(id));
  CHECK(rig.registry->pool("shop", "bob")->shared.id != id);
}

TEST_CASE("registry: of too many idle databases the oldest go first") {
  RegistryRig rig;
  for (size_t i = 0; i < Registry::most_idle + 10; ++i) {
    rig.registry->database("made" + std::to_string(i))->registered.store(true);  // no log line
    if (i < 10) rig.pass(seconds(1));
  }
  rig.pass(seconds(2));
  CHECK(rig.databases().size() == Registry::most_idle);
  CHECK_FALSE(rig.databases().contains("made9"));
  CHECK(rig.databases().contains("made10"));
}

TEST_CASE("registry: a crowd is told of once, and again when it has been dealt with") {
  RegistryRig rig;
  std::vector<Hold<DatabaseState>> held;
  CHECK_FALSE(rig.registry->crowded());
  for (size_t i = 0; i < 2 * Registry::most_idle + 1; ++i) {
    held.push_back(rig.registry->database("made" + std::to_string(i)));
  }
  CHECK(rig.registry->crowded());
  CHECK_FALSE(rig.registry->crowded());
  rig.pass(seconds(1));
  CHECK(rig.registry->crowded());
}

TEST_CASE("registry: paused and disabled databases stay") {
  RegistryRig rig;
  rig.registry->database("paused")->paused.store(true);
  rig.registry->database("disabled")->disabled.store(true);
  rig.pass(3 * autodb_timeout);
  CHECK(rig.databases() == std::set<std::string>{"disabled", "paused"});
}

TEST_CASE("registry: what forgotten pools have counted is kept by their database") {
  RegistryRig rig;
  PoolStats stats;
  stats.xact_count = 3;
  const auto shop = rig.registry->database("shop");
  shop->keep(0, stats);
  shop->keep(1, stats);
  shop->keep(0, stats);
  CHECK(shop->kept(0).xact_count == 6);
  CHECK(shop->kept(1).xact_count == 3);
  CHECK(shop->kept(2) == PoolStats{});
}
