#include "pool/slots.h"

#include "base/check.h"

namespace headgate {

// --- permits

bool Permits::full() const {
  int limit = limit_.load();
  return limit > 0 && used_.load() >= limit;
}

// Remembers before it looks for the last time, while give_back() gives before it looks for
// refusals: so one of the two sees the other.
bool Permits::refuses() {
  if (!full()) return false;
  if (!refused_.load()) refused_.store(true);
  return full();
}

bool Permits::try_take() {
  std::scoped_lock lock(taking_);
  if (refuses()) return false;
  used_.fetch_add(1);
  return true;
}

bool Permits::give_back() {
  MUST(used_.fetch_sub(1) > 0);
  return refused_.load() && refused_.exchange(false);
}

SharedPool::SharedPool(uint32_t pool_id, std::string database_name, std::string user_name,
                       PoolLimits limits, size_t workers)
    : id(pool_id),
      database(std::move(database_name)),
      user(std::move(user_name)),
      limits_(limits),
      shares_(workers) {
  MUST(workers >= 1 && workers <= max_workers);
  MUST(&limits.database != &limits.user);
}

// What would refuse a connection now. Refusals that hunger does not remember are remembered here.
SharedPool::Take SharedPool::obstacle(int pool_limit) {
  if (pool_limit > 0 && open_.load() >= pool_limit) return Take::pool_full;
  int places = failing_.load() ? 1 : max_opening;
  if (opening_.load() >= places) {
    opening_refused_.store(true);
    if (opening_.load() >= places) return Take::opening_enough;
  }
  if (limits_.database.refuses()) return Take::database_full;
  if (limits_.user.refuses()) return Take::user_full;
  return Take::taken;
}

SharedPool::Take SharedPool::try_open(int pool_limit) {
  // A pool at its limit is asked for every client that has to wait: no lock for those.
  if (Take take = obstacle(pool_limit); take != Take::taken) return take;
  std::scoped_lock lock(limits_.database.taking_, limits_.user.taking_);
  if (Take take = obstacle(pool_limit); take != Take::taken) return take;
  open_.fetch_add(1);
  staying_.fetch_add(1);
  opening_.fetch_add(1);
  limits_.database.used_.fetch_add(1);
  limits_.user.used_.fetch_add(1);
  return Take::taken;
}

WorkerMask SharedPool::opening_done() {
  MUST(opening_.fetch_sub(1) > 0);
  return opening_refused_.load() && opening_refused_.exchange(false) ? wanting() : 0;
}

SharedPool::Freed SharedPool::release() {
  MUST(open_.fetch_sub(1) > 0);
  bool database_wanted = limits_.database.give_back();
  bool user_wanted = limits_.user.give_back();
  return Freed{wanting(), database_wanted || user_wanted};
}

// --- connections that belong to one client alone

void SharedPool::want_own(WorkerId worker) {
  kept_free_.fetch_add(1);
  wants_own_.fetch_or(mask_of(worker));
}

void SharedPool::forget_own(WorkerId worker, bool last_of_worker) {
  if (last_of_worker) wants_own_.fetch_and(~mask_of(worker));
  MUST(kept_free_.fetch_sub(1) > 0);
}

// --- connections on their way out

bool SharedPool::start_closing_above(int keep) {
  int staying = staying_.load();
  while (staying > keep) {
    if (staying_.compare_exchange_weak(staying, staying - 1)) return true;
  }
  return false;
}

// --- idle servers and hungry workers

WorkerId SharedPool::find_idle(WorkerId me, uint32_t skip) const {
  size_t workers = shares_.size();
  for (size_t step = 1; step < workers; ++step) {
    auto worker = static_cast<WorkerId>((me + step) % workers);
    uint32_t idle = idle_of(worker);
    if (idle > skip) return worker;
    skip -= idle;
  }
  return me;
}

void SharedPool::publish_hunger(WorkerId worker, Instant since) {
  update_hunger(worker, since);
  if ((hungry_.load() & mask_of(worker)) == 0) hungry_.fetch_or(mask_of(worker));
}

void SharedPool::update_hunger(WorkerId worker, Instant since) {
  auto& published = shares_[worker].hungry_since;
  int64_t time = since.time_since_epoch().count();
  if (published.load() != time) published.store(time);
}

void SharedPool::clear_hunger(WorkerId worker) {
  if ((hungry_.load() & mask_of(worker)) != 0) hungry_.fetch_and(~mask_of(worker));
}

Instant SharedPool::hungry_since(WorkerId worker) const {
  return Instant(Duration(shares_[worker].hungry_since.load()));
}

bool SharedPool::claim_hungry(WorkerId worker) {
  return (hungry_.fetch_and(~mask_of(worker)) & mask_of(worker)) != 0;
}

// --- log-ins that fail, servers that grow old

void SharedPool::login_failed(Instant retry_at) {
  retry_at_.store(retry_at.time_since_epoch().count());
  failing_.store(true);
}

WorkerMask SharedPool::login_worked() {
  return failing_.load() && failing_.exchange(false) ? hungry_.load() : 0;
}

Instant SharedPool::retry_at() const { return Instant(Duration(retry_at_.load())); }

bool SharedPool::claim_expiry(Instant now, Duration apart) {
  if (apart <= Duration::zero()) return true;
  int64_t last = last_expiry_.load();
  int64_t time = now.time_since_epoch().count();
  if (last != never && time - last < apart.count()) return false;
  return last_expiry_.compare_exchange_strong(last, time);
}

Instant SharedPool::next_expiry(Duration apart) const {
  int64_t last = last_expiry_.load();
  return last == never ? Instant::min() : Instant(Duration(last)) + apart;
}

}  // namespace headgate
