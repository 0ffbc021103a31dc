#include "protocol/cancel_key.h"

#include <doctest/doctest.h>

#include <random>

using namespace headgate;

namespace {

CancelRequest request_for(CancelKey key) {
  CancelRequest request;
  request.process = key.process();
  request.secret.resize(4);
  store_u32(request.secret.data(), static_cast<uint32_t>(key.secret()));
  return request;
}

}  // namespace

TEST_CASE("cancel key: what the client sends back is the key, whoever made it") {
  std::mt19937_64 dice(1);
  for (int peer : {0, 1, 0x1234, 65535}) {
    const auto key = CancelKey::from_random(dice(), peer);
    const auto again = CancelKey::of(request_for(key));
    REQUIRE(again);
    CHECK(again->bits == key.bits);
    if (peer != 0) CHECK(again->peer_id() == peer);
    CHECK(key.process() >= 0);
  }
}

TEST_CASE("cancel key: on its way it stays the same, and stops after three legs") {
  const auto first = CancelKey::from_random(0x7fedcba987654321, 300);
  auto key = first;
  for (int hops = 3; hops > 0; --hops) {
    CHECK(key.hops() == hops);
    const CancelKey next = key.passed_on();
    CHECK(next.before_any_hop().bits == first.bits);
    CHECK(next.peer_id() == 300);
    key = next;
  }
  CHECK(key.hops() == 0);
}

TEST_CASE("cancel key: all is random but the number and the hops, where there are peers") {
  const auto none = CancelKey::from_random(0, 9);
  const auto all = CancelKey::from_random(~uint64_t{0}, 9);
  CHECK((none.bits ^ all.bits) ==
        ~(CancelKey::peer_mask | CancelKey::sign_mask | CancelKey::hops_mask));
  CHECK((CancelKey::from_random(0, 0).bits ^ CancelKey::from_random(~uint64_t{0}, 0).bits) ==
        ~CancelKey::sign_mask);
}

TEST_CASE("cancel key: a longer secret is none of ours") {
  CancelRequest request = request_for(CancelKey::from_random(1, 2));
  request.secret += '\0';
  CHECK_FALSE(CancelKey::of(request));
}
