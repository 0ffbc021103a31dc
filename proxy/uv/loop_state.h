// What all streams of one loop share. UvOutside owns it; nothing here has behaviour.
#pragma once

#include <uv.h>

#include <memory>

#include "base/list.h"
#include "proxy/uv/poller.h"

namespace headgate {

class UvStream;
class Lingering;

struct LoopState {
  /// What one recv can bring. The buffer is the loop's, not the connection's.
  static constexpr size_t read_buffer_bytes = 128 * 1024;

  uv_loop_t loop;  // timers, signals and threads; sockets are the poller's
  Poller poller;
  std::unique_ptr<char[]> read_buffer = std::make_unique_for_overwrite<char[]>(read_buffer_bytes);
  List<UvStream> unread;      // streams that have bytes which epoll will not tell of
  List<UvStream> failed;      // streams whose on_end() is due at the end of this turn
  List<UvStream> closed;      // nobody's any more; a call to them may be under way in this turn
  List<Lingering> lingering;  // connections that nobody owns any more, for a second at most
};

}  // namespace headgate
