#include "auth/derivation.h"

#include <atomic>
#include <utility>

#include "auth/saslprep.h"
#include "base/check.h"

namespace headgate {

namespace {

// Each part is preceded by its length, so that no two requests read the same. The cache keeps a
// hash instead of the password.
Bytes name_of(View password, View salt, int iterations) {
  const Bytes front = std::to_string(iterations) + ":" + std::to_string(salt.size()) + ":";
  Bytes text;
  text.reserve(front.size() + salt.size() + password.size());  // growing would leave copies behind
  text.append(front).append(salt).append(password);
  Bytes name = sha256(text);
  wipe(text);
  return name;
}

}  // namespace

struct Derivation::State {
  KeyCache cache;
  Bytes password, salt;
  int iterations;
  Keep keep;
  Bytes name;
  DerivedKeys keys{};
  std::atomic<bool> known = false;  // written last, by whoever has written the keys

  ~State() {
    wipe(password);
    wipe(name);
  }

  bool look_up() {
    const auto found = cache.find(name);
    if (found) set(*found);
    return found.has_value();
  }

  void compute() {
    if (look_up()) return;
    set(derive_scram_keys(password, salt, iterations));
    if (keep == Keep::at_once) cache.remember(name, keys);
  }

  void set(const DerivedKeys& found) {
    keys = found;
    known.store(true, std::memory_order_release);
  }
};

Derivation::Derivation(KeyCache& cache, View password, Bytes salt, int iterations, Keep keep)
    : state_(new State{cache, saslprep(password), std::move(salt), iterations, keep, {}}) {
  state_->name = name_of(state_->password, state_->salt, iterations);
  state_->look_up();
}

bool Derivation::known() const { return state_->known.load(std::memory_order_acquire); }

std::function<void()> Derivation::job() const {
  return [state = state_] { state->compute(); };
}

const DerivedKeys& Derivation::keys() const {
  MUST(known());
  return state_->keys;
}

View Derivation::name() const { return state_->name; }
View Derivation::salt() const { return state_->salt; }
int Derivation::iterations() const { return state_->iterations; }

void Derivation::remember() {
  if (state_->keep != Keep::never) state_->cache.remember(state_->name, keys());
}

}  // namespace headgate
