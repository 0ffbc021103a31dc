// The side of SCRAM that logs in. One for each exchange, driven by its owner message by message.
// The server is expected to be hostile: whatever it sends is bounded, and it must prove that it
// knows the verifier too.
#pragma once

#include <optional>
#include <utility>

#include "auth/scram.h"
#include "base/bytes.h"

namespace headgate {

class ScramClient {
 public:
  /// `nonce` is our half of it (see scram_nonce), never used before.
  explicit ScramClient(Bytes nonce) : own_nonce_(std::move(nonce)) {}
  ~ScramClient() { wipe(server_key_); }

  /// Binds the exchange to the channel (PLUS), or says that it could have been bound had the server
  /// offered it. Before first().
  void bind_to(View end_point);
  void could_bind() { gs2_header_ = gs2_could_bind; }

  /// client-first.
  Bytes first() const;

  struct Challenge {
    Bytes salt;
    int iterations = 0;
  };
  /// Reads server-first; nothing if it is malformed or beyond our bounds.
  std::optional<Challenge> read_challenge(View message);
  /// client-final, made with the keys that belong to the challenge.
  Bytes answer(const DerivedKeys& keys);
  /// Reads server-final; true if its signature is the right one.
  bool verify(View message) const;

 private:
  Bytes first_bare() const;

  View gs2_header_ = gs2_cannot_bind;
  Bytes end_point_;
  Bytes own_nonce_;
  Bytes nonce_;  // both halves, as the server sent them
  Bytes server_first_, auth_message_, server_key_;
};

}  // namespace headgate
