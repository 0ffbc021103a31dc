#include "proxy/directory/threads.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>
#include <set>

using namespace headgate;

namespace {

/// A directory that answers when the test says so: a password is right if it is "right".
struct Rig {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> closed_gates;  // servers that do not answer yet
  int asked = 0, left = 0, answered = 0, right = 0;
  std::shared_ptr<bool> wanted = std::make_shared<bool>(true);
  DirectoryThreads threads{[this](const DirectoryQuestion& question) { return check(question); }};

  ~Rig() {
    open("slow");
    wait([this] { return left == asked; });
  }

  bool check(const DirectoryQuestion& question) {
    std::unique_lock lock(mutex);
    ++asked;
    changed.notify_all();
    changed.wait(lock, [&] { return !closed_gates.contains(question.ldap.servers); });
    ++left;
    changed.notify_all();
    return question.password == "right";
  }

  bool ask(const std::string& server, Bytes password = "right",
           const std::optional<std::weak_ptr<bool>>& asker = {}) {
    DirectoryQuestion question;
    question.method = AuthMethod::ldap;
    question.ldap.servers = server;
    question.password = std::move(password);
    return threads.ask(std::move(question), asker.value_or(wanted), [this](bool is_right) {
      const std::lock_guard lock(mutex);
      ++answered;
      right += is_right ? 1 : 0;
      changed.notify_all();
    });
  }

  void close(const std::string& server) {
    const std::lock_guard lock(mutex);
    closed_gates.insert(server);
  }
  void open(const std::string& server) {
    const std::lock_guard lock(mutex);
    closed_gates.erase(server);
    changed.notify_all();
  }
  template <class Condition>
  void wait(Condition condition) {
    std::unique_lock lock(mutex);
    changed.wait(lock, condition);
  }
};

constexpr int half = DirectoryThreads::most_for_one;

}  // namespace

TEST_CASE("directories: each question is answered, right and wrong") {
  Rig rig;
  for (int i = 0; i < 100; ++i) CHECK(rig.ask("quick", i % 2 == 0 ? "right" : "wrong"));
  rig.wait([&] { return rig.answered == 100; });
  CHECK(rig.right == 50);
}

TEST_CASE("directories: one that does not answer holds half of the threads at most") {
  Rig rig;
  rig.close("slow");
  for (int i = 0; i < 3 * half; ++i) CHECK(rig.ask("slow"));
  rig.wait([&] { return rig.asked == half; });
  for (int i = 0; i < 100; ++i) CHECK(rig.ask("quick"));
  rig.wait([&] { return rig.answered == 100; });
  CHECK(rig.asked == half + 100);
  rig.open("slow");
  rig.wait([&] { return rig.answered == 3 * half + 100; });
}

TEST_CASE("directories: what waits is bounded") {
  Rig rig;
  rig.close("slow");
  for (int i = 0; i < half; ++i) CHECK(rig.ask("slow"));
  rig.wait([&] { return rig.asked == half; });
  for (size_t i = 0; i < DirectoryThreads::most_waiting; ++i) CHECK(rig.ask("slow"));
  CHECK_FALSE(rig.ask("slow"));
  CHECK_FALSE(rig.ask("quick"));
  rig.open("slow");
  constexpr int all = half + static_cast<int>(DirectoryThreads::most_waiting);
  rig.wait([&] { return rig.answered == all; });
  CHECK(rig.ask("quick"));
}

TEST_CASE("directories: nobody is asked for a client that has gone") {
  Rig rig;
  rig.close("slow");
  for (int i = 0; i < half; ++i) CHECK(rig.ask("slow"));
  rig.wait([&] { return rig.asked == half; });
  auto gone = std::make_shared<bool>(true);
  for (int i = 0; i < 10; ++i) CHECK(rig.ask("slow", "right", gone));
  gone.reset();
  CHECK(rig.ask("slow"));
  rig.open("slow");
  rig.wait([&] { return rig.answered == half + 1; });
  CHECK(rig.asked == half + 1);
}

TEST_CASE("directories: who closes hears whether a thread is still held, and nobody is answered") {
  Rig rig;
  rig.close("slow");
  CHECK(rig.ask("slow"));
  rig.wait([&] { return rig.asked == 1; });
  CHECK_FALSE(rig.threads.close());
  rig.open("slow");
  rig.wait([&] { return rig.left == 1; });
  CHECK(rig.answered == 0);
  CHECK_FALSE(rig.ask("quick"));
}

TEST_CASE("directories: threads that nothing holds end with the last question") {
  Rig rig;
  for (int i = 0; i < 10; ++i) CHECK(rig.ask("quick"));
  rig.wait([&] { return rig.answered == 10; });
  CHECK(rig.threads.close());
  CHECK(rig.threads.close());
}
