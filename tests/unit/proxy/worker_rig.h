// The real pooler with its workers in one thread, over streams in memory and a clock that stands
// still until it is told to go on: a story can say to the microsecond when something must happen.
// Everything that can happen at an instant has happened before the next; no alarm is ever late. The
// servers let everybody in, and answer when the story says so.
#pragma once

#include <memory>
#include <vector>

#include "proxy/pooler.h"

namespace headgate {

class ManualOutside;

/// A connection of the pooler: what was said and not yet heard.
struct Wire {
  Bytes to_pooler, from_pooler;
  size_t pieces = 0;  // that the pooler has passed to the system
};

class WorkerRig {
 public:
  WorkerRig(WorkerId workers, int pool_size);
  ~WorkerRig();
  WorkerRig(const WorkerRig&) = delete;
  WorkerRig& operator=(const WorkerRig&) = delete;

  void pass(Duration time);

  // --- clients
  /// One of that worker, logged in.
  Wire& client(WorkerId worker);
  void query(Wire& client, View text = "SELECT");
  /// It has the whole answer to its last query.
  static bool answered(const Wire& client);

  // --- servers
  /// Those that have been asked and have not answered, the oldest connection first.
  std::vector<Wire*> busy() const;
  /// To each query; `rows` come first.
  void answer(Wire& server, View rows = {});
  void tell(Wire& server, View messages);

  Pool& share(WorkerId worker);
  Worker& worker(WorkerId worker);

 private:
  friend class ManualOutside;
  struct Backend {
    std::shared_ptr<Wire> wire;
    bool started = false;
  };
  void settle();
  bool let_in_servers();

  Instant now_{seconds(1000)};
  std::vector<Backend> servers_;
  std::vector<std::shared_ptr<Wire>> clients_;
  std::unique_ptr<Pooler> pooler_;
  std::vector<std::unique_ptr<ManualOutside>> outsides_;
};

}  // namespace headgate
