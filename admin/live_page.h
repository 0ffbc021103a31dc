// What the dashboard's page (admin/page/) reads every second: /stats.json. One object, the numbers
// of one moment; the page makes rates and percentiles of the differences.
#pragma once

#include "admin/snapshot.h"

namespace headgate {

/// The text, in UTF-8 whatever the names in it are. The snapshot needs meters and holders, and no
/// connections. `wall_us`: now, in microseconds since 1970.
Bytes stats_json(const Snapshot& snapshot, int64_t wall_us);

/// So many pools are told, the busiest.
constexpr size_t most_live_pools = 100;

}  // namespace headgate
