// The prepared statements of the whole process: one for each distinct text and parameter types. An
// entry lives as long as a client or a server uses it. From any thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "protocol/statements.h"

namespace headgate {

class StatementRegistry {
 public:
  /// `salt`: 16 random bytes, so that nobody can choose texts that collide, or guess the name that
  /// no statement has.
  explicit StatementRegistry(View salt);

  /// The one statement with this text, the body of a Parse behind the name; or another copy of it,
  /// for a client that has given names to `copy` of them already.
  StatementPtr find_or_make(View text, uint8_t copy);
  /// Whether it was asked for this text before, not too long ago.
  bool sees_again(View text);
  size_t size() const;
  /// A name that no server knows, for messages that are to fail or to do nothing.
  const std::string& unknown_name() const { return unknown_name_; }

 private:
  struct Hash {
    uint64_t seed;
    size_t operator()(View text) const;
  };
  struct Table {
    explicit Table(uint64_t seed) : statements(64, Hash{seed}) {}
    std::mutex mutex;
    std::unordered_map<View, std::weak_ptr<Statement>, Hash> statements;
  };

  StatementPtr find(View key) const;

  static constexpr size_t most_seen = 4096;
  const std::shared_ptr<Table> table_;  // the last statement may outlive the registry
  const std::string unknown_name_;
  std::atomic<uint64_t> last_id_{0};
  std::array<std::atomic<uint32_t>, most_seen> seen_{};  // hashes, each in the place it belongs to
};

}  // namespace headgate
