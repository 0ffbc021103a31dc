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

TEST_CASE("lists: a weight is that of its name, one where there is none") {
  const std::vector<int> weights = {3, 0};
  CHECK(weight_of("a", "a, b,c", weights) == 3);
  CHECK(weight_of("b", "a, b,c", weights) == 0);
  CHECK(weight_of("c", "a, b,c", weights) == 1);
  CHECK(weight_of("x", "a, b,c", weights) == 1);
}
