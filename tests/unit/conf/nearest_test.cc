#include "conf/nearest.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("nearest: a mistyped name is told from one that means nothing") {
  const View names[] = {"default_pool_size", "min_pool_size", "pool_mode", "max_db_connections",
                        "max_client_conn"};
  CHECK(nearest_name("defualt_pool_size", names) == "default_pool_size");
  CHECK(nearest_name("poolmode", names) == "pool_mode");
  CHECK(nearest_name("POOL_MODE", names) == "pool_mode");
  CHECK(nearest_name("max_connections", names) == "max_db_connections");
  CHECK(nearest_name("zzz", names).empty());
  CHECK(nearest_name("", names).empty());
  CHECK(nearest_name(std::string(10000, 'p'), names).empty());
  CHECK(did_you_mean("pool_mod", names) == "did you mean pool_mode?");
  CHECK(did_you_mean("zzz", names).empty());
}

TEST_CASE("nearest: a candidate of any length is safe") {
  const std::string longest(64, 'a'), too_long(65, 'a');
  const View names[] = {longest, too_long};
  CHECK(nearest_name(longest, names) == longest);
  CHECK(nearest_name(std::string(63, 'a'), names) == longest);
}
