#include "auth/scram.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/check.h"

namespace headgate {

namespace {

// Splits `text` at the first `separator`: returns what stands before it and leaves what follows.
std::optional<View> cut(View& text, char separator) {
  const size_t at = text.find(separator);
  if (at == View::npos) return std::nullopt;
  const View before = text.substr(0, at);
  text.remove_prefix(at + 1);
  return before;
}

}  // namespace

DerivedKeys derive_scram_keys(View password, View salt, int iterations) {
  Bytes salted = pbkdf2_sha256(password, salt, iterations);
  DerivedKeys keys{hmac_sha256(salted, "Client Key"), hmac_sha256(salted, "Server Key")};
  wipe(salted);
  return keys;
}

std::optional<ScramVerifier> parse_scram_verifier(View text) {
  const auto mechanism = cut(text, '$');
  if (mechanism != scram_mechanism) return std::nullopt;
  const auto iterations_text = cut(text, ':');
  const auto salt_text = cut(text, '$');
  const auto stored_text = cut(text, ':');
  if (!iterations_text || !salt_text || !stored_text) return std::nullopt;

  const auto iterations = parse_iterations(*iterations_text, std::numeric_limits<int>::max());
  auto salt = base64_decode(*salt_text);
  auto stored_key = base64_decode(*stored_text);
  auto server_key = base64_decode(text);
  if (!iterations || !salt || !stored_key || !server_key) return std::nullopt;
  if (salt->empty() || salt->size() > max_scram_salt) return std::nullopt;
  if (stored_key->size() != sha256_size || server_key->size() != sha256_size) return std::nullopt;
  return ScramVerifier{*iterations, *std::move(salt), *std::move(stored_key),
                       *std::move(server_key)};
}

ScramVerifier verifier_of(const DerivedKeys& keys, View salt, int iterations) {
  return {iterations, Bytes(salt), sha256(keys.client_key), keys.server_key};
}

Bytes verifier_name(View salt, int iterations) {
  return std::to_string(iterations) + ":" + base64_encode(salt);
}

std::optional<int> parse_iterations(View digits, int most) {
  if (digits.empty() || digits.find_first_not_of("0123456789") != View::npos) return std::nullopt;
  int value = 0;
  const auto [end, problem] = std::from_chars(digits.begin(), digits.end(), value);
  if (problem != std::errc() || value < 1 || value > most) return std::nullopt;
  return value;
}

Bytes scram_nonce(View random) {
  MUST(random.size() >= scram_nonce_size);
  return base64_encode(random.substr(0, scram_nonce_size));
}

bool is_scram_nonce(View text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~' || c == ',') return false;
  }
  return !text.empty();
}

std::optional<View> ScramAttributes::take(char name) {
  if (rest_.size() < 2 || rest_[0] != name || rest_[1] != '=') return std::nullopt;
  const size_t end = std::min(rest_.find(','), rest_.size());
  const View value = rest_.substr(2, end - 2);
  rest_.remove_prefix(std::min(end + 1, rest_.size()));
  return value;
}

Bytes scram_auth_message(View client_first_bare, View server_first, View client_final_bare) {
  Bytes message(client_first_bare);
  message.append(",").append(server_first).append(",").append(client_final_bare);
  return message;
}

}  // namespace headgate
