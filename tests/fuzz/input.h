// What every fuzz target shares: an input taken apart in the order a target asks for it. A target
// is one file, <name>_fuzz.cc, that asserts with MUST what must hold for every input; its corpus is
// corpus/<name>/. cmake/fuzz.cmake builds the targets for libFuzzer, and elsewhere for
// tests/fuzz/replay.cc. Hand-made inputs are written by tests/fuzz/seeds.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"

namespace headgate::fuzz {

class FuzzInput {
 public:
  FuzzInput(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }

  /// Zero where nothing is left.
  uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return value;
  }

  /// A text behind its length of two bytes, or what there is of it.
  View piece() {
    const size_t size = byte() * size_t{256} + byte();
    const View text = rest_.substr(0, size);
    rest_.remove_prefix(text.size());
    return text;
  }

  View rest() const { return rest_; }

 private:
  View rest_;
};

/// A copy that ends where its memory ends, so that the sanitizer sees a read behind it.
class Exact {
 public:
  explicit Exact(View text) : bytes_(text.begin(), text.end()) {}
  View view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::vector<char> bytes_;
};

/// Whether `part` was lent from `whole`. An empty part may stand anywhere.
inline bool lent_from(View whole, View part) {
  return part.empty() ||
         (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

/// The text with its first # replaced: for what an input cannot know, such as our nonces.
inline Bytes with_nonce(View text, View nonce) {
  Bytes filled(text);
  const size_t at = filled.find('#');
  if (at != Bytes::npos) filled.replace(at, 1, nonce);
  return filled;
}

}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
