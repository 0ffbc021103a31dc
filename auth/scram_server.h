// The side of SCRAM that checks a client. One for each exchange, driven by its owner message by
// message; it never derives a key from a password, and never says in what way a client was wrong.
#pragma once

#include <optional>
#include <utility>

#include "auth/scram.h"
#include "base/bytes.h"

namespace headgate {

class ScramServer {
 public:
  /// `nonce` is our half of it (see scram_nonce), never used before. `end_point` is what binds PLUS
  /// to the channel; empty where PLUS is not offered.
  explicit ScramServer(Bytes nonce, Bytes end_point = {})
      : nonce_(std::move(nonce)), end_point_(std::move(end_point)) {}
  ~ScramServer() { wipe(client_key_); }

  bool offers(View mechanism) const;
  /// Reads client-first of an exchange with an offered mechanism; false if it is malformed, or
  /// contradicts the mechanism or the offer.
  bool read_first(View message, View mechanism = scram_mechanism);
  /// server-first, which shows the client the verifier's salt and iterations.
  Bytes challenge(const ScramVerifier& verifier);
  /// Reads client-final; true if its proof fits the verifier of the challenge.
  bool read_final(View message);
  /// server-final, after a good read_final(): proves to the client that we know the verifier too.
  Bytes confirmation() const;
  /// The client's key, which its proof has shown to us.
  const Bytes& client_key() const { return client_key_; }

 private:
  std::optional<View> gs2_header_of(View mechanism, View client_first) const;
  bool proof_is_right(View proof);

  Bytes nonce_;  // ours; after client-first the client's half stands in front of it
  const Bytes end_point_;
  Bytes bound_;  // what client-final has to repeat: the gs2-header, and of PLUS the binding
  Bytes client_first_bare_, server_first_, auth_message_;
  ScramVerifier verifier_;
  Bytes client_key_;
};

}  // namespace headgate
