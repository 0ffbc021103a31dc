// SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677) in PostgreSQL's flavour: the user name
// inside the messages is ignored, because the start-up packet has named the user. Here is what both
// roles share; the roles are scram_server.h and scram_client.h.
//
//   client-first   gs2-header "n=" name ",r=" client-nonce
//   server-first   "r=" client-nonce server-nonce ",s=" salt ",i=" iterations
//   client-final   "c=" base64(gs2-header, and of PLUS the binding) ",r=" both nonces ",p=" proof
//   server-final   "v=" signature
//
// The gs2-header is "p=tls-server-end-point,," of PLUS, whose binding is the hash of the server's
// certificate (RFC 5929). Otherwise it is "n,," from a client that cannot bind to the channel, and
// "y,," from one that could but was not offered PLUS: false where it was, somebody in between has
// taken the offer away.
#pragma once

#include <optional>

#include "auth/crypto.h"
#include "base/bytes.h"

namespace headgate {

constexpr View scram_mechanism = "SCRAM-SHA-256";
constexpr View scram_plus_mechanism = "SCRAM-SHA-256-PLUS";
constexpr View gs2_bound = "p=tls-server-end-point,,";
constexpr View gs2_could_bind = "y,,";
constexpr View gs2_cannot_bind = "n,,";

/// Bounds on what a peer sends. Everything usual is far below.
constexpr size_t max_scram_message = 4096;
constexpr size_t max_scram_nonce = 1024;  // both halves together
constexpr size_t max_scram_salt = 1024;
/// The most rounds that are ever computed: some seconds of one core.
constexpr int max_scram_iterations = 10'000'000;
/// Random bytes that go into a nonce of ours.
constexpr size_t scram_nonce_size = 24;

/// What is derived from a password, a salt and a number of iterations.
struct DerivedKeys {
  Bytes client_key, server_key;
  ~DerivedKeys() {
    wipe(client_key);
    wipe(server_key);
  }
};

/// Runs PBKDF2: not for an event loop.
DerivedKeys derive_scram_keys(View password, View salt, int iterations);

/// What a server stores instead of a password.
struct ScramVerifier {
  int iterations = 0;
  Bytes salt, stored_key, server_key;
  ~ScramVerifier() {
    wipe(stored_key);
    wipe(server_key);
  }
};

/// Reads "SCRAM-SHA-256$iterations:salt$stored:server"; any other text is nothing.
std::optional<ScramVerifier> parse_scram_verifier(View text);
ScramVerifier verifier_of(const DerivedKeys& keys, View salt, int iterations);
/// "iterations:salt": two verifiers of one password with equal names have equal keys.
Bytes verifier_name(View salt, int iterations);

/// Reads decimal digits without sign or blank, from 1 to `most`.
std::optional<int> parse_iterations(View digits, int most);

/// One half of a nonce, made from the first scram_nonce_size bytes of `random` (MUST be there).
Bytes scram_nonce(View random);
/// Of visible ASCII without a comma, and not empty.
bool is_scram_nonce(View text);

/// Walks over the attributes of a message: "a=value,b=value". What was taken does not come again.
class ScramAttributes {
 public:
  explicit ScramAttributes(View message) : rest_(message) {}

  /// The value of the next attribute if it has this name; else nothing, and nothing is taken.
  std::optional<View> take(char name);

 private:
  View rest_;
};

/// What every signature of an exchange is made over.
Bytes scram_auth_message(View client_first_bare, View server_first, View client_final_bare);

}  // namespace headgate
