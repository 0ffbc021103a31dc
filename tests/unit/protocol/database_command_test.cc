#include "protocol/database_command.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

/// The database that must be left, with a star where the session itself may be in it.
std::string left_for(View sql) {
  const auto command = find_database_command(sql, true);
  return command ? command->database + (command->from_inside ? "*" : "") : "nothing";
}

}  // namespace

TEST_CASE("database command: which database must be left") {
  struct Row {
    View sql, database;
  };
  const Row rows[] = {
      {"DROP DATABASE test", "test"},
      {"drop database Test;", "test"},
      {"  DROP DATABASE IF EXISTS \"Te\"\"st\" ; ", "Te\"st"},
      {"/* app */ drop database test -- now", "test"},
      {"DROP DATABASE test WITH (FORCE)", "test"},
      {"DROP DATABASE \"if\"", "if"},
      {"ALTER DATABASE test RENAME TO other", "test"},
      {"ALTER DATABASE test SET TABLESPACE fast", "test"},
      {"CREATE DATABASE new", "template1*"},
      {"CREATE DATABASE new OWNER me TEMPLATE test", "test*"},
      {"CREATE DATABASE new WITH TEMPLATE = \"Test\" ENCODING 'UTF8'", "Test*"},
      {"CREATE DATABASE new TEMPLATE 'te''st'", "te'st*"},
      {"CREATE DATABASE new TEMPLATE DEFAULT", "template1*"},
      {"CREATE DATABASE template", "template1*"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.sql);
    CHECK(left_for(row.sql) == row.database);
  }
}

TEST_CASE("database command: what is none, or not alone, or cannot be read") {
  const View texts[] = {
      "",
      " ",
      "d",
      "DROP",
      "DROP DATABASE",
      "DROP TABLE database",
      "DROP DATABASE test; SELECT 1",
      "SELECT 1; DROP DATABASE test",
      "DROP DATABASE \"test",
      "DROP DATABASE U&\"test\"",
      "ALTER DATABASE test SET work_mem = '1MB'",
      "ALTER DATABASE test SET",
      "ALTER DATABASE test",
      "CREATE DATABASE",
      "CREATE DATABASE new TEMPLATE",
      "CREATE DATABASE new TEMPLATE =",
      "CREATE DATABASE new TEMPLATE 'te\\st'",
      "COMMENT ON DATABASE test IS 'drop database test'",
      "-- DROP DATABASE test",
  };
  for (const View sql : texts) {
    CAPTURE(sql);
    CHECK(left_for(sql) == "nothing");
  }
  const std::string longer(DatabaseCommand::max_text, ' ');
  CHECK(left_for("DROP DATABASE test" + longer) == "nothing");
}

TEST_CASE("database command: without standard_conforming_strings the same text may end elsewhere") {
  const View sql = R"(CREATE DATABASE new TEMPLATE = test LOCALE '\'; x')";
  CHECK_FALSE(find_database_command(sql, true));
  CHECK(find_database_command(sql, false)->database == "test");
}

TEST_CASE("database command: other statements are told by their first letters") {
  for (const View sql : {"SELECT 1", "BEGIN", "COMMIT", "INSERT", "UPDATE", "DELETE", "ANALYZE"}) {
    CHECK_FALSE(may_be_database_command(sql));
  }
}
