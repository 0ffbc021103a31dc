#include "conf/lists.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("lists: membership is exact, between commas and white space") {
  CHECK(list_contains("postgres, admin", "admin"));
  CHECK(list_contains("postgres,admin", "postgres"));
  CHECK(list_contains("postgres admin\tother", "admin"));
  CHECK(!list_contains("postgres, admin", "adm"));
  CHECK(!list_contains("postgres, admin", "ADMIN"));
  CHECK(!list_contains("postgres, , admin", ""));
  CHECK(!list_contains("", "admin"));
}

TEST_CASE("lists: parts between commas lose their white space") {
  CHECK(split_at_commas(" 127.0.0.1 , ::1,, host ") ==
        std::vector<std::string>{"127.0.0.1", "::1", "host"});
  CHECK(split_at_commas("").empty());
  CHECK(split_at_commas(" , ").empty());
}
