// What only real threads can get wrong in pool/slots: two that miss each other because one of them
// reads before its own write can be seen, and two that take the same last permit.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/check.h"
#include "pool/slots.h"

namespace headgate {
namespace {

// Lets two threads begin each round at the same moment.
class StartLine {
 public:
  void wait(int round) {
    if (arrived_.fetch_add(1) + 1 == 2 * (round + 1)) go_.store(round + 1);
    for (int spins = 0; go_.load() <= round; ++spins) {
      if (spins > 1000) std::this_thread::yield();
    }
  }

 private:
  std::atomic<int> arrived_{0};
  alignas(64) std::atomic<int> go_{0};
};

// Runs both for many rounds, side by side; `check` runs alone after each.
template <class One, class Other, class Check>
void race(One&& one, Other&& other, Check&& check) {
  constexpr int rounds = 20000;
  StartLine start, end;
  std::thread second([&] {
    for (int round = 0; round < rounds; ++round) {
      start.wait(round);
      other();
      end.wait(round);
    }
  });
  for (int round = 0; round < rounds; ++round) {
    start.wait(round);
    one();
    end.wait(round);
    check();  // the other is on its way to the start line
  }
  second.join();
}

TEST_CASE("slots: one who frees a server and one who gets hungry never miss each other") {
  Permits database, user;
  SharedPool pool(1, "db", "user", {database, user}, 2);
  bool given = false, found = false;
  int missed = 0;
  race(
      [&] {
        pool.publish_idle(0, 1);
        given = pool.hungry() != 0 && pool.claim_hungry(1);
      },
      [&] {
        pool.publish_hunger(1, Instant(seconds(1)));
        found = pool.find_idle(1) == 0;
      },
      [&] {
        missed += !given && !found;
        pool.publish_idle(0, 0);
        pool.clear_hunger(1);
      });
  CHECK(missed == 0);
}

TEST_CASE("slots: one who frees a permit and one who gets hungry never miss each other") {
  Permits database, user;
  SharedPool pool(1, "db", "user", {database, user}, 2);
  bool told = false, taken = false;
  int missed = 0;
  auto take = [&] { return pool.try_open(1) == SharedPool::Take::taken; };
  REQUIRE(take());
  race(
      [&] {
        pool.opening_done();
        pool.start_closing();
        told = pool.release().hungry != 0;
      },
      [&] {
        pool.publish_hunger(1, Instant(seconds(1)));
        taken = take();
      },
      [&] {
        missed += !told && !taken;
        pool.clear_hunger(1);
        if (!taken) MUST(take());
      });
  CHECK(missed == 0);
}

TEST_CASE("slots: one who gives a permit back and one who is refused never miss each other") {
  Permits permits(1);
  bool told = false, taken = false;
  int missed = 0;
  REQUIRE(permits.try_take());
  race([&] { told = permits.give_back(); }, [&] { taken = permits.try_take(); },
       [&] {
         missed += !told && !taken;
         if (!taken) MUST(permits.try_take());
       });
  CHECK(missed == 0);
}

TEST_CASE("slots: however many threads open and close, no limit is ever exceeded") {
  constexpr int database_limit = 3;
  Permits database(database_limit), user(0);
  SharedPool first(1, "db", "one", {database, user}, 2);
  Permits other_user(2);
  SharedPool second(2, "db", "two", {database, other_user}, 2);
  std::atomic<int> existing{0}, of_second{0}, exceeded{0};
  auto open_and_close = [&](SharedPool& pool) {
    for (int i = 0; i < 20000; ++i) {
      if (pool.try_open(2) != SharedPool::Take::taken) continue;
      if (existing.fetch_add(1) + 1 > database_limit) ++exceeded;
      if (&pool == &second && of_second.fetch_add(1) + 1 > 2) ++exceeded;
      pool.opening_done();
      pool.start_closing();
      existing.fetch_sub(1);
      if (&pool == &second) of_second.fetch_sub(1);
      pool.release();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] { open_and_close(first); });
    threads.emplace_back([&] { open_and_close(second); });
  }
  for (auto& thread : threads) thread.join();
  CHECK(exceeded.load() == 0);
  CHECK(database.used() == 0);
  CHECK(other_user.used() == 0);
}

TEST_CASE("slots: a server closed down to min_pool_size is never one too many") {
  Permits database, user;
  SharedPool pool(1, "db", "user", {database, user}, 2);
  for (int i = 0; i < 2; ++i) {
    pool.try_open(0);
    pool.opening_done();
  }
  bool one = false, other = false;
  int wrong = 0;
  race([&] { one = pool.start_closing_above(1); }, [&] { other = pool.start_closing_above(1); },
       [&] {
         wrong += one == other;
         pool.release();
         pool.try_open(0);
         pool.opening_done();
       });
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace headgate
