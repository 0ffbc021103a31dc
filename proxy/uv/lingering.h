// The last second of a connection that nobody owns any more: sends what is queued, says that no
// more will come, and swallows what the peer still sends. Closing with unread bytes would make the
// system reset the connection, and the peer would never see the last error message.
//
// Owns itself, bounded: ends at the peer's end, after 64 KB of input or a second. Hears and tells
// nobody.
#pragma once

#include <uv.h>

#include "base/buffer.h"
#include "proxy/descriptor.h"
#include "proxy/uv/loop_state.h"

namespace headgate {

class Lingering final : public ListNode<Lingering>, private Watcher {
 public:
  static constexpr size_t most_input_bytes = 64 * 1024;
  static constexpr uint64_t longest_ms = 1000;

  /// Takes over a connection that nobody in the loop watches any more.
  static void start(LoopState& state, Descriptor connection, Buffer queue);

  /// Does what can be done at once and closes; for when the loop ends.
  void hurry();

 private:
  Lingering(LoopState& state, Descriptor connection, Buffer queue)
      : loop_(state), descriptor_(std::move(connection)), queue_(std::move(queue)) {}

  void on_events(uint32_t events) override;
  uint32_t wanted_events() const;
  bool flush();
  bool swallow();
  void close();

  LoopState& loop_;
  Descriptor descriptor_;
  Buffer queue_;
  size_t swallowed_bytes_ = 0;
  bool input_over_ = false;
  uint32_t watched_ = 0;
  uv_timer_t timer_;
};

}  // namespace headgate
