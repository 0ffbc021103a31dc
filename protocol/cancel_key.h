// A client's cancel key as one number: the eight bytes of BackendKeyData in wire order. Where
// several poolers stand behind one address, the key says which of them it belongs to, in
// PgBouncer's places so that both understand each other:
//
//   byte   0      1  2              3  4  5  6  7
//         0ooooooo llllllll hhhhhhhh oooooooo ... oooooott
//
//   lh  the pooler's peer_id, low byte first (random if it has none)
//   tt  how often a request may still be passed on; a key is given out with the most (random
//       without peering)
//   o   random
//
// Without a peer_id, a client that keeps its server for life (link_at_login) may have that one's
// process number in the first four bytes, as a direct connection has; the last four are random.
#pragma once

#include <cstdint>
#include <optional>

#include "protocol/startup.h"
#include "protocol/wire.h"

namespace headgate {

struct CancelKey {
  uint64_t bits = 0;

  static constexpr uint64_t hops_mask = 3;
  static constexpr uint64_t peer_mask = 0x00ffff0000000000;
  static constexpr uint64_t sign_mask = uint64_t{1} << 63;  // clear: some clients read it as signed

  /// From eight random bytes. `peer_id` 0: no peering.
  static constexpr CancelKey from_random(uint64_t random, int peer_id) {
    const uint64_t bits = random & ~sign_mask;
    if (peer_id == 0) return {bits};
    const auto id = static_cast<uint64_t>(peer_id);
    return {(bits & ~peer_mask) | (id & 0xff) << 48 | (id >> 8 & 0xff) << 40 | hops_mask};
  }
  /// From the number of a server's process, which must be above 0, and random bits.
  static constexpr CancelKey from_process(int32_t process, uint64_t random) {
    return {static_cast<uint64_t>(process) << 32 | (random & 0xffffffff)};
  }
  /// Nothing if it is no key of ours or of a peer: they have eight bytes.
  static std::optional<CancelKey> of(const CancelRequest& request) {
    if (request.secret.size() != 4) return std::nullopt;
    return CancelKey{static_cast<uint64_t>(static_cast<uint32_t>(request.process)) << 32 |
                     load_u32(request.secret.data())};
  }

  constexpr int peer_id() const {
    return static_cast<int>((bits >> 48 & 0xff) | (bits >> 40 & 0xff) << 8);
  }
  constexpr int hops() const { return static_cast<int>(bits & hops_mask); }
  /// The same key on its next leg; hops() must not be 0.
  constexpr CancelKey passed_on() const { return {bits - 1}; }
  /// As it was given out, if that was with peering.
  constexpr CancelKey before_any_hop() const { return {bits | hops_mask}; }

  constexpr int32_t process() const { return static_cast<int32_t>(bits >> 32); }
  constexpr int32_t secret() const { return static_cast<int32_t>(bits); }
};

static_assert(CancelKey::from_random(0, 0x1234).bits == 0x0034120000000003);
static_assert(CancelKey::from_random(~uint64_t{0}, 0).bits == ~CancelKey::sign_mask);
static_assert(CancelKey::from_random(~uint64_t{0}, 7).peer_id() == 7);
static_assert(CancelKey::from_process(0x1234, ~uint64_t{0}).process() == 0x1234);
static_assert(CancelKey::from_process(0x1234, ~uint64_t{0}).secret() == -1);

}  // namespace headgate
