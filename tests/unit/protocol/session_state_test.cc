#include "protocol/session_state.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace headgate;

namespace {

using Row = std::vector<std::optional<View>>;

/// A client that has these settings, as a server has told them.
ClientSession client_with(SettingValues values) {
  ClientSession client;
  REQUIRE(client.set(std::move(values)));
  return client;
}

ClientSession started_with(SettingValues values) {
  ClientSession client;
  SettingValuesPtr known;
  client.start_with(std::move(values), {}, known);
  return client;
}

/// A server that has all that this client has set.
ServerSession server_of(const ClientSession& client) {
  ServerSession server;
  server.adopt(client);
  return server;
}

SettingValues values(const ClientSession& client) {
  return client.values() ? *client.values() : SettingValues();
}

void send(ServerSession& server, View sql) {
  const SessionMarks marks = session_marks(sql);
  for (const std::string& name : marks.settings) server.touch(name);
  server.sent(marks);
}

std::string restored(const ClientSession& client, std::initializer_list<View> texts) {
  SettingNames names;
  for (const View sql : texts) client.note_resets(session_marks(sql), names);
  std::string all;
  for (const std::string& sql : client.restore(names)) all += sql;
  return all;
}

/// The columns that a question asks for, without those of pins.
size_t count(View text, View part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != View::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

// --- adopt()

TEST_CASE("session state: a server that has the client's values already is told nothing") {
  const ClientSession none;
  ServerSession server;
  CHECK(server.adopt(none).empty());
  CHECK_FALSE(server.changed());
  const ClientSession client = client_with({{"a.b", "1"}});
  CHECK(server.adopt(client) == "SET \"a\".\"b\"=$h$1$h$;");
  CHECK(server.changed());
  CHECK(server.adopt(client).empty());
  CHECK(server.adopt(client_with({{"a.b", "1"}})).empty());  // the same, remembered elsewhere
}

TEST_CASE("session state: a server gets the difference between two clients") {
  const ClientSession one = client_with({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  const ClientSession other = client_with({{"b", "2"}, {"c", "4"}, {"d", "5"}});
  ServerSession server = server_of(one);
  CHECK(server.adopt(other) == "RESET \"a\";SET \"c\"=$h$4$h$;SET \"d\"=$h$5$h$;");
  CHECK(server.adopt(one) == "RESET \"d\";SET \"a\"=$h$1$h$;SET \"c\"=$h$3$h$;");
  CHECK(server.adopt(ClientSession()) == "RESET \"a\";RESET \"b\";RESET \"c\";");
  CHECK_FALSE(server.changed());
}

TEST_CASE("session state: what is not known counts as different") {
  const ClientSession client = client_with({{"a", "1"}, {"b", "2"}});
  ServerSession server = server_of(client);
  server.touch("a");
  server.touch("z");
  CHECK(server.changed());
  CHECK(server.adopt(client) == "RESET \"z\";SET \"a\"=$h$1$h$;");
  server.nothing_is_known();
  CHECK(server.adopt(client) == "SET \"a\"=$h$1$h$;SET \"b\"=$h$2$h$;");
  CHECK(server.adopt(client).empty());
}

TEST_CASE("session state: lists of names, and names that SET would cut, are set by set_config") {
  const std::string cut = "app." + std::string(64, 'n');
  ServerSession server;
  CHECK(server.adopt(client_with({{"search_path", "a, \"B c\""}})) ==
        "SELECT pg_catalog.set_config($h$search_path$h$,$h$a, \"B c\"$h$,false);");
  CHECK(server.adopt(client_with({{"temp_tablespaces", ""}})) ==
        "RESET \"search_path\";"
        "SELECT pg_catalog.set_config($h$temp_tablespaces$h$,$h$$h$,false);");
  server = ServerSession();
  CHECK(server.adopt(client_with({{cut, "x"}})) ==
        "SELECT pg_catalog.set_config($h$" + cut + "$h$,$h$x$h$,false);");
  CHECK(server.adopt(ClientSession()) ==
        "SELECT pg_catalog.set_config($h$" + cut + "$h$,NULL,false);");
}

TEST_CASE("session state: the identity comes last, and is given up first") {
  const std::string as_logged_in = "RESET ROLE;RESET SESSION AUTHORIZATION;";
  const ClientSession plain = client_with({{"a", "1"}});
  const ClientSession joe = client_with({{"a", "2"}, {"role", "joe"}});
  const ClientSession both = client_with({{"role", "joe"}, {"session_authorization", "ann"}});
  ServerSession server;
  CHECK(server.adopt(joe) == "SET \"a\"=$h$2$h$;SET \"role\"=$h$joe$h$;");
  CHECK(server.adopt(both) == as_logged_in +
                                  "RESET \"a\";SET \"session_authorization\"=$h$ann$h$;" +
                                  "SET \"role\"=$h$joe$h$;");
  CHECK(server.adopt(plain) == as_logged_in + "SET \"a\"=$h$1$h$;");
  CHECK(server.adopt(joe) == "SET \"a\"=$h$2$h$;SET \"role\"=$h$joe$h$;");
  CHECK(server.adopt(client_with({{"a", "3"}, {"role", "joe"}})) ==
        as_logged_in + "SET \"a\"=$h$3$h$;SET \"role\"=$h$joe$h$;");
  server.touch("role");
  CHECK(server.adopt(plain) == as_logged_in + "SET \"a\"=$h$1$h$;");
}

TEST_CASE("session state: what would disturb the rest is taken away first and given last") {
  const ClientSession hasty = client_with({{"a", "1"}, {"statement_timeout", "1ms"}, {"z", "2"}});
  ServerSession server;
  CHECK(server.adopt(hasty) ==
        "SET \"a\"=$h$1$h$;SET \"z\"=$h$2$h$;SET \"statement_timeout\"=$h$1ms$h$;");
  CHECK(server.adopt(ClientSession()) == "RESET \"statement_timeout\";RESET \"a\";RESET \"z\";");
  server = server_of(client_with({{"default_transaction_deferrable", "on"}}));
  CHECK(server.adopt(client_with({{"search_path", "a"}}))
            .starts_with("SET TRANSACTION NOT DEFERRABLE;RESET "));
  server = server_of(client_with({{"default_transaction_deferrable", "on"}}));
  server.touch("a");
  CHECK(server.question().starts_with("SET TRANSACTION NOT DEFERRABLE;SELECT "));
}

TEST_CASE("session state: values of an identity, and those of a start-up packet, may be refused") {
  ServerSession server;
  CHECK_FALSE(server.may_refuse(ClientSession()));
  CHECK_FALSE(server.may_refuse(client_with({{"a", "1"}})));
  CHECK(server.may_refuse(client_with({{"role", "joe"}})));
  CHECK(server.may_refuse(client_with({{"session_authorization", "joe"}})));
  ClientSession client = started_with({{"a", "1"}});
  CHECK(server.may_refuse(client));
  client.proved();
  CHECK_FALSE(server.may_refuse(client));
  CHECK_FALSE(server.may_refuse(started_with({})));
}

// --- asking

TEST_CASE("session state: a setting that was sent is asked for, and what the server says counts") {
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

TEST_CASE("session state: a setting that no SET of the session has set is not the client's") {
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

TEST_CASE("session state: a setting that only another role may set keeps the client where it is") {
  ClientSession client;
  ServerSession server;
  send(server, "set log_statement = 'all'");
  server.question();
  server.answered(Row{"all", "!log_statement"}, client);
  CHECK(server.pins() == Pin::setting);
}

TEST_CASE("session state: what the client has started with is no default that can be forgotten") {
  ClientSession client = started_with({{"a", "7"}});
  ServerSession server = server_of(client);
  send(server, "set a to default");
  server.question();
  server.answered(Row{"7", "a"}, client);
  CHECK(values(client) == SettingValues{{"a", "7"}});
}

TEST_CASE("session state: RESET ALL asks for all but the identity") {
  ClientSession client = client_with({{"a", "1"}, {"b", "2"}, {"role", "joe"}});
  ServerSession server = server_of(client);
  send(server, "set c = 3; reset all");
  const std::string question = server.question();
  CHECK(count(question, "current_setting") == 3);
  CHECK(question.find("$role$") == std::string::npos);
  server.answered(Row{"0", "0", "0", "a,b,c"}, client);
  CHECK(values(client) == SettingValues{{"role", "joe"}});
}

TEST_CASE("session state: RESET ALL behind a question counts for what that asks for") {
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

TEST_CASE("session state: no role is none") {
  ClientSession client = client_with({{"role", "joe"}});
  ServerSession server = server_of(client);
  send(server, "set role none");
  server.question();
  server.answered(Row{"none"}, client);
  CHECK(values(client).empty());
}

TEST_CASE("session state: what is sent while the answer is on its way is asked for next") {
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

TEST_CASE("session state: answers of another size, or none, keep the client where it is") {
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

TEST_CASE("session state: a question that was struck stops the clock of the client") {
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

TEST_CASE("session state: the clock that was stopped is still told as the client has set it") {
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

TEST_CASE("session state: an answer that was not asked for says nothing") {
  ClientSession client;
  ServerSession server;
  server.answered(Row{"1"}, client);
  CHECK_FALSE(client.values());
  CHECK_FALSE(server.pins().any());
}

TEST_CASE("session state: pins are asked for and end when the server says so") {
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

TEST_CASE("session state: a server need not listen when somebody else does") {
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

TEST_CASE("session state: a client crosses over before its server listens no more") {
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

TEST_CASE("session state: what is listened to since is told by the next answer") {
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

TEST_CASE("session state: of some pins the server cannot be asked") {
  ServerSession server;
  server.pin(Pin::load);
  CHECK_FALSE(server.must_ask());
  CHECK(server.pins() == Pin::load);
  CHECK(server.cannot_be_reset());
  server.discarded(nullptr, false);
  CHECK(server.pins() == Pin::load);
}

TEST_CASE("session state: a client in pg_temp may make temporary things without a word") {
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

// --- limits

TEST_CASE("session state: more settings than are remembered keep the client where it is") {
  const auto many = [](size_t number, size_t size) {
    SettingValues all;
    for (size_t n = 0; n < number; ++n) {
      all.emplace("s" + std::to_string(1000 + n), std::string(size - 5, 'v'));
    }
    return all;
  };
  ClientSession client;
  CHECK(client.set(many(ClientSession::max_settings, 10)));
  const SettingValuesPtr before = client.values();
  CHECK_FALSE(client.set(many(ClientSession::max_settings + 1, 10)));
  CHECK(client.values() == before);
  CHECK(client.set(many(64, 1024)));
  CHECK_FALSE(client.set(many(64, 1025)));
  ServerSession server = server_of(client);
  server.touch("z");
  server.question();
  const std::string one_more(100, 'z');
  server.answered(Row{one_more, std::nullopt}, client);
  CHECK(server.pins() == Pin::setting);
}

TEST_CASE("session state: a question has an end") {
  ServerSession server;
  for (size_t n = 0; n <= ServerSession::max_unknown; ++n) server.touch("s" + std::to_string(n));
  CHECK(server.pins() == Pin::setting);
  CHECK(count(server.question(), "current_setting") == ServerSession::max_unknown);
}

// --- the end

TEST_CASE("session state: DISCARD ALL returns client and server to their start") {
  ClientSession client = started_with({{"a", "7"}});
  ServerSession server = server_of(client);
  send(server, "set a = 1; set b = 2; listen x");
  server.question();
  server.answered(Row{"1", "2", std::nullopt, "t"}, client);
  server.taint(3);
  send(server, "discard all");
  server.discarded(&client, false);
  CHECK(values(client) == SettingValues{{"a", "7"}});
  CHECK_FALSE(server.changed());
  CHECK_FALSE(server.must_be_discarded_for(4));
  CHECK(server.adopt(client) == "SET \"a\"=$h$7$h$;");
}

TEST_CASE("session state: behind DISCARD ALL in a pipeline all is asked for anew") {
  ClientSession client = client_with({{"a", "1"}});
  ServerSession server = server_of(client);
  send(server, "listen x");
  server.question();
  server.answered(Row{"t"}, client);
  server.pin(Pin::setting);
  send(server, "discard all");
  server.discarded(&client, true);
  CHECK(server.must_ask());
  const std::string question = server.question();
  CHECK(count(question, "current_setting") == 1);
  CHECK(count(question, "pg_listening_channels") == 1);
  server.answered(Row{"0", "a", std::nullopt}, client);
  CHECK(values(client).empty());
  CHECK_FALSE(server.pins().any());
}

TEST_CASE("session state: DISCARD ALL takes no pin that was made behind it") {
  ClientSession client;
  ServerSession server;
  const View pinning = "set U&\"x\" = 1";
  send(server, "discard all");
  send(server, pinning);
  server.discarded(&client, true);
  CHECK(server.pins() == Pin::setting);
  send(server, "discard all");  // one may fail
  send(server, "discard all");
  server.discarded(&client, true);
  CHECK(server.pins() == Pin::setting);
}

TEST_CASE("session state: a client that leaves things behind is known by them") {
  const ClientSession client = client_with({{"a", "1"}});
  for (const View sql : {"set a = 1", "listen x", "prepare p as select 1"}) {
    CAPTURE(sql);
    ServerSession server = server_of(client);
    CHECK_FALSE(server.client_left());
    CHECK(server.adopt(ClientSession()) == "RESET \"a\";");
    send(server, sql);
    CHECK(server.client_left());
    CHECK_FALSE(server.must_ask());
    server.discarded(nullptr, false);
    CHECK_FALSE(server.pins().any());
  }
  ServerSession server;
  send(server, "set a = 1");
  server.question();
  CHECK(server.client_left());
  CHECK_FALSE(server.asking());
}

TEST_CASE("session state: a server in doubt is discarded for all but its client") {
  ServerSession server;
  CHECK_FALSE(server.must_be_discarded_for(1));
  server.taint(1);
  CHECK(server.changed());
  CHECK_FALSE(server.must_be_discarded_for(1));
  CHECK(server.must_be_discarded_for(2));
  server.discarded(nullptr, false);
  CHECK_FALSE(server.must_be_discarded_for(2));
}

TEST_CASE("session state: values in another encoding are asked for again") {
  const ClientSession client = client_with({{"a", "plain"}, {"b", "\xc5\xbe"}});
  ServerSession server = server_of(client);
  server.encoding_changed();
  CHECK(server.adopt(client) == "SET \"b\"=$h$\xc5\xbe$h$;");
  ServerSession none;
  none.encoding_changed();
  CHECK_FALSE(none.must_ask());
}

// --- what the client has started with

TEST_CASE("session state: what is reset returns to what the client has started with") {
  const ClientSession client = started_with({{"a", "1"}, {"role", "joe"}, {"search_path", "s"}});
  const std::string a = "SET \"a\"=$h$1$h$;", role = "SET \"role\"=$h$joe$h$;",
                    path = "SELECT pg_catalog.set_config($h$search_path$h$,$h$s$h$,false);";
  CHECK(restored(client, {"select 1"}).empty());
  CHECK(restored(client, {"set a = 2"}).empty());
  CHECK(restored(client, {"reset a"}) == a);
  CHECK(restored(client, {"set a to default"}) == a);
  CHECK(restored(client, {"reset role"}) == role);
  CHECK(restored(client, {"reset all"}) == a + path);
  CHECK(restored(client, {"discard all"}) == a + path + role);
  CHECK(restored(client, {"reset b"}).empty());
  CHECK(restored(ClientSession(), {"discard all"}).empty());
}

TEST_CASE("session state: a RESET within what may be a string restores nothing") {
  const ClientSession client = started_with({{"a", "1"}});
  CHECK_FALSE(restored(client, {"set b = 'x\\'; reset a; set b = 'y'"}).empty());
  CHECK(restored(client, {"set a = 'x\\'; select '; reset a; '"}).empty());
}

TEST_CASE("session state: what is set behind a RESET is not restored") {
  const ClientSession client = started_with({{"a", "1"}, {"b", "2"}});
  const std::string b = "SET \"b\"=$h$2$h$;";
  CHECK(restored(client, {"reset a; set a = 5"}).empty());
  CHECK(restored(client, {"reset a", "set a = 5"}).empty());
  CHECK(restored(client, {"reset all; set a = 5"}) == b);
  CHECK(restored(client, {"reset all", "set a = 5"}) == b);
  CHECK(restored(client, {"discard all", "set a = 5"}) == b);
  CHECK(restored(client, {"set b = 5; reset all", "set a = 5"}) == b);
}
