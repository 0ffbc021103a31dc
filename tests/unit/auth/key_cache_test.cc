#include "auth/key_cache.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "auth/derivation.h"
#include "tests/unit/auth/rig.h"

namespace headgate {

namespace {

DerivedKeys keys_of(const Bytes& name) { return {"client " + name, "server " + name}; }
bool holds(const KeyCache& cache, const Bytes& name) {
  const auto found = cache.find(name);
  return found && found->client_key == "client " + name && found->server_key == "server " + name;
}

}  // namespace

TEST_CASE("key cache: it is bounded, and what was not used for longest goes first") {
  KeyCache cache;
  const auto name = [](size_t number) { return std::to_string(number); };
  for (size_t i = 0; i < KeyCache::capacity; ++i) cache.remember(name(i), keys_of(name(i)));
  CHECK(cache.size() == KeyCache::capacity);
  CHECK(holds(cache, name(0)));  // which makes 1 the oldest
  cache.remember("new", keys_of("new"));
  CHECK(cache.size() == KeyCache::capacity);
  CHECK(holds(cache, name(0)));
  CHECK(holds(cache, "new"));
  CHECK_FALSE(cache.find(name(1)).has_value());
  CHECK(holds(cache, name(2)));
  cache.remember("new", keys_of("new"));
  CHECK(cache.size() == KeyCache::capacity);
}

TEST_CASE("key cache: threads may use it at once") {
  KeyCache cache;
  const auto use = [&cache](int thread) {
    for (int i = 0; i < 2000; ++i) {
      const Bytes name = std::to_string((i * 7 + thread) % 500);
      cache.remember(name, keys_of(name));
      if (!holds(cache, name)) cache.remember("broken", {});
    }
  };
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) threads.emplace_back(use, thread);
  for (std::thread& thread : threads) thread.join();
  CHECK(cache.size() == 500);
  CHECK_FALSE(cache.find("broken").has_value());
}

TEST_CASE("derivation: keys are kept as they should be") {
  using Keep = Derivation::Keep;
  for (const Keep keep : {Keep::at_once, Keep::when_proven, Keep::never}) {
    KeyCache cache;
    Derivation first(cache, "word", "salt", 2, keep);
    CHECK_FALSE(first.known());
    first.job()();
    REQUIRE(first.known());
    CHECK(first.keys().client_key == derive_scram_keys("word", "salt", 2).client_key);
    CHECK(Derivation(cache, "word", "salt", 2, keep).known() == (keep == Keep::at_once));
    first.remember();
    CHECK(Derivation(cache, "word", "salt", 2, keep).known() == (keep != Keep::never));
  }
}

TEST_CASE("derivation: password, salt and iterations all tell one from another") {
  KeyCache cache;
  Derivation first(cache, "word", "salt", 2, Derivation::Keep::at_once);
  first.job()();
  const auto known = [&cache](View word, View salt, int iterations) {
    return Derivation(cache, word, Bytes(salt), iterations, Derivation::Keep::never).known();
  };
  CHECK(known("word", "salt", 2));
  CHECK_FALSE(known("words", "salt", 2));
  CHECK_FALSE(known("word", "Salt", 2));
  CHECK_FALSE(known("word", "salt", 3));
  CHECK_FALSE(known("tword", "sal", 2));
  CHECK_FALSE(known("", "saltword", 2));
}

TEST_CASE("derivation: a job that waited behind another takes its result") {
  KeyCache cache;
  Derivation waiting(cache, "word", "salt", 2, Derivation::Keep::at_once);
  cache.remember(waiting.name(), keys_of("another job"));
  CHECK_FALSE(waiting.known());
  waiting.job()();
  CHECK(waiting.keys().client_key == "client another job");
}

TEST_CASE("derivation: the job may run after everything else has gone") {
  KeyCache survivor;
  std::function<void()> job, lonely_job;
  {
    KeyCache cache = survivor;
    job = Derivation(cache, "word", "salt", 2, Derivation::Keep::at_once).job();
    KeyCache gone_soon;
    lonely_job = Derivation(gone_soon, "word", "salt", 2, Derivation::Keep::at_once).job();
  }
  lonely_job();  // for the sanitizers to judge
  job();
  CHECK(survivor.size() == 1);
}

}  // namespace headgate
