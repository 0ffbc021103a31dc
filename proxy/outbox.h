// Gathers what one event wants to send, so that it leaves with one system call for each receiver:
// the bytes of a message, what is injected in front of it, and the ReadyForQuery behind a result.
// One for each worker. Lent bytes must live until flush(); each event ends with one.
#pragma once

#include <array>

#include "base/bytes.h"

namespace headgate {

class Link;

class Outbox {
 public:
  Outbox() { scratch_.reserve(scratch_size); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  /// Bytes that outlive the next flush().
  void lend(Link& to, View bytes);
  /// Bytes that do not.
  void copy(Link& to, View bytes);
  void flush();
  /// Sends what is meant for a link that is about to close.
  void flush(const Link& to) {
    if (target_ == &to) flush();
  }

 private:
  static constexpr size_t max_slices = 16;
  static constexpr size_t scratch_size = 16384;
  static constexpr size_t max_small = 256;    // costs less to copy than as a slice of its own
  static constexpr size_t max_joined = 1024;  // and these together
  static_assert(2 * max_joined <= scratch_size);

  void make_room(const Link& to);
  bool goes_on_in_scratch(const Link& to, size_t size) const;
  void add(Link& to, View bytes);
  void join_small();

  Link* target_ = nullptr;
  std::array<View, max_slices> slices_;
  size_t count_ = 0;
  Bytes scratch_;
};

}  // namespace headgate
