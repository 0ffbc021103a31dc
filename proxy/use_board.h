// What workers have last told of their shares of one pool, for whoever has to explain why its
// clients wait. Written when somebody has nearly waited for too long, never while servers are lent.
// From any thread.
#pragma once

#include <atomic>
#include <map>
#include <mutex>

#include "admin/pool_use.h"
#include "base/time.h"
#include "pool/slots.h"

namespace headgate {

class UseBoard {
 public:
  /// How often the workers are asked, at most; and for how long what they say is believed.
  static constexpr Duration between_surveys = milliseconds(200);
  static constexpr Duration believed = seconds(5);
  /// How often an explanation is logged, at most.
  static constexpr Duration between_lines = seconds(5);

  /// Takes the right to ask all workers; false where somebody just has.
  bool claim_survey(Instant now) { return claim(surveyed_, now, between_surveys); }
  /// Takes the right to log why clients of this pool wait.
  bool claim_line(Instant now) { return claim(logged_, now, between_lines); }

  void tell(WorkerId worker, PoolUse use, Instant now);
  /// The sum of what workers but this one have told, as far as it is believed.
  PoolUse of_others(WorkerId worker, Instant now) const;

 private:
  struct Told {
    PoolUse use;
    Instant at;
  };
  static constexpr int64_t never = INT64_MIN;
  static bool claim(std::atomic<int64_t>& last, Instant now, Duration apart);

  std::atomic<int64_t> surveyed_{never}, logged_{never};
  mutable std::mutex mutex_;
  std::map<WorkerId, Told> told_;
};

}  // namespace headgate
