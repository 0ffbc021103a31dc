// Log-in conversations as arithmetic on bytes: a message of the peer goes in, the messages to send
// come out. Both directions: ClientAuth checks a client, ServerAuth proves us to a server. Neither
// touches a socket; key derivation (PBKDF2, thousands of rounds) is handed out as a job that the
// caller runs away from the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "auth/key_cache.h"
#include "auth/method.h"
#include "auth/secret.h"
#include "base/bytes.h"
#include "base/error.h"

namespace headgate {

/// The keys of a SCRAM login, enough to log in elsewhere with the same verifier.
struct ScramKeys {
  Bytes client_key, server_key;  // 32 bytes each
  /// The verifier they belong to ("iterations:salt"), which must equal the server's.
  std::string verifier;

  ~ScramKeys() {
    wipe(client_key);
    wipe(server_key);
  }
};

/// What the caller has to do next.
struct AuthStep {
  enum class Next : uint8_t {
    read,    // send `out`, then hand over the peer's next authentication message
    work,    // run `work` away from the loop, then call worked()
    ask,     // ask the directory (PAM, LDAP) about `password`, then call directory_said()
    done,    // send `out` (may be empty): authenticated. AuthenticationOk is not part of `out`.
    failed,  // `error` says why, in the words for the client
  };
  Next next = Next::read;
  Bytes out;
  /// Owns all it touches: it may run after the ClientAuth or ServerAuth has gone.
  std::function<void()> work;
  Bytes password;
  std::optional<Error> error;
};

/// Checks a client: one for each log-in.
class ClientAuth {
 public:
  struct Who {
    AuthMethod method;  // plain, md5, scram_sha_256, pam or ldap
    std::string user;
    /// The user's secret; an absent one is an unknown user, which goes through the whole exchange
    /// with a made-up salt and fails like a wrong password. Copied.
    std::optional<Secret> secret;
    int scram_iterations = 4096;
    /// 32 random bytes for nonce and salt, and a key for the salts of unknown users that stays the
    /// same for the life of the process.
    Bytes random;
    Bytes mock_key;
    /// Binds SCRAM-SHA-256-PLUS to the channel (TlsFacts); empty: it is not offered.
    Bytes server_end_point{};
  };
  ClientAuth(Who who, KeyCache& cache);
  ~ClientAuth();

  AuthStep start();
  /// The body of a 'p' message.
  AuthStep answer(View body);
  /// The job of AuthStep::work has run.
  AuthStep worked();
  /// The directory's answer to AuthStep::ask.
  AuthStep directory_said(bool right);

  /// After done: the password that the directory has found right.
  const std::optional<Secret>& typed() const;
  /// After done: the keys learnt from the client's own SCRAM log-in against a stored SCRAM secret.
  const std::optional<ScramKeys>& keys() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Logs in to a server: one for each server connection.
class ServerAuth {
 public:
  struct Who {
    std::string user;
    std::optional<Secret> secret;   // plain, md5, or scram (useful only together with keys)
    std::optional<ScramKeys> keys;  // learnt from a client, for SCRAM pass-through
    Bytes random;                   // 24 random bytes for the nonce
    /// Of the server's certificate, for SCRAM-SHA-256-PLUS; empty without TLS.
    Bytes server_end_point{};
  };
  ServerAuth(Who who, KeyCache& cache);
  ~ServerAuth();

  /// The body of an 'R' message other than AuthenticationOk. A hostile server is expected: every
  /// length is bounded (nonce, salt, iteration count, mechanisms).
  AuthStep request(View body);
  AuthStep worked();
  /// AuthenticationOk came: fails where a SCRAM exchange was begun and not verified.
  AuthStep ok();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace headgate
