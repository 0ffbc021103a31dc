#include "auth/scram_client.h"

namespace headgate {

void ScramClient::bind_to(View end_point) {
  gs2_header_ = gs2_bound;
  end_point_ = end_point;
}

Bytes ScramClient::first_bare() const { return "n=,r=" + own_nonce_; }

Bytes ScramClient::first() const { return Bytes(gs2_header_) + first_bare(); }

std::optional<ScramClient::Challenge> ScramClient::read_challenge(View message) {
  if (message.size() > max_scram_message) return std::nullopt;
  ScramAttributes attributes(message);
  const auto nonce = attributes.take('r');
  const auto salt_text = attributes.take('s');
  const auto iterations_text = attributes.take('i');
  if (!nonce || !salt_text || !iterations_text) return std::nullopt;
  // Ours must stand in front, and the server must have added to it.
  if (!nonce->starts_with(own_nonce_) || nonce->size() == own_nonce_.size()) return std::nullopt;
  if (!is_scram_nonce(*nonce) || nonce->size() > max_scram_nonce) return std::nullopt;

  auto salt = base64_decode(*salt_text);
  const auto iterations = parse_iterations(*iterations_text, max_scram_iterations);
  if (!salt || salt->empty() || salt->size() > max_scram_salt || !iterations) return std::nullopt;
  nonce_ = *nonce;
  server_first_ = message;
  return Challenge{*std::move(salt), *iterations};
}

Bytes ScramClient::answer(const DerivedKeys& keys) {
  const Bytes bare = "c=" + base64_encode(Bytes(gs2_header_) + end_point_) + ",r=" + nonce_;
  auth_message_ = scram_auth_message(first_bare(), server_first_, bare);
  server_key_ = keys.server_key;
  const Bytes signature = hmac_sha256(sha256(keys.client_key), auth_message_);
  return bare + ",p=" + base64_encode(exclusive_or(keys.client_key, signature));
}

bool ScramClient::verify(View message) const {
  if (message.size() > max_scram_message) return false;
  ScramAttributes attributes(message);
  const auto signature_text = attributes.take('v');
  const auto signature = signature_text ? base64_decode(*signature_text) : std::nullopt;
  return signature && equal_in_constant_time(*signature, hmac_sha256(server_key_, auth_message_));
}

}  // namespace headgate
