// A client that talks on while its server is asked what became of its session.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/session_state.h"
#include "protocol/statements.h"

using namespace headgate;

namespace {

struct Lease {
  ClientSession client;
  ServerSession server;

  void say(View sql) {
    const SessionMarks marks = session_marks(sql);
    for (const std::string& name : marks.settings) server.touch(name);
    server.sent(marks);
  }
  std::string ask() { return server.must_ask() ? server.question() : ""; }
  void answer(const std::vector<std::optional<View>>& row) { server.answered(row, client); }
};

}  // namespace

TEST_CASE("session_state: what RESET ALL took back while it was asked for is not given again") {
  Lease lease;
  lease.say("SET app.x = 'mine'");
  CHECK(lease.ask().find("app.x") != std::string::npos);
  lease.say("RESET ALL");  // sent before the answer has come
  lease.answer({"mine", std::nullopt});
  CHECK(lease.ask().find("app.x") != std::string::npos);
  lease.answer({"", std::nullopt});
  REQUIRE(lease.client.values());
  CHECK(lease.client.values()->at("app.x").empty());
  CHECK(lease.server.adopt(lease.client).empty());
}

TEST_CASE("session_state: a lock that was released while it was asked for pins no longer") {
  Lease lease;
  lease.say("SELECT pg_advisory_lock(1)");
  CHECK(lease.ask().find("pg_locks") != std::string::npos);
  lease.say("SELECT pg_advisory_unlock(1)");
  lease.answer({"t"});
  CHECK(lease.server.pins().has(Pin::advisory_lock));
  CHECK(lease.ask().find("pg_locks") != std::string::npos);
  lease.answer({"f"});
  CHECK(!lease.server.pins().any());
}

TEST_CASE(
    "session_state: an unnamed statement that was not prepared does not count for the one before") {
  ServerStatements server;
  ClientStatements client;
  server.begin_lease();
  const auto prepare = [&](const char* sql) {
    StatementChange change;
    change.of_client = StatementChange::OfClient::unnamed;
    change.marks = std::make_shared<const SessionMarks>(session_marks(sql));
    server.change(std::move(change), &client);
  };
  const auto sets = [&](const char* name) {
    const SessionMarksPtr& marks = server.unnamed_marks(client);
    return marks && marks->settings == std::vector<std::string>{name};
  };
  prepare("SET app.x = '1'");
  CHECK(sets("app.x"));
  prepare("SET app.y = '1'");
  CHECK(sets("app.y"));
  server.batch_ended();
  server.confirmed(&client);
  server.take_back(1, &client);  // skipped because of an error in front of it
  CHECK(sets("app.x"));
}
