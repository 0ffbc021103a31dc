#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "protocol/session_state.h"
#include "tests/unit/protocol/session_rig.h"

using namespace headgate;

// --- settings

TEST_CASE(
    "session question: a setting that was sent is asked for, and what the server says counts") {
  ClientSession client;
  ServerSession server;
  CHECK_FALSE(server.must_ask());
  send(server, "set a = 1; set b.c = 2");
  CHECK(server.must_ask());
  CHECK(server.question().starts_with(
      "SELECT pg_catalog.current_setting($h$a$h$,true),"
      "pg_catalog.current_setting($h$b.c$h$,true),(SELECT pg_catalog.string_agg("));
  CHECK(server.asking());
  CHECK_FALSE(server.must_ask());
  server.answered(Row{"1", std::nullopt, std::nullopt}, client);
  CHECK_FALSE(server.asking());
  CHECK(values(client) == SettingValues{{"a", "1"}});
  CHECK_FALSE(server.pins().any());
  CHECK(server.adopt(client).empty());
  send(server, "set a = 2");  // it is known that the client may set this
  CHECK(server.question() == "SELECT pg_catalog.current_setting($h$a$h$,true)");
  server.answered(Row{"2"}, client);
  CHECK(values(client) == SettingValues{{"a", "2"}});
  CHECK(server.adopt(ClientSession()) == "RESET \"a\";");
}

TEST_CASE("session question: a setting that no SET of the session has set is not the client's") {
  ClientSession client = client_with({{"b", "1"}});
  ServerSession server = server_of(client);
  send(server, "set server_version = '1'; set a = 1; reset b");
  CHECK(server.question().find("ANY(ARRAY[$h$a$h$,$h$b$h$,$h$server_version$h$])") !=
        std::string::npos);
  server.answered(Row{"1", "0", "15.2", "b,server_version"}, client);
  CHECK(values(client) == SettingValues{{"a", "1"}});
  send(server, "reset a");
  server.question();
  server.answered(Row{"5", std::nullopt}, client);  // reset, and set behind it
  CHECK(values(client) == SettingValues{{"a", "5"}});
}

TEST_CASE(
    "session question: a setting that only another role may set keeps the client where it is") {
  ClientSession client;
  ServerSession server;
  send(server, "set log_statement = 'all'");
  server.question();
  server.answered(Row{"all", "!log_statement"}, client);
  CHECK(server.pins() == Pin::setting);
}

TEST_CASE(
    "session question: what the client has started with is no default that can be forgotten") {
  ClientSession client = started_with({{"a", "7"}});
  ServerSession server = server_of(client);
  send(server, "set a to default");
  server.question();
  server.answered(Row{"7", "a"}, client);
  CHECK(values(client) == SettingValues{{"a", "7"}});
}

TEST_CASE("session question: RESET ALL asks for all but the identity") {
  ClientSession client = client_with({{"a", "1"}, {"b", "2"}, {"role", "joe"}});
  ServerSession server = server_of(client);
  send(server, "set c = 3; reset all");
  const std::string question = server.question();
  CHECK(count(question, "current_setting") == 3);
  CHECK(question.find("$role$") == std::string::npos);
  server.answered(Row{"0", "0", "0", "a,b,c"}, client);
  CHECK(values(client) == SettingValues{{"role", "joe"}});
}

TEST_CASE("session question: RESET ALL behind a question counts for what that asks for") {
  ClientSession client;
  ServerSession server;
  send(server, "set a = 1");
  server.question();
  send(server, "reset all");
  server.answered(Row{"1", std::nullopt}, client);
  CHECK(server.must_ask());
  server.question();
  server.answered(Row{"0", "a"}, client);
  CHECK(values(client).empty());
}

TEST_CASE("session question: no role is none") {
  ClientSession client = client_with({{"role", "joe"}});
  ServerSession server = server_of(client);
  send(server, "set role none");
  server.question();
  server.answered(Row{"none"}, client);
  CHECK(values(client).empty());
}

TEST_CASE("session question: what is sent while the answer is on its way is asked for next") {
  ClientSession client;
  ServerSession server;
  send(server, "set a = 1");
  server.question();
  send(server, "set a = 2; listen x");
  CHECK_FALSE(server.must_ask());
  server.answered(Row{"1", std::nullopt}, client);
  CHECK(server.must_ask());
  CHECK(count(server.question(), "pg_listening_channels") == 1);
  server.answered(Row{"2", "\"x\""}, client);
  CHECK(values(client) == SettingValues{{"a", "2"}});
  CHECK(server.pins() == Pin::listen);
}

TEST_CASE("session question: answers of another size, or none, keep the client where it is") {
  ClientSession client = client_with({{"b", "1"}});
  for (const Row& row :
       {Row{}, Row{"1", "a"}, Row{"1", "a", std::nullopt}, Row{"1", "a", "f", "f"}}) {
    ServerSession server = server_of(client);
    send(server, "reset a; listen x");
    for (int turn = 0; turn < 5 && server.must_ask(); ++turn) {
      CHECK_FALSE(server.pins().any());  // it is asked once more
      server.question();
      server.answered(row, client);  // the value, who set it, and whether it listens
    }
    CHECK_FALSE(server.must_ask());
    CHECK(server.pins().has(Pin::setting) == (row.size() != 3));
    CHECK(server.pins().has(Pin::listen) == (row.size() != 3));
    CHECK_FALSE(server.asking());
  }
  ServerSession server;
  send(server, "set a = 1; listen x");
  for (int turn = 0; turn < 5; ++turn) {
    REQUIRE(server.must_ask());
    CHECK(server.question().find("$h$a$h$") != std::string::npos);
    server.question_failed();
  }
  Pins both = Pin::setting;
  both.add(Pin::listen);
  CHECK(server.pins() == both);
  CHECK_FALSE(server.must_ask());
}

TEST_CASE("session question: a question that was struck stops the clock of the client") {
  const View stop = "set_config('statement_timeout','0',true);";
  ClientSession client = client_with({{"statement_timeout", "1ms"}});
  ServerSession server = server_of(client);
  send(server, "set a = 1");
  CHECK(server.question().find(stop) == std::string::npos);
  CHECK_FALSE(server.stops_clock());
  server.question_failed();
  CHECK(server.question().find(stop) != std::string::npos);
  REQUIRE(server.stops_clock());
  server.clock_stopped(Row{"1ms", "0"});
  CHECK_FALSE(server.stops_clock());
  CHECK(server.answered(Row{"1", std::nullopt}, client));  // the value, and who set it
  CHECK(*client.values() == SettingValues{{"a", "1"}, {"statement_timeout", "1ms"}});
  send(server, "set a = 2");
  CHECK(server.question().find(stop) == std::string::npos);
}

TEST_CASE("session question: the clock that was stopped is still told as the client has set it") {
  ClientSession client;
  ServerSession server;
  send(server, "set statement_timeout = 7");
  server.question();
  server.question_failed();
  server.question();
  REQUIRE(server.stops_clock());
  server.clock_stopped(Row{"7ms", "0"});
  CHECK(server.answered(Row{"0", std::nullopt}, client));
  CHECK(*client.values() == SettingValues{{"statement_timeout", "7ms"}});
}

TEST_CASE("session question: an answer that was not asked for says nothing") {
  ClientSession client;
  ServerSession server;
  server.answered(Row{"1"}, client);
  CHECK_FALSE(client.values());
  CHECK_FALSE(server.pins().any());
}

TEST_CASE("session question: a question has an end") {
  ServerSession server;
  for (size_t n = 0; n <= ServerSession::max_unknown; ++n) server.touch("s" + std::to_string(n));
  CHECK(server.pins() == Pin::setting);
  CHECK(count(server.question(), "current_setting") == ServerSession::max_unknown);
}

// --- pins

TEST_CASE("session question: pins are asked for and end when the server says so") {
  const std::pair<View, View> pairs[] = {
      {"select pg_advisory_lock(1)", "select pg_advisory_unlock(1)"},
      {"create temp table t ()", "drop table t"},
      {"declare c cursor with hold for select 1", "close c"},
      {"prepare U&\"p\" as select 1", "deallocate U&\"p\""},
      {"listen x", "unlisten x"}};
  for (const auto& pair : pairs) {
    const auto& [begin, end] = pair;
    CAPTURE(pair.first);
    ClientSession client;
    ServerSession server;
    send(server, end);
    CHECK_FALSE(server.must_ask());  // there was nothing to end
    send(server, begin);
    const std::string question = server.question();
    CHECK(count(question, "EXISTS") + count(question, "pg_listening_channels") == 1);
    const bool tells_names = begin == "listen x";
    const Row none = tells_names ? Row{std::nullopt} : Row{"f"};
    server.answered(none, client);
    CHECK_FALSE(server.pins().any());
    send(server, begin);
    server.question();
    server.answered(Row{"t"}, client);
    CHECK(server.pins() == session_marks(begin).begins);
    send(server, end);
    CHECK(server.must_ask());
    server.question();
    server.answered(Row{"t"}, client);
    CHECK(server.pins().any());
    send(server, end);
    server.question();
    server.answered(none, client);
    CHECK_FALSE(server.pins().any());
  }
}

TEST_CASE("session question: of some pins the server cannot be asked") {
  ServerSession server;
  server.pin(Pin::load);
  CHECK_FALSE(server.must_ask());
  CHECK(server.pins() == Pin::load);
  CHECK(server.cannot_be_reset());
  server.discarded(nullptr, false);
  CHECK(server.pins() == Pin::load);
}

TEST_CASE("session question: a client in pg_temp may make temporary things without a word") {
  ClientSession client;
  ServerSession server;
  send(server, "set search_path = pg_temp");
  CHECK(count(server.question(), "pg_depend") == 1);
  server.answered(Row{"pg_temp", std::nullopt, "f"}, client);
  CHECK(client.creates_temporary());
  CHECK(server.must_ask());  // for what was sent in the meantime
  CHECK(count(server.question(), "pg_depend") == 1);
  server.answered(Row{"f"}, client);
  CHECK_FALSE(server.must_ask());
  CHECK(server.adopt(client).empty());
  server.request_is_sent(client);
  CHECK(server.must_ask());
  server.question();
  server.answered(Row{"t"}, client);
  CHECK(server.pins() == Pin::temporary);
  CHECK_FALSE(client_with({{"search_path", "public"}}).creates_temporary());
}

// --- channels

TEST_CASE("session question: a server need not listen when somebody else does") {
  ClientSession client;
  ServerSession server;
  send(server, "listen x; listen y");
  server.question();
  CHECK(server.asks_channels());
  CHECK(server.answered(Row{"\"x\",\"y\"\",z\""}, client));
  CHECK(server.channels() == std::vector<std::string>{"x", "y\",z"});
  CHECK_FALSE(server.must_unlisten());
  server.need_not_listen();
  CHECK(server.must_unlisten());
  CHECK(server.pins() == Pin::listen);  // until it is done
  server.begin_unlisten();
  CHECK_FALSE(server.must_unlisten());
  CHECK(server.unlistening());
  server.unlistened(true);
  CHECK(server.pins() == Pin::listen);
  CHECK(server.must_unlisten());  // a timeout of the client's may have struck it
  server.begin_unlisten();
  server.unlistened(false);
  CHECK_FALSE(server.pins().any());
  CHECK_FALSE(server.must_unlisten());
  for (int turn = 0; turn < 5; ++turn) {
    server.begin_unlisten();
    server.unlistened(true);
  }
  CHECK_FALSE(server.must_unlisten());  // not for ever
}

TEST_CASE("session question: a client crosses over before its server listens no more") {
  ClientSession client;
  ServerSession server;
  CHECK(server.crossing("headgate_1", "1.2.3") ==
        "LISTEN \"headgate_1\";NOTIFY \"headgate_1\",$h$1.2.3$h$");
  send(server, "listen x; set statement_timeout = 1");
  server.touch("statement_timeout");
  server.question();
  CHECK(server.answered(Row{"1", std::nullopt, "\"x\""}, client));
  CHECK(count(server.crossing("headgate_1", "1.2.3"),
              "set_config('statement_timeout','0',true);") == 1);
  server.need_not_listen();
  server.begin_unlisten();
  CHECK(server.crossed(true));
  CHECK_FALSE(server.has_crossed());
  CHECK(server.must_unlisten());
  server.begin_unlisten();
  CHECK(server.crossed(false));
  CHECK(server.has_crossed());
  CHECK(server.must_unlisten());
  server.touch("app.other");  // by a request that came between
  server.question();
  CHECK(server.answered(Row{"1", std::nullopt}, client));
  CHECK(server.must_unlisten());
  CHECK(server.has_crossed());
  server.doubt_channels();
  CHECK(server.doubts_channels());
  server.question();
  CHECK(server.answered(Row{"\"x\""}, client));
  CHECK_FALSE(server.has_crossed());
  CHECK_FALSE(server.must_unlisten());
}

TEST_CASE("session question: what is listened to since is told by the next answer") {
  ClientSession client;
  ServerSession server;
  send(server, "listen x");
  server.question();
  server.answered(Row{"\"x\""}, client);
  server.need_not_listen();
  send(server, "listen u&\"y\"");
  server.question();
  CHECK_FALSE(server.must_unlisten());  // not while that is on its way
  server.answered(Row{"\"x\",\"y\""}, client);
  CHECK_FALSE(server.must_unlisten());
  CHECK(server.pins() == Pin::listen);
}
