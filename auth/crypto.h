// The arithmetic under the log-in methods: hashes, key derivation, base64 and a comparison that
// tells nothing by its time. A thin dress over OpenSSL's libcrypto; nothing here keeps state or
// asks for randomness.
#pragma once

#include <optional>

#include "base/bytes.h"

namespace headgate {

constexpr size_t sha256_size = 32;

/// 32 bytes.
Bytes sha256(View data);
/// 32 bytes (RFC 2104).
Bytes hmac_sha256(View key, View data);
/// PBKDF2 with HMAC-SHA-256 (RFC 8018), 32 bytes: `iterations` times the price of an HMAC, so not
/// for an event loop. `iterations` is at least 1.
Bytes pbkdf2_sha256(View password, View salt, int iterations);
/// The hash in 32 lower-case hexadecimal digits, or nothing where the system's policy forbids MD5.
std::optional<Bytes> md5_hex(View data);

/// With padding and without line breaks (RFC 4648, section 4).
Bytes base64_encode(View data);
/// Only the one form that base64_encode writes is taken, so that two texts never mean the same
/// bytes.
std::optional<Bytes> base64_decode(View text);

/// Takes a time that depends on the lengths alone, which are no secret.
bool equal_in_constant_time(View left, View right);

/// The library behind all this, and its version.
View crypto_library();

/// The bytes of two views of equal size, one by one exclusive-or'ed.
Bytes exclusive_or(View left, View right);

}  // namespace headgate
