// Asks the workers from a thread that is none of theirs, and waits for their answers for a bounded
// time: by letters, as the console does. A worker whose loop is stuck holds up nobody, and gets no
// more letters until it has opened the last one.
#pragma once

#include <memory>
#include <optional>

#include "admin/snapshot.h"
#include "base/result.h"
#include "base/time.h"
#include "pool/slots.h"

namespace headgate {

class Pooler;

class Survey {
 public:
  /// How long a snapshot may take to gather.
  static constexpr Duration patience = seconds(5);

  explicit Survey(Pooler& pooler);

  /// The first worker whose loop has not answered by then; nothing: all have.
  std::optional<WorkerId> find_silent(Duration patience);
  /// What all workers and the process have to say. The error names who did not answer.
  Result<Snapshot> snapshot(const SnapshotWish& wish);
  /// Nobody waits any more, now and later; the workers may go.
  void close();

 private:
  struct Calls;
  struct Round;
  Pooler& pooler_;
  const std::shared_ptr<Calls> calls_;  // letters on their way hold it, too
};

}  // namespace headgate
