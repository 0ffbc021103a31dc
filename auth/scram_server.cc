#include "auth/scram_server.h"

namespace headgate {

bool ScramServer::offers(View mechanism) const {
  return mechanism == scram_mechanism || (mechanism == scram_plus_mechanism && !end_point_.empty());
}

// An authorisation identity between the commas is refused.
std::optional<View> ScramServer::gs2_header_of(View mechanism, View client_first) const {
  const auto begins_with = [&](View header) { return client_first.starts_with(header); };
  if (mechanism == scram_plus_mechanism) {
    return begins_with(gs2_bound) ? std::optional(gs2_bound) : std::nullopt;
  }
  if (begins_with(gs2_cannot_bind)) return gs2_cannot_bind;
  if (begins_with(gs2_could_bind) && end_point_.empty()) return gs2_could_bind;
  return std::nullopt;
}

bool ScramServer::read_first(View message, View mechanism) {
  if (message.size() > max_scram_message) return false;
  const auto header = gs2_header_of(mechanism, message);
  if (!header) return false;
  const View bare = message.substr(header->size());
  ScramAttributes attributes(bare);
  const auto name = attributes.take('n');
  const auto nonce = name ? attributes.take('r') : std::nullopt;
  // Extensions may follow and mean nothing to us; a mandatory one ("m=") stands in front of all.
  if (!nonce || !is_scram_nonce(*nonce) || nonce->size() + nonce_.size() > max_scram_nonce) {
    return false;
  }
  bound_ = *header;
  if (mechanism == scram_plus_mechanism) bound_ += end_point_;
  client_first_bare_ = bare;
  nonce_.insert(0, *nonce);
  return true;
}

Bytes ScramServer::challenge(const ScramVerifier& verifier) {
  verifier_ = verifier;
  server_first_ = "r=" + nonce_ + ",s=" + base64_encode(verifier.salt) +
                  ",i=" + std::to_string(verifier.iterations);
  return server_first_;
}

bool ScramServer::read_final(View message) {
  if (message.size() > max_scram_message) return false;
  const size_t proof_at = message.rfind(",p=");
  if (proof_at == View::npos) return false;
  const View bare = message.substr(0, proof_at);

  ScramAttributes attributes(bare);
  const auto binding = attributes.take('c');
  const auto nonce = attributes.take('r');
  const auto proof = base64_decode(message.substr(proof_at + 3));
  if (!binding || !nonce || !proof || proof->size() != sha256_size) return false;
  if (*binding != base64_encode(bound_) || *nonce != nonce_) return false;

  auth_message_ = scram_auth_message(client_first_bare_, server_first_, bare);
  return proof_is_right(*proof);
}

bool ScramServer::proof_is_right(View proof) {
  client_key_ = exclusive_or(proof, hmac_sha256(verifier_.stored_key, auth_message_));
  return equal_in_constant_time(sha256(client_key_), verifier_.stored_key);
}

Bytes ScramServer::confirmation() const {
  return "v=" + base64_encode(hmac_sha256(verifier_.server_key, auth_message_));
}

}  // namespace headgate
