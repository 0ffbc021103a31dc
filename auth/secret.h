// What is known of a user's password: nothing, its text, its md5 hash, or a SCRAM verifier. Secrets
// are wiped when they go and never appear in logs or SHOW.
#pragma once

#include <cstdint>
#include <utility>

#include "base/bytes.h"

namespace headgate {

enum class SecretKind : uint8_t { none, plain, md5, scram };

class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes text);  // tells the kind from the form (PGBOUNCER.md, userlist.txt)
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept { swap(other); }
  /// What stood here before goes, and is wiped, with `other`.
  Secret& operator=(Secret other) noexcept {
    swap(other);
    return *this;
  }
  ~Secret() { wipe(text_); }

  SecretKind kind() const { return kind_; }
  /// The secret as it stands in the file.
  View text() const { return text_; }
  bool operator==(const Secret& other) const;  // in constant time for equal lengths

 private:
  void swap(Secret& other) noexcept {
    text_.swap(other.text_);
    std::swap(kind_, other.kind_);
  }

  Bytes text_;
  SecretKind kind_ = SecretKind::none;
};

}  // namespace headgate
