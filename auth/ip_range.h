// Addresses as numbers, and ranges of them as an HBA file has them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace headgate {

struct IpNumber {
  bool is_v6 = false;
  std::array<uint8_t, 16> bytes{};  // of IPv4, the first four

  /// Reads "192.0.2.1" or "2001:db8::1"; nothing else.
  static std::optional<IpNumber> parse(View text);
  /// The same of a peer, whose address may name its zone: "fe80::1%eth0". No rule asks for that.
  static std::optional<IpNumber> of_peer(View host) {
    return parse(host.substr(0, host.find('%')));
  }
  size_t size() const { return is_v6 ? 16 : 4; }
};

struct IpRange {
  IpNumber network, mask;

  /// `bits` leading ones; nothing if the address has fewer bits.
  static std::optional<IpNumber> mask_of(bool is_v6, int bits);
  bool contains(const IpNumber& address) const;
  /// No address can lie in it: bits are set that the mask leaves out.
  bool is_empty() const;
};

}  // namespace headgate
