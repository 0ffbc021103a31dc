// Remembers keys that were derived from passwords, so that a login does not repeat thousands of
// rounds. It is the one thing in this room that threads share: each call takes a lock inside for
// the time of a look-up. Bounded; the entry that was not used for the longest time goes first.
#pragma once

#include <memory>
#include <optional>

#include "auth/scram.h"
#include "base/bytes.h"

namespace headgate {

/// A handle: its copies share the entries, and the entries live as long as a copy does, so that a
/// job on another thread may outlive the login and even the worker that began it.
class KeyCache {
 public:
  static constexpr size_t capacity = 10'000;

  KeyCache();
  ~KeyCache();
  KeyCache(const KeyCache&);
  KeyCache& operator=(const KeyCache&);

  /// The keys kept under this name (of any length and content, best a hash).
  std::optional<DerivedKeys> find(View name) const;
  void remember(View name, const DerivedKeys& keys);
  size_t size() const;

 private:
  struct Entries;
  std::shared_ptr<Entries> entries_;
};

}  // namespace headgate
