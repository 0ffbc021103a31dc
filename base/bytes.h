// The two words for bytes: a View is lent, Bytes are owned. Integers on the wire are big-endian.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace headgate {

using View = std::string_view;
using Bytes = std::string;

inline bool is_ascii(View text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 128; });
}

/// Whether this is UTF-8 as Unicode and PostgreSQL want it: no surrogates, nothing longer than need
/// be. (RFC 3629)
bool is_utf8(View text);

/// Reads a big-endian integer from `at`; the caller has checked that it is there.
inline uint16_t load_u16(const char* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap16(value);
}

/// Reads a big-endian integer from `at`; the caller has checked that it is there.
inline uint32_t load_u32(const char* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap32(value);
}

/// Writes a big-endian integer to `at`, where the caller has room for it.
inline void store_u16(char* at, uint16_t value) {
  value = __builtin_bswap16(value);
  std::memcpy(at, &value, sizeof value);
}

/// Writes a big-endian integer to `at`, where the caller has room for it.
inline void store_u32(char* at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(at, &value, sizeof value);
}

/// Overwrites memory in a way that the compiler may not leave out; for secrets.
void wipe(Bytes& secret);

}  // namespace headgate
