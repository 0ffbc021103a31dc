#include "protocol/statements.h"

#include <doctest/doctest.h>

namespace headgate {

namespace {

using OnServer = StatementChange::OnServer;
using OfClient = StatementChange::OfClient;

struct StatementsRig {
  ServerStatements server;
  ClientStatements client;
  uint64_t last_id = 0;

  StatementPtr make() {
    ++last_id;
    return std::make_shared<Statement>(
        last_id, Statement::key_of("SELECT " + std::to_string(last_id), uint8_t{0}));
  }
  /// The client prepares a statement that the server does not have.
  StatementPtr parse(View name) {
    StatementPtr statement = make();
    server.change({statement, OnServer::added, OfClient::named, std::string(name)}, &client);
    return statement;
  }
  void close(View name) {
    server.change({client.find(name), OnServer::nothing, OfClient::forgotten, std::string(name)},
                  &client);
  }
  void unnamed(std::string text) {
    server.change({nullptr, OnServer::nothing, OfClient::unnamed, std::move(text)}, &client);
  }
};

}  // namespace

TEST_CASE("statements: what is prepared is known at once and stays when it is confirmed") {
  StatementsRig rig;
  const StatementPtr statement = rig.parse("s");
  CHECK(rig.server.use(*statement));
  CHECK(rig.client.find("s") == statement);
  rig.server.confirmed(&rig.client);
  CHECK(rig.server.use(*statement));
  CHECK(rig.client.name_of(statement->id) == "s");
}

TEST_CASE("statements: a batch that fails takes back what it prepared and closed, in reverse") {
  StatementsRig rig;
  const StatementPtr old = rig.parse("s");
  rig.server.confirmed(&rig.client);
  rig.server.batch_ended();
  rig.close("s");
  const StatementPtr fresh = rig.parse("s");
  CHECK(rig.client.find("s") == fresh);
  rig.server.take_back(2, &rig.client);
  CHECK(rig.client.find("s") == old);
  CHECK(rig.server.use(*old));
  CHECK_FALSE(rig.server.has(*fresh));
}

TEST_CASE("statements: only the oldest changes are taken back") {
  StatementsRig rig;
  const StatementPtr first = rig.parse("a");
  const StatementPtr second = rig.parse("b");
  rig.server.take_back(1, &rig.client);
  CHECK(rig.client.find("a") == nullptr);
  CHECK(rig.client.find("b") == second);
  CHECK_FALSE(rig.server.has(*first));
}

TEST_CASE("statements: a later batch has to wait for the changes of an earlier one") {
  StatementsRig rig;
  rig.parse("a");
  CHECK_FALSE(rig.server.unsettled());
  rig.server.batch_ended();
  CHECK(rig.server.unsettled());
  rig.server.confirmed(&rig.client);
  CHECK_FALSE(rig.server.unsettled());
}

TEST_CASE("statements: the one that was not used for longest makes room, but none of this lease") {
  StatementsRig rig;
  const StatementPtr a = rig.parse("a"), b = rig.parse("b");
  CHECK(rig.server.evictable(3) == nullptr);  // there is room
  CHECK(rig.server.evictable(2) == nullptr);  // both belong to this lease
  rig.server.begin_lease();
  CHECK(rig.server.use(*a));
  CHECK(rig.server.evictable(2) == b);
  CHECK(rig.server.use(*b));
  CHECK(rig.server.evictable(2) == nullptr);
}

TEST_CASE("statements: what was evicted in a batch that fails is still there") {
  StatementsRig rig;
  const StatementPtr statement = rig.parse("s");
  rig.server.confirmed(&rig.client);
  rig.server.change({statement, OnServer::removed}, nullptr);
  CHECK_FALSE(rig.server.has(*statement));
  rig.server.take_back(1, nullptr);
  CHECK(rig.server.use(*statement));
}

TEST_CASE("statements: a new edition has to be prepared anew, also when its eviction failed") {
  StatementsRig rig;
  const StatementPtr statement = rig.parse("s");
  rig.server.confirmed(&rig.client);
  ++statement->edition;
  CHECK_FALSE(rig.server.use(*statement));
  CHECK(rig.server.has(*statement));
  rig.server.change({statement, OnServer::removed}, nullptr);
  rig.server.take_back(1, nullptr);
  CHECK_FALSE(rig.server.use(*statement));
}

TEST_CASE("statements: what was used is renewed, once, whoever finds out") {
  StatementsRig rig;
  const StatementPtr unused = rig.parse("unused"), used = rig.parse("used");
  ServerStatements other;
  other.begin_lease();
  other.change({used, OnServer::added}, nullptr);
  rig.server.begin_lease();
  CHECK(rig.server.use(*used));
  rig.server.renew_used();
  other.renew_used();
  CHECK(used->edition == 1);
  CHECK(unused->edition == 0);
  CHECK_FALSE(rig.server.use(*used));
}

TEST_CASE("statements: the unnamed one changes when the server says so") {
  StatementsRig rig;
  rig.unnamed("SELECT 1");
  CHECK(rig.client.unnamed().empty());
  CHECK(rig.server.unnamed_is_here());
  rig.server.confirmed(&rig.client);
  CHECK(rig.client.unnamed() == "SELECT 1");
  rig.server.begin_lease();
  CHECK_FALSE(rig.server.unnamed_is_here());
}

TEST_CASE("statements: a query that deallocates drops the unnamed one, also when it fails") {
  for (const bool fails : {false, true}) {
    StatementsRig rig;
    const StatementPtr statement = rig.parse("s");
    rig.unnamed("SELECT 1");
    rig.server.confirmed(&rig.client);
    rig.server.confirmed(&rig.client);
    rig.server.begin_lease();
    rig.server.change({statement, OnServer::nothing, OfClient::deallocated, "s"}, &rig.client);
    CHECK_FALSE(rig.client.find("s"));
    rig.server.batch_ended();
    CHECK(rig.server.unsettled());
    rig.server.confirmed(&rig.client, fails);
    CHECK_FALSE(rig.server.unsettled());
    CHECK(rig.client.find("s") == (fails ? statement : nullptr));
    CHECK(rig.client.unnamed().empty());
    CHECK(rig.server.unnamed_is_here());
    CHECK(rig.server.use(*statement));  // for others
  }
}

TEST_CASE("statements: a query that deallocates, and may not be read, leaves the unnamed one") {
  StatementsRig rig;
  const StatementPtr statement = rig.parse("s");
  rig.unnamed("SELECT 1");
  rig.server.confirmed(&rig.client);
  rig.server.confirmed(&rig.client);
  rig.server.begin_lease();
  rig.close("s");
  rig.server.confirmed(&rig.client, true);
  CHECK(rig.client.find("s") == statement);
  CHECK(rig.client.unnamed() == "SELECT 1");
  CHECK_FALSE(rig.server.unnamed_is_here());
}

TEST_CASE("statements: what a query that was skipped deallocates is still there") {
  StatementsRig rig;
  const StatementPtr statement = rig.parse("s");
  rig.server.confirmed(&rig.client);
  rig.server.change({statement, OnServer::nothing, OfClient::deallocated, "s"}, &rig.client);
  rig.server.take_back(1, &rig.client);
  CHECK(rig.client.find("s") == statement);
}

TEST_CASE("statements: a Parse that fails drops the unnamed one, one that is skipped does not") {
  StatementsRig rig;
  rig.unnamed("SELECT 1");
  rig.server.confirmed(&rig.client);
  rig.unnamed("SELECT skipped");
  rig.server.take_back(1, &rig.client);
  CHECK(rig.client.unnamed() == "SELECT 1");
  rig.unnamed("SELECT wrong");
  rig.server.oldest_failed(&rig.client);
  rig.server.take_back(1, &rig.client);
  CHECK(rig.client.unnamed().empty());
}

TEST_CASE("statements: whether the unnamed one is here is open until its batch is answered") {
  StatementsRig rig;
  rig.unnamed("SELECT 1");
  rig.server.batch_ended();
  CHECK_FALSE(rig.server.unnamed_is_here());
  CHECK(rig.server.unnamed_is_unsettled());
  CHECK_FALSE(rig.server.unsettled());  // of no concern to named ones
  rig.server.take_back(1, &rig.client);
  CHECK_FALSE(rig.server.unnamed_is_unsettled());
  CHECK_FALSE(rig.server.unnamed_is_here());
}

TEST_CASE("statements: a shared one may stand for the unnamed one") {
  StatementsRig rig;
  const StatementPtr shared = rig.make();
  rig.server.change({shared, OnServer::added, OfClient::unnamed}, &rig.client);
  CHECK(rig.server.unnamed_shared(rig.client) == shared);
  CHECK(rig.client.unnamed_shared() == nullptr);
  CHECK(rig.server.was_unnamed(shared->id, rig.client));
  rig.server.batch_ended();
  CHECK(rig.server.unsettled());  // others may not build upon it
  rig.server.confirmed(&rig.client);
  CHECK_FALSE(rig.server.unsettled());
  CHECK(rig.client.unnamed_shared() == shared);
  CHECK_FALSE(rig.server.unnamed_is_here());  // whose the server's own is nobody knows
  rig.server.begin_lease();
  CHECK(rig.server.unnamed_shared(rig.client) == shared);
  rig.unnamed("SELECT 1");
  rig.server.confirmed(&rig.client);
  CHECK(rig.server.unnamed_shared(rig.client) == nullptr);
  CHECK(rig.server.unnamed_is_here());
  CHECK_FALSE(rig.server.was_unnamed(shared->id, rig.client));
}

TEST_CASE(
    "statements: a shared one that fails leaves no unnamed one, and the server's own unknown") {
  StatementsRig rig;
  rig.unnamed("SELECT 1");
  rig.server.confirmed(&rig.client);
  const StatementPtr shared = rig.make();
  rig.server.change({shared, OnServer::added, OfClient::unnamed}, &rig.client);
  rig.server.oldest_failed(&rig.client);
  rig.server.take_back(1, &rig.client);
  CHECK_FALSE(rig.server.has(*shared));
  CHECK(rig.client.unnamed().empty());
  CHECK(rig.server.unnamed_shared(rig.client) == nullptr);
  CHECK_FALSE(rig.server.unnamed_is_here());
}

TEST_CASE("statements: DISCARD ALL leaves what was sent behind it") {
  StatementsRig rig;
  const StatementPtr before = rig.parse("before");
  rig.server.confirmed(&rig.client);
  const StatementPtr behind = rig.parse("behind");
  rig.server.clear(&rig.client);
  CHECK_FALSE(rig.server.has(*before));
  CHECK(rig.client.find("before") == nullptr);
  CHECK(rig.server.has(*behind));
  CHECK(rig.client.find("behind") == behind);
  rig.server.confirmed(&rig.client);
}

TEST_CASE("statements: what was sent behind DISCARD ALL and fails is as DISCARD ALL has left it") {
  StatementsRig rig;
  rig.parse("before");
  rig.server.confirmed(&rig.client);
  rig.close("before");
  rig.parse("before");
  rig.close("before");
  rig.server.clear(&rig.client);
  CHECK(rig.client.find("before") == nullptr);
  rig.server.take_back(3, &rig.client);
  CHECK(rig.client.size() == 0);
  CHECK(rig.server.size() == 0);
  rig.parse("before");
  CHECK(rig.client.find("before") != nullptr);
}

TEST_CASE("statements: a client that has gone is not touched by what is still to come") {
  StatementsRig rig;
  rig.parse("s");
  rig.server.forget_client();
  rig.client.clear();
  rig.server.take_back(1, nullptr);
  CHECK(rig.server.size() == 0);
}

TEST_CASE("statements: a client's names and bytes are bounded") {
  StatementsRig rig;
  for (size_t n = 0; n < ClientStatements::max_names; ++n) {
    REQUIRE_FALSE(rig.client.full());
    rig.client.set(std::to_string(n), rig.make());
  }
  CHECK(rig.client.full());
  rig.client.forget("7");
  CHECK_FALSE(rig.client.full());
  ClientStatements other;
  other.set("long", std::make_shared<Statement>(1, Bytes(ClientStatements::max_bytes, 'x')));
  CHECK(other.full());
}

TEST_CASE("statements: the number in a name on a server") {
  CHECK(statement_number("headgate_12") == 12);
  for (const View other : {"headgate_", "headgate_x", "headgate_1x", "s1", "", "headgate_-1"}) {
    CHECK(statement_number(other) == 0);
  }
}

}  // namespace headgate
