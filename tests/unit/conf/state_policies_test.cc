#include "conf/state_policies.h"

#include <doctest/doctest.h>

namespace headgate {

TEST_CASE("state policies: a list, in any case and with any blanks") {
  StatePolicies policies;
  CHECK(policies.are_default());
  CHECK_FALSE(parse_state_policies("", policies));
  CHECK(policies.are_default());
  CHECK_FALSE(parse_state_policies(" Advisory_Lock=REFUSE,temporary=warn\tlisten=pin ,", policies));
  CHECK(policies.of(Pin::advisory_lock) == StatePolicy::refuse);
  CHECK(policies.of(Pin::temporary) == StatePolicy::warn);
  CHECK(policies.of(Pin::listen) == StatePolicy::pin);
  CHECK(policies.of(Pin::setting) == StatePolicy::track);
  CHECK(policies.of(Pin::load) == StatePolicy::pin);
  CHECK(to_text(policies) == "advisory_lock=refuse, temporary=warn, listen=pin");
  CHECK(policies.with(StatePolicy::refuse) == Pins(Pin::advisory_lock));
  CHECK_FALSE(policies.are_default());
}

TEST_CASE("state policies: what is not named goes back to its default") {
  StatePolicies policies;
  CHECK_FALSE(parse_state_policies("cursor=ignore", policies));
  CHECK_FALSE(parse_state_policies("load=ignore", policies));
  CHECK(to_text(policies) == "load=ignore");
}

TEST_CASE("state policies: what is wrong changes nothing and is said") {
  StatePolicies policies;
  CHECK_FALSE(parse_state_policies("load=refuse", policies));
  for (const View wrong : {"load", "load=", "=pin", "lock=pin", "load=maybe", "load=pin=warn"}) {
    const auto expected = parse_state_policies(wrong, policies);
    REQUIRE(expected);
    CHECK(expected->starts_with("a list such as"));
  }
  const auto expected = parse_state_policies("cursor=track", policies);
  REQUIRE(expected);
  CHECK(*expected == "pin, warn, refuse or ignore for cursor: it cannot go to another server");
  CHECK(to_text(policies) == "load=refuse");
}

}  // namespace headgate
