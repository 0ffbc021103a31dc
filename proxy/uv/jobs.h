// Work that must not hold up the loop: names to look up and whatever else is put aside, on libuv's
// threads (four for the process). Answers that need no thread are kept for the turn's end. One for
// each loop, used by its thread alone.
#pragma once

#include <uv.h>

#include <functional>
#include <utility>
#include <vector>

#include "base/list.h"
#include "proxy/io.h"

namespace headgate {

class Jobs {
 public:
  explicit Jobs(uv_loop_t& loop) : loop_(loop) {}

  void resolve(const std::string& host, uint16_t port, Outside::Resolved done);
  void aside(std::function<void()> work, std::function<void()> done);

  /// At the turn's end: the answers that needed no thread.
  void answer();
  bool answers_due() const { return !answers_.empty(); }

  /// Nobody is there any more to hear of what has been asked; what has not begun never will.
  void abandon();
  bool work_running() const { return !work_.empty(); }

 private:
  struct Work;
  struct Lookup;

  static void finish(Work* work);
  static void finish(Lookup* lookup, int status, addrinfo* found);

  uv_loop_t& loop_;
  List<Work> work_;
  List<Lookup> lookups_;
  std::vector<std::pair<Outside::Resolved, Result<std::vector<Address>>>> answers_;
};

}  // namespace headgate
