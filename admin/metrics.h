// /metrics: everything that SHOW shows in numbers, and histograms, for Prometheus. One row of a
// table is one metric; docs/metrics.md lists them all.
#pragma once

#include "admin/metrics_text.h"
#include "admin/snapshot.h"

namespace headgate {

/// What the process takes of its system, as every Prometheus client tells it.
struct ProcessUse {
  int64_t cpu_us = 0;  // of all threads
  int64_t resident_bytes = 0, virtual_bytes = 0;
  int64_t open_descriptors = 0, most_descriptors = 0;
  int64_t threads = 0;
};

/// The page. The snapshot needs meters and no connections.
Bytes metrics_page(const Snapshot& snapshot, const ProcessUse& use, MetricsForm form);

}  // namespace headgate
