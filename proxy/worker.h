// One thread: a loop, its clients, its servers, its shares of the pools. Nothing of it is touched
// by another thread but its mailbox. It owns every session on it and buries the dead at the end of
// each turn.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "admin/snapshot.h"
#include "base/deadlines.h"
#include "conf/settings.h"
#include "protocol/session_state.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/departures.h"
#include "proxy/herd.h"
#include "proxy/io.h"
#include "proxy/mailbox.h"
#include "proxy/names.h"
#include "proxy/outbox.h"
#include "proxy/server.h"
#include "proxy/worker_pool.h"

namespace headgate {

class Pooler;
struct DescriptorsFound;

class Worker final : public LoopUser {
 public:
  Worker(Pooler& pooler, WorkerId id, ConfigPtr config, Tls tls);
  ~Worker();

  /// The loop this worker runs on; before anything else.
  void set_outside(Outside& outside) { outside_ = &outside; }

  WorkerId id() const { return id_; }
  Pooler& pooler() { return pooler_; }
  Outside& outside() { return *outside_; }
  Outbox& outbox() { return outbox_; }
  /// Where every connection of this worker is encrypted and decrypted.
  TlsMemory& tls_memory() { return tls_memory_; }
  Deadlines& deadlines() { return deadlines_; }
  const Config& config() const { return *config_; }
  const Tls& tls() const { return tls_; }
  /// The time of the event that is being handled.
  Instant now() const { return now_; }
  void begin_event() { now_ = outside_->now(); }

  /// For another worker: opens the letter on this worker's thread. From any thread.
  void post(Letter letter);
  /// How many clients it has, those on their way included. From any thread.
  int load() const { return load_.load(std::memory_order_relaxed); }
  void count_client(int change) { load_.fetch_add(change); }

  // --- sessions
  void accept(ParcelPtr connection, bool from_unix);
  /// One that another process has let go.
  void take_in(handover::ClientRecord record, ParcelPtr connection);
  Herd<Client>& clients() { return clients_; }
  Herd<Server>& servers() { return servers_; }
  Herd<Canceller>& cancellers() { return cancellers_; }
  /// Takes a dead session out; its memory goes at the end of the turn.
  void bury(Client& client);
  void bury(Server& server);
  void bury(Canceller& canceller);
  /// The connections that brought cancel requests, by their ids.
  std::unordered_map<uint64_t, Client*>& cancel_requesters() { return cancel_requesters_; }
  void finish_cancel(uint64_t requester, const char* outcome);
  /// What the client said at its start that was the last to log in: others often say the same.
  SettingValuesPtr& last_start() { return last_start_; }

  // --- pools
  /// This worker's end of a pool; made on first use.
  WorkerPool& pool(PoolEntry& entry);
  WorkerPool* find_pool(uint32_t pool_id);
  /// The same by the number of its entry, for letters that only come while the pool is in use.
  WorkerPool& pool_by_id(uint32_t pool_id);
  template <class Visit>
  void for_each_pool(Visit&& visit) {
    for (const auto& [id, pool] : pools_) visit(*pool);
  }
  /// Drops this worker's end of a pool at the end of the turn, if nothing is going on there.
  void let_go_of_pool(uint32_t pool_id) { let_go_.push_back(pool_id); }
  /// The pool's end_turn() is called once, at the end of this turn.
  void call_at_turn_end(WorkerPool& pool) { at_turn_end_.push_back(&pool); }
  /// All pools look again: a shared limit has room.
  void look_again_everywhere();

  /// A new configuration is in force.
  void change_config(ConfigPtr config, Tls tls);
  /// What holds for a pool now.
  PoolSettingsPtr settings_for(const PoolEntry& entry) const;
  /// How many servers it may have is another number now.
  void change_limits(const PoolEntry& entry);
  /// How its clients leave when the process is to end.
  Departures& departures() { return departures_; }
  /// Databases were paused or resumed.
  void apply_pauses();
  /// Clients and servers of a database are closed.
  void kill_database(const std::string& database, const Error& why);
  /// Servers at these addresses of a host are closed as they become free.
  void close_servers_at(const HostUse& host, const std::vector<Address>& addresses);
  /// Drops every session without a word; the loop has ended.
  void close_everything();

  /// This worker's part of a snapshot.
  Snapshot snapshot(const SnapshotWish& wish = {});
  /// What is to be known of the worker itself; delay_us is for who has asked.
  WorkerRow describe_itself();
  /// A client was told an error that is its last.
  void count_failure(ErrorCode code) { ++failures_[static_cast<size_t>(code)]; }
  /// Something went wrong that an operator may want to see.
  void note_trouble(View database, View user, View text);
  /// What the console's own queries count here.
  PoolStats& console_stats() { return console_stats_; }

  /// Its part of SHOW FDS (descriptors.cc).
  void describe_descriptors(DescriptorsFound& found, bool attach);

  // --- SUSPEND (worker_suspend.cc)
  bool suspended() const { return suspended_; }
  /// From now on clients, then servers, cease to be read as they come to rest; returns how many
  /// have not yet. `force` closes those.
  size_t suspend_clients(bool force);
  size_t suspend_servers(bool force);
  void resume();
  /// Servers that are to be closed when they are free; an empty database means all.
  size_t count_close_needed(const std::string& database);

 private:
  void on_time(Instant now) override;
  void on_mail() override;
  void on_turn_end() override;
  std::optional<Instant> end_turn_of_pools();
  void drop_pools();
  void describe_connections(Snapshot& part);
  void describe_holders(Snapshot& part, size_t most);
  void describe_waits(Snapshot& part);
  void describe_pools(Snapshot& part, const SnapshotWish& wish);

  Pooler& pooler_;
  const WorkerId id_;
  Outside* outside_ = nullptr;
  ConfigPtr config_;
  Tls tls_;
  Instant now_{};
  Outbox outbox_;
  TlsMemory tls_memory_;
  Deadlines deadlines_;
  Departures departures_{*this};
  std::optional<Instant> woken_at_;
  Mailbox mailbox_;
  std::atomic<int> load_{0};
  SettingValuesPtr last_start_;
  PoolStats console_stats_;
  FailureCounts failures_{};
  std::deque<TroubleRow> troubles_;
  bool suspended_ = false;
  std::map<uint32_t, std::unique_ptr<WorkerPool>> pools_;  // by the number of the PoolEntry
  std::vector<uint32_t> let_go_;
  std::vector<WorkerPool*> at_turn_end_;
  std::unordered_map<uint64_t, Client*> cancel_requesters_;
  Herd<Client> clients_;
  Herd<Server> servers_;
  Herd<Canceller> cancellers_;
  std::vector<std::unique_ptr<Client>> dead_clients_;
  std::vector<std::unique_ptr<Server>> dead_servers_;
  std::vector<std::unique_ptr<Canceller>> dead_cancellers_;
};

}  // namespace headgate
