#include "protocol/session_state.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/unit/protocol/session_rig.h"

using namespace headgate;

namespace {

std::string restored(const ClientSession& client, std::initializer_list<View> texts) {
  SettingNames names;
  for (const View sql : texts) client.note_resets(session_marks(sql), names);
  std::string all;
  for (const std::string& sql : client.restore(names)) all += sql;
  return all;
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
