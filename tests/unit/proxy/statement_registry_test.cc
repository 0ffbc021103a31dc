#include "proxy/statement_registry.h"

#include <doctest/doctest.h>

#include <thread>

namespace headgate {

namespace {
const Bytes salt(16, 's');
}

TEST_CASE("statement registry: one statement for one text, as long as somebody uses it") {
  StatementRegistry registry(salt);
  StatementPtr first = registry.find_or_make("SELECT 1", 0);
  CHECK(registry.find_or_make("SELECT 1", 0) == first);
  CHECK(registry.find_or_make("SELECT 1", 1) != first);
  CHECK(first->text() == "SELECT 1");
  const uint64_t id = first->id;
  first.reset();
  CHECK(registry.size() == 0);
  CHECK(registry.find_or_make("SELECT 1", 0)->id != id);
}

TEST_CASE("statement registry: a statement may outlive it") {
  StatementPtr statement;
  {
    StatementRegistry registry(salt);
    statement = registry.find_or_make("SELECT 1", 0);
  }
  CHECK(statement->server_name == "headgate_1");
}

TEST_CASE("statement registry: threads that come and go agree") {
  StatementRegistry registry(salt);
  std::thread threads[4];
  for (std::thread& thread : threads) {
    thread = std::thread([&registry] {
      for (int turn = 0; turn < 5'000; ++turn) {
        const std::string text = "SELECT " + std::to_string(turn % 7);
        const StatementPtr mine = registry.find_or_make(text, 0);
        const StatementPtr again = registry.find_or_make(text, 0);
        if (mine != again || mine->text() != text) std::abort();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(registry.size() == 0);
}

TEST_CASE("statement registry: the name that no statement has is not another process's") {
  CHECK(StatementRegistry(salt).unknown_name() != StatementRegistry(Bytes(16, 't')).unknown_name());
  CHECK(statement_number(StatementRegistry(salt).unknown_name()) == 0);
}

}  // namespace headgate
