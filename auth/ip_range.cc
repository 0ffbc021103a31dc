#include "auth/ip_range.h"

#include <arpa/inet.h>

#include <string>

namespace headgate {

std::optional<IpNumber> IpNumber::parse(View text) {
  const std::string zero_ended(text);
  if (zero_ended.find('\0') != std::string::npos) return std::nullopt;
  IpNumber number;
  number.is_v6 = text.find(':') != View::npos;
  if (inet_pton(number.is_v6 ? AF_INET6 : AF_INET, zero_ended.c_str(), number.bytes.data()) != 1) {
    return std::nullopt;
  }
  return number;
}

std::optional<IpNumber> IpRange::mask_of(bool is_v6, int bits) {
  IpNumber mask;
  mask.is_v6 = is_v6;
  if (bits < 0 || bits > static_cast<int>(mask.size()) * 8) return std::nullopt;
  for (int bit = 0; bit < bits; ++bit) {
    uint8_t& byte = mask.bytes[static_cast<size_t>(bit) / 8];
    byte = static_cast<uint8_t>(byte | 0x80 >> bit % 8);
  }
  return mask;
}

bool IpRange::contains(const IpNumber& address) const {
  if (address.is_v6 != network.is_v6) return false;
  for (size_t i = 0; i < address.size(); ++i) {
    if ((address.bytes[i] & mask.bytes[i]) != network.bytes[i]) return false;
  }
  return true;
}

bool IpRange::is_empty() const { return !contains(network); }

}  // namespace headgate
