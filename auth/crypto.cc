#include "auth/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <limits>

#include "base/check.h"

namespace headgate {

namespace {

const unsigned char* bytes_of(View data) {
  return reinterpret_cast<const unsigned char*>(data.data());
}
unsigned char* bytes_of(Bytes& data) { return reinterpret_cast<unsigned char*>(data.data()); }

// OpenSSL counts in int; everything that comes here is bounded far below.
int int_size(View data) {
  MUST(data.size() <= static_cast<size_t>(std::numeric_limits<int>::max()));
  return static_cast<int>(data.size());
}

}  // namespace

Bytes sha256(View data) {
  Bytes hash(sha256_size, '\0');
  MUST(EVP_Digest(data.data(), data.size(), bytes_of(hash), nullptr, EVP_sha256(), nullptr) == 1);
  return hash;
}

Bytes hmac_sha256(View key, View data) {
  Bytes hash(sha256_size, '\0');
  MUST(HMAC(EVP_sha256(), key.data(), int_size(key), bytes_of(data), data.size(), bytes_of(hash),
            nullptr) != nullptr);
  return hash;
}

Bytes pbkdf2_sha256(View password, View salt, int iterations) {
  MUST(iterations >= 1);
  Bytes key(sha256_size, '\0');
  MUST(PKCS5_PBKDF2_HMAC(password.data(), int_size(password), bytes_of(salt), int_size(salt),
                         iterations, EVP_sha256(), sha256_size, bytes_of(key)) == 1);
  return key;
}

std::optional<Bytes> md5_hex(View data) {
  std::array<unsigned char, 16> hash;
  if (EVP_Digest(data.data(), data.size(), hash.data(), nullptr, EVP_md5(), nullptr) != 1) {
    return std::nullopt;
  }
  static constexpr char digits[] = "0123456789abcdef";
  Bytes text;
  for (const unsigned char byte : hash) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

Bytes base64_encode(View data) {
  Bytes text((data.size() + 2) / 3 * 4 + 1, '\0');  // OpenSSL adds a zero
  EVP_EncodeBlock(bytes_of(text), bytes_of(data), int_size(data));
  text.pop_back();
  return text;
}

std::optional<Bytes> base64_decode(View text) {
  if (text.empty()) return Bytes();
  if (text.size() % 4 != 0) return std::nullopt;
  Bytes data(text.size() / 4 * 3, '\0');
  if (EVP_DecodeBlock(bytes_of(data), bytes_of(text), int_size(text)) < 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  data.erase(data.size() - padding);
  // OpenSSL forgives blanks, misplaced padding and stray bits; the way back shows them.
  if (base64_encode(data) != text) return std::nullopt;
  return data;
}

bool equal_in_constant_time(View left, View right) {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

Bytes exclusive_or(View left, View right) {
  MUST(left.size() == right.size());
  Bytes result(left);
  for (size_t i = 0; i < result.size(); ++i) result[i] = static_cast<char>(result[i] ^ right[i]);
  return result;
}

View crypto_library() { return OpenSSL_version(OPENSSL_VERSION); }

}  // namespace headgate
