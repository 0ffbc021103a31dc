#include "proxy/readers.h"

#include "proxy/pooler.h"
#include "proxy/worker.h"
#include "proxy/worker_pool.h"

namespace headgate {

Readers::Readers(WorkerPool& home) : home_(home), book_(home.worker().pooler().shape_seed()) {
  refresh();
}

void Readers::refresh() {
  Worker& worker = home_.worker();
  Registry& registry = worker.pooler().registry();
  std::vector<Reader> readers;
  for (ReadableHost& host : home_.entry().database.hosts.readable(worker.now())) {
    Hold<PoolEntry> entry = registry.reader(home_.held(), host.name);
    readers.push_back({std::move(host), std::move(entry)});
  }
  readers_ = std::move(readers);
  functions_ = home_.entry().database.hosts.functions();
}

WorkerPool* Readers::pick(const ReadAge& age) {
  WorkerPool* best = nullptr;
  size_t fewest = 0;
  ++next_;
  for (size_t i = 0; i < readers_.size(); ++i) {
    const Reader& reader = readers_[(next_ + i) % readers_.size()];
    if (reader.host.shows_until < age.shows) continue;
    if (age.lag && reader.host.lag.value_or(Duration::max()) > *age.lag) continue;
    WorkerPool& pool = home_.worker().pool(*reader.entry);
    if (pool.fast_failure()) continue;
    const size_t outstanding = pool.share().active() + pool.share().waiters().size();
    if (best && outstanding >= fewest) continue;
    best = &pool;
    fewest = outstanding;
  }
  return best;
}

}  // namespace headgate
