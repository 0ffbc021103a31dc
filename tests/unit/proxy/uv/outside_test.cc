#include "proxy/uv/outside.h"

#include <signal.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

using Answer = Result<std::vector<Address>>;

/// Asks for a name and waits for the answer.
Answer resolve(Rig& rig, const std::string& host, uint16_t port) {
  std::optional<Answer> answer;
  rig.outside.resolve(host, port, [&](Answer found) { answer = std::move(found); });
  CHECK_FALSE(answer);  // never from within the call
  rig.run_until([&] { return answer.has_value(); });
  return *std::move(answer);
}

}  // namespace

TEST_CASE("outside: time does not go back, and the wall clock is of this century") {
  Rig rig;
  Instant first = rig.outside.now();
  CHECK(rig.outside.now() >= first);
  CHECK(rig.outside.wall_microseconds() > int64_t{1'600'000'000} * 1'000'000);
}

TEST_CASE("outside: random bytes fill what they are asked to fill") {
  Rig rig;
  std::array<char, 300> first{}, second{};
  rig.outside.random(first);
  rig.outside.random(std::span(second).first(299));
  CHECK(first != second);
  CHECK(second.back() == 0);
}

TEST_CASE("outside: an alarm comes once, not before its time") {
  Rig rig;
  int alarms = 0;
  Instant rang{};
  rig.when_time = [&](Instant now) {
    ++alarms;
    rang = now;
  };
  Instant at = rig.outside.now() + microseconds(5'300);
  rig.outside.wake_at(at);
  rig.run_until([&] { return alarms > 0; });
  CHECK(rang >= at);
  CHECK(rig.turns_during(milliseconds(10)) < 10);
  CHECK(alarms == 1);
}

TEST_CASE("outside: a later request for an alarm replaces the one before, or ends it") {
  Rig rig;
  int alarms = 0;
  Instant start = rig.outside.now(), rang{};
  rig.when_time = [&](Instant now) {
    ++alarms;
    rang = now;
  };
  rig.outside.wake_at(start + milliseconds(1));
  rig.outside.wake_at(start + milliseconds(20));
  rig.run_until([&] { return alarms > 0; });
  CHECK(rang >= start + milliseconds(20));
  rig.outside.wake_at(start + milliseconds(21));
  rig.outside.wake_at(std::nullopt);
  rig.turns_during(milliseconds(10));
  CHECK(alarms == 1);
}

TEST_CASE("outside: a user that always asks for a time gone by does not hold up the loop") {
  Rig rig;
  int alarms = 0;
  bool mail = false;
  rig.when_time = [&](Instant) {
    ++alarms;
    rig.outside.wake_at(Instant{});
    rig.outside.wake();
  };
  rig.when_mail = [&] { mail = true; };
  rig.outside.wake_at(rig.outside.now());
  rig.run_until([&] { return mail && alarms > 2; });
}

TEST_CASE("outside: mail from any thread is heard after it was sent") {
  Rig rig;
  std::mutex lock;
  int sent = 0, heard = 0;
  constexpr int each = 500, senders = 4;
  rig.when_mail = [&] {
    std::lock_guard guard(lock);
    heard = sent;
  };
  std::vector<std::thread> threads;
  threads.reserve(senders);
  for (int i = 0; i < senders; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < each; ++j) {
        {
          std::lock_guard guard(lock);
          ++sent;
        }
        rig.outside.wake();
      }
    });
  }
  rig.run_until([&] { return heard == each * senders; });
  for (auto& thread : threads) thread.join();
}

TEST_CASE("outside: a stop from another thread, even before the start, is obeyed") {
  Rig rig;
  std::thread early([&] { rig.outside.stop(); });
  early.join();
  rig.outside.run();
  std::thread late([&] { rig.outside.stop(); });
  rig.outside.run();
  late.join();
  CHECK(rig.turns > 0);
}

TEST_CASE("outside: a signal is heard by the loop") {
  Rig rig;
  int heard = 0;
  rig.outside.on_signal(SIGUSR1, [&] { ++heard; });
  rig.outside.on_signal(SIGUSR2, [&] { heard += 100; });
  kill(getpid(), SIGUSR1);
  rig.run_until([&] { return heard > 0; });
  CHECK(heard == 1);
}

TEST_CASE("outside: numbers, paths and abstract names are answered as they are, but later") {
  Rig rig;
  CHECK(*resolve(rig, "10.1.2.3", 5432) ==
        std::vector<Address>{{Address::Kind::ip4, 5432, "10.1.2.3"}});
  CHECK(*resolve(rig, "::1", 1) == std::vector<Address>{{Address::Kind::ip6, 1, "::1"}});
  CHECK(*resolve(rig, "/tmp/.s.PGSQL.1", 1) ==
        std::vector<Address>{{Address::Kind::unix_path, 0, "/tmp/.s.PGSQL.1"}});
  CHECK(*resolve(rig, "@name", 1) == std::vector<Address>{{Address::Kind::unix_path, 0, "@name"}});
}

TEST_CASE("outside: a name is looked up") {
  Rig rig;
  Answer found = resolve(rig, "localhost", 5432);
  REQUIRE(found);
  REQUIRE_FALSE(found->empty());
  for (const Address& address : *found) {
    CHECK((address.host == "127.0.0.1" || address.host == "::1"));
    CHECK(address.port == 5432);
  }
}

TEST_CASE("outside: a name that cannot be found is an error with a reason") {
  Rig rig;
  // No name server is asked for these: a part may have 63 characters at most, a name 253.
  for (const std::string& name : {std::string(70, 'x') + ".test", std::string(1000, 'x')}) {
    Answer found = resolve(rig, name, 5432);
    REQUIRE_FALSE(found);
    CHECK(found.error().message.starts_with("cannot resolve \"" + name + "\": "));
  }
}

TEST_CASE("outside: an answer may ask again, also at the turn's end") {
  Rig rig;
  int answers = 0;
  Outside::Resolved again = [&](const Answer&) {
    if (++answers < 5) rig.outside.resolve("127.0.0.1", 1, again);
  };
  bool asked = false;
  rig.when_turn_ends = [&] {
    if (!asked) rig.outside.resolve("127.0.0.1", 1, again);
    asked = true;
  };
  rig.run_until([&] { return answers == 5; });
}

TEST_CASE("outside: work runs aside, at most four at a time, and is reported by the loop") {
  Rig rig;
  std::mutex lock;
  std::condition_variable changed;
  int running = 0, most = 0, begun = 0, done = 0;
  const auto loop_thread = std::this_thread::get_id();
  constexpr int jobs = 12, at_once = 4;
  for (int i = 0; i < jobs; ++i) {
    rig.outside.aside(
        [&] {
          std::unique_lock guard(lock);
          CHECK(std::this_thread::get_id() != loop_thread);
          ++begun;
          most = std::max(most, ++running);
          changed.notify_all();
          changed.wait(guard, [&] { return begun >= at_once; });
          --running;
        },
        [&] {
          CHECK(std::this_thread::get_id() == loop_thread);
          ++done;
        });
  }
  rig.run_until([&] { return done == jobs; });
  CHECK(begun == jobs);
  CHECK(most == at_once);
}

TEST_CASE("outside: run() waits for work that has begun, and reports nothing after a stop") {
  std::atomic<bool> finished = false;
  bool reported = false;
  {
    Rig rig;
    rig.outside.aside(
        [&] {
          rig.outside.stop();
          for (int i = 0; i < 100'000; ++i) std::this_thread::yield();  // long enough to miss it
          finished = true;
        },
        [&] { reported = true; });
    rig.outside.run();
    CHECK(finished);
    // Looked up, but nobody is there to hear it.
    rig.outside.resolve("localhost", 1, [&](const Answer&) { reported = true; });
    rig.outside.resolve("127.0.0.1", 1, [&](const Answer&) { reported = true; });
  }
  CHECK_FALSE(reported);
}

TEST_CASE("outside: every turn ends before the loop waits") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  std::vector<std::string> order;
  user.when_bytes = [&] { order.push_back("bytes"); };
  rig.when_turn_ends = [&] {
    if (order.size() == 1) order.push_back("turn ends");
  };
  pair.peer.send("x");
  rig.run_until([&] { return order.size() == 2; });
  CHECK(order == std::vector<std::string>{"bytes", "turn ends"});
}

}  // namespace headgate
