// One derivation of SCRAM keys from a password: found in the cache, or computed by a job that the
// caller runs on another thread. The job owns all it touches, so whoever asked for it may be gone
// when it runs.
#pragma once

#include <functional>
#include <memory>

#include "auth/key_cache.h"
#include "base/bytes.h"

namespace headgate {

class Derivation {
 public:
  /// When the keys go into the cache, for others to find.
  enum class Keep : uint8_t {
    at_once,      // the password is a secret of ours, the parameters are our own
    when_proven,  // either came from a peer: remember() is called once it has shown to be right
    never,
  };

  /// Looks into the cache, never computes. The password is normalised first (saslprep).
  Derivation(KeyCache& cache, View password, Bytes salt, int iterations, Keep keep);

  bool known() const;
  /// Computes the keys unless another job did so meanwhile.
  std::function<void()> job() const;
  /// The keys; MUST be known, or the job have run.
  const DerivedKeys& keys() const;
  /// What the cache keeps the keys under.
  View name() const;
  View salt() const;
  int iterations() const;

  /// The keys turned out to be right.
  void remember();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace headgate
