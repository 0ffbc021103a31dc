#include <doctest/doctest.h>

#include "protocol/session_state.h"

using namespace headgate;

TEST_CASE("session: what a client has set is the same in another process") {
  SettingValuesPtr known;
  ClientSession client;
  client.start_with({{"work_mem", "4MB"}}, {{"application_name", "shop"}}, known);
  REQUIRE(client.set({{"search_path", "pg_temp, public"}, {"work_mem", "7MB"}}));
  client.set_statements(
      std::make_shared<const SqlStatements>(SqlStatements{{"one", "PREPARE one AS SELECT 1"}}));
  SettingValuesPtr known_there;
  ClientSession there;
  there.resume(client.saved(), known_there);
  REQUIRE(there.values());
  CHECK(*there.values() == *client.values());
  CHECK(*there.statements() == *client.statements());
  CHECK(there.creates_temporary());
  CHECK(there.is_proved() == client.is_proved());
  CHECK(there.names_at_start() == client.names_at_start());
  there.back_to_start();
  CHECK(*there.values() == SettingValues{{"work_mem", "4MB"}});
  CHECK_FALSE(there.statements());
}

TEST_CASE("session: clients that have started alike share what they said there, too") {
  SettingValuesPtr known, known_there;
  ClientSession one, other, nothing;
  one.start_with({{"work_mem", "4MB"}}, {}, known);
  other.start_with({{"work_mem", "4MB"}}, {}, known);
  ClientSession one_there, other_there, nothing_there;
  one_there.resume(one.saved(), known_there);
  const SettingValuesPtr first = known_there;
  other_there.resume(other.saved(), known_there);
  CHECK(known_there == first);
  nothing_there.resume(nothing.saved(), known_there);
  CHECK_FALSE(nothing_there.values());
  CHECK_FALSE(nothing_there.has_start());
  CHECK(nothing_there.is_proved());
}
