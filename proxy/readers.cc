#include "proxy/readers.h"

#include <algorithm>

#include "conf/lists.h"
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
  const DatabaseEntry& database = home_.settings().entry;
  std::vector<Reader> readers;
  for (ReadableHost& host : home_.entry().database.hosts.readable(worker.now())) {
    const int weight = weight_of(host.name, database.host, database.host_weights);
    if (weight == 0) continue;
    const auto known = std::ranges::find(
        readers_, host.name, [](const Reader& one) -> const std::string& { return one.host.name; });
    Hold<PoolEntry> entry = registry.reader(home_.held(), host.name);
    readers.push_back({std::move(host), std::move(entry), static_cast<uint64_t>(weight),
                       known == readers_.end() ? turn_ : known->turn});
  }
  readers_ = std::move(readers);
  functions_ = home_.entry().database.hosts.functions();
}

// Compares what each has to do for what it weighs.
bool Readers::is_before(const Reader& one, size_t its, const Reader& other, size_t others) {
  const uint64_t mine = its * other.weight, theirs = others * one.weight;
  return mine == theirs ? one.turn < other.turn : mine < theirs;
}

WorkerPool* Readers::pick(const ReadAge& age) {
  constexpr uint64_t whole_turn = uint64_t{1} << 20;
  Reader* best = nullptr;
  size_t fewest = 0;
  for (Reader& reader : readers_) {
    if (reader.host.shows_until < age.shows) continue;
    if (age.lag && reader.host.lag.value_or(Duration::max()) > *age.lag) continue;
    WorkerPool& pool = home_.worker().pool(*reader.entry);
    if (pool.fast_failure()) continue;
    const size_t outstanding = pool.share().active() + pool.share().waiters().size();
    if (best && !is_before(reader, outstanding, *best, fewest)) continue;
    best = &reader;
    fewest = outstanding;
  }
  if (!best) return nullptr;
  turn_ = std::max(turn_, best->turn);  // who could not be read for a while has not saved it up
  best->turn = turn_ + whole_turn / best->weight;
  return &home_.worker().pool(*best->entry);
}

}  // namespace headgate
