#include "proxy/parameters.h"

#include <doctest/doctest.h>

#include <utility>

#include "protocol/messages.h"

using namespace headgate;

namespace {

const TrackedNames usual({"IntervalStyle"});

TrackedValues values(View zone, View application) {
  TrackedValues made;
  made.set(Tracked::time_zone, intern(zone));
  made.set(Tracked::application_name, intern(application));
  return made;
}

/// What is sent to a server with `its` value of a parameter for a client that has `mine`.
std::string set_to(const std::string& name, View mine, View its) {
  const TrackedNames names({name});
  const Tracked place = *names.find(name);
  TrackedValues client, server;
  client.set(place, intern(mine));
  server.set(place, intern(its));
  return client.difference(server, names);
}

}  // namespace

TEST_CASE("parameters: equal texts are one text") {
  CHECK(intern("UTC") == intern(std::string("U") + "TC"));
  CHECK(intern("UTC") != intern("GMT"));
}

TEST_CASE("parameters: names are found in any case, others are not tracked") {
  CHECK(usual.find("timezone") == Tracked::time_zone);
  CHECK(usual.name(Tracked::time_zone) == "TimeZone");
  CHECK(usual.find("intervalstyle").has_value());
  CHECK_FALSE(usual.find("search_path").has_value());
  CHECK_FALSE(TrackedNames({}).find("IntervalStyle").has_value());
}

TEST_CASE("parameters: a name is tracked once, and no more of them than there is room for") {
  CHECK(TrackedNames({"timezone", "a", "A"}).size() == 6);
  std::vector<std::string> many;
  for (size_t i = 0; i < 2 * TrackedNames::most; ++i) many.push_back("p" + std::to_string(i));
  CHECK(TrackedNames(many).size() == TrackedNames::most);
}

TEST_CASE("parameters: only what differs is set, and only what the server has reported") {
  CHECK(values("UTC", "psql").difference(values("UTC", "psql"), usual).empty());
  CHECK(values("UTC", "psql").difference(values("GMT", "psql"), usual) == "SET TimeZone='UTC';");
  CHECK(values("UTC", "psql").difference(TrackedValues(), usual).empty());
}

TEST_CASE("parameters: a welcome is asked for a parameter, which may not be there") {
  Welcome welcome;
  welcome.learn("TimeZone", "UTC", std::nullopt);
  welcome.learn("in_hot_standby", "on", std::nullopt);
  CHECK(welcome.value_of("in_hot_standby") == "on");
  CHECK(welcome.value_of("is_superuser").empty());
}

TEST_CASE("parameters: each of as many as can be tracked has a value of its own") {
  std::vector<std::string> extra;
  for (size_t i = 0; i < most_extra_parameters; ++i) extra.push_back("p" + std::to_string(i));
  const TrackedNames names(extra);
  TrackedValues client, server;
  for (size_t i = 0; i < names.size(); ++i) {
    client.set(static_cast<Tracked>(i), intern("c" + std::to_string(i)));
    server.set(static_cast<Tracked>(i), intern("s" + std::to_string(i)));
  }
  const std::string sql = client.difference(server, names);
  for (size_t i = 0; i < names.size(); ++i) {
    const Tracked place = static_cast<Tracked>(i);
    const std::string set =
        "SET " + std::string(names.name(place)) + "='c" + std::to_string(i) + "';";
    CHECK(sql.find(set) != std::string::npos);
  }
}

TEST_CASE("parameters: the case of a word does not matter, that of a name does") {
  CHECK(values("utc", "psql").difference(values("UTC", "psql"), usual).empty());
  CHECK(values("UTC", "App").difference(values("UTC", "app"), usual) ==
        "SET application_name='App';");
  CHECK(set_to("search_path", "\"A\"", "\"a\"") == "SET search_path='A';");
}

TEST_CASE("parameters: a name that is no plain word stands in quotes") {
  CHECK(set_to("app.tenant", "1", "2") == "SET \"app.tenant\"='1';");
  CHECK(set_to("a\"; DROP", "1", "2") == "SET \"a\"\"; DROP\"='1';");
}

TEST_CASE("parameters: a list of names is set name by name, the empty one too") {
  const std::pair<View, View> lists[] = {
      {"\"$user\", public", "'$user','public'"},
      {"Public,  B", "'public','b'"},  // as PostgreSQL reads names without quotes
      {"\"a, b\", \"c\"\"d\"", "'a, b','c\"d'"},
      {"\"\"", "''"},
      {"", "''"},
      {"it's", "'it''s'"},
      // No list: one name that does no harm.
      {"a; DROP TABLE t", "'a; DROP TABLE t'"},
      {"\"a", "'\"a'"},
      {"\"a\" b", "'\"a\" b'"},
  };
  for (const auto& [text, sql] : lists) {
    const View list = text;
    CAPTURE(list);
    CHECK(quote_value("search_path", list) == sql);
  }
  CHECK(quote_value("application_name", "a, b") == "'a, b'");
  CHECK(set_to("search_path", "", "public") ==
        "SELECT pg_catalog.set_config('search_path','',false);");
  CHECK(set_to("application_name", "", "psql") == "SET application_name='';");
}

TEST_CASE("parameters: values are spelled as a server does, or the server at hand") {
  TrackedValues mine = values("europe/berlin", "App");
  mine.set(Tracked::client_encoding, intern("utf-8"));
  mine.set(Tracked::standard_conforming_strings, intern("true"));
  mine.set(Tracked::date_style, intern("iso, mdy"));
  mine.make_canonical();
  CHECK(*mine.get(Tracked::client_encoding) == "UTF8");
  CHECK(*mine.get(Tracked::standard_conforming_strings) == "on");
  TrackedValues its = values("Europe/Berlin", "app");
  its.set(Tracked::date_style, intern("ISO, MDY"));
  mine.spell_as(its);
  CHECK(mine.get(Tracked::date_style) == its.get(Tracked::date_style));
  CHECK(mine.get(Tracked::time_zone) == its.get(Tracked::time_zone));
  CHECK(*mine.get(Tracked::application_name) == "App");  // no word, but a name
  mine.set(Tracked::client_encoding, intern("nonsense"));
  mine.make_canonical();
  CHECK(*mine.get(Tracked::client_encoding) == "nonsense");  // for the server to refuse
}

TEST_CASE("parameters: a value cannot leave its quotes") {
  CHECK(quote_literal("it's") == "'it''s'");
  CHECK(quote_literal("a\\'; DROP TABLE t; --") == " E'a\\\\''; DROP TABLE t; --'");
  // Bytes that are half a character in some client encodings, with a backslash as its other half.
  CHECK(quote_literal("\x95\\' x") == " E'?\\\\'' x'");
  CHECK(quote_literal(View("a\0b\n", 4)) == "'a?b?'");
}

TEST_CASE("parameters: defaults fill only what is missing") {
  TrackedValues mine;
  mine.set(Tracked::application_name, intern("mine"));
  TrackedValues theirs = values("UTC", "theirs");
  const auto beyond = static_cast<Tracked>(20);
  theirs.set(beyond, intern("far out"));
  mine.fill_from(theirs);
  CHECK(*mine.get(Tracked::time_zone) == "UTC");
  CHECK(*mine.get(Tracked::application_name) == "mine");
  CHECK(*mine.get(beyond) == "far out");
}

TEST_CASE("welcome: a client hears what the server has told, but for the values of its own") {
  const auto message = [](View name, View value) {
    Bytes bytes;
    encode(bytes, backend::ParameterStatus{name, value});
    return bytes;
  };
  Welcome welcome;
  welcome.learn("in_hot_standby", "off", std::nullopt);
  welcome.learn("TimeZone", "UTC", Tracked::time_zone);
  welcome.learn("server_version", "15.9", std::nullopt);
  welcome.learn("application_name", "", Tracked::application_name);
  CHECK(*welcome.tracked.get(Tracked::time_zone) == "UTC");

  Bytes same, other, reader;
  welcome.tell(same, TrackedValues(), false);
  CHECK(same == welcome.messages);
  CHECK(same == message("in_hot_standby", "off") + message("TimeZone", "UTC") +
                    message("server_version", "15.9") + message("application_name", ""));

  other = "R";
  welcome.tell(other, values("Asia/Tokyo", "till"), false);
  CHECK(other == "R" + message("in_hot_standby", "off") + message("TimeZone", "Asia/Tokyo") +
                     message("server_version", "15.9") + message("application_name", "till"));

  welcome.tell(reader, values("UTC", "till"), true);
  CHECK(reader == message("in_hot_standby", "on") + message("TimeZone", "UTC") +
                      message("server_version", "15.9") + message("application_name", "till"));
}
