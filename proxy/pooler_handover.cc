// Online restart as it concerns the whole process: sockets that come from an old one or are left to
// a new one, and clients that come over.
#include <fmt/format.h>

#include "proxy/handover.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/takeover.h"

namespace headgate {

// --- the new process

const InheritedSocket* Pooler::inherited(const Address& at, handover::SocketUse use) const {
  for (const InheritedSocket& socket : facts_.inherited) {
    const bool there = socket.address.kind == at.kind && socket.address.host == at.host &&
                       (at.is_unix() || socket.address.port == at.port);
    if (socket.facts.use == use && there) return &socket;
  }
  return nullptr;
}

// Without it nobody can take over from this process; it serves all the same.
void Pooler::listen_for_handover(ListenOptions options) {
  if (!facts_.handover_at) return;
  options.unix_mode = 0600;
  options.unix_group.clear();
  const InheritedSocket* known = inherited(*facts_.handover_at, handover::SocketUse::handover);
  if (known) options.passed = known->descriptor;
  if (auto result = handover_->listen(*facts_.handover_at, options); !result) {
    log(LogLevel::warning, "no online restart: {}", result.error().message);
  }
}

// Nothing can fail any more: their paths are ours. What the settings do not ask for is closed, its
// path removed.
void Pooler::own_inherited_sockets() {
  for (const InheritedSocket& socket : facts_.inherited) {
    Listener* used = handover_->listener_at(socket.descriptor);
    for (const auto& listener : listeners_) {
      if (listener->descriptor() == socket.descriptor) used = listener.get();
    }
    std::unique_ptr<Listener> unused;
    if (!used) {
      ListenOptions options;
      options.passed = socket.descriptor;
      auto taken = workers_[0]->outside().listen({}, options, *this);
      if (!taken) continue;
      unused = std::move(*taken);
      used = unused.get();
    }
    if (socket.facts.owns_path) used->take_path();
  }
}

void Pooler::take_over(ParcelPtr channel) {
  for (const auto& listener : listeners_) listener->accept(false);
  has_predecessor_.store(true);
  recent_writes_.note_all(workers_[0]->outside().now());
  own_inherited_sockets();
  takeover_ = std::make_unique<Takeover>(*this, std::move(channel));
}

void Pooler::accept_clients() {
  for (const auto& listener : listeners_) listener->accept(!suspended());
  tend_forced_pools();
}

void Pooler::take_in(handover::ClientRecord record, ParcelPtr connection) {
  sockets_.take_anyway();
  Worker& worker = least_loaded();
  worker.count_client(1);
  worker.post(
      [record = std::move(record), connection = std::move(connection)](Worker& there) mutable {
        there.take_in(std::move(record), std::move(connection));
      });
}

void Pooler::servers_elsewhere(const handover::Held& held) {
  if (!config_->has_database(held.database)) return;
  Hold<PoolEntry>& entry = shared_pools_[{held.database, held.user}];
  if (!entry) entry = registry_.pool(held.database, held.user);
  entry->elsewhere.store(held.servers);
  post_to_all([entry](Worker& worker) { worker.change_limits(*entry); });
  if (held.servers == 0) shared_pools_.erase({held.database, held.user});
}

void Pooler::predecessor_gone() {
  has_predecessor_.store(false);
  for (const auto& [names, entry] : std::exchange(shared_pools_, {})) {
    entry->elsewhere.store(0);
    post_to_all([entry = entry](Worker& worker) { worker.change_limits(*entry); });
  }
  check_progress();
  if (!handing_over()) log(LogLevel::log, "this process serves alone");
}

// --- the old process

bool Pooler::may_hand_over() {
  return started() && !shutting_down() && !paused() && !suspended() && !any_database_paused();
}

std::vector<std::pair<handover::Socket, ParcelPtr>> Pooler::listening() {
  std::vector<std::pair<handover::Socket, ParcelPtr>> all;
  for (const auto& listener : listeners_) {
    const bool owns_path = listener->address().is_unix() && facts_.passed.empty();
    const handover::Socket facts{handover::SocketUse::clients, owns_path, !facts_.passed.empty()};
    all.emplace_back(facts, listener->duplicate());
  }
  return all;
}

std::vector<ParcelPtr> Pooler::http_sockets() const {
  return facts_.http_sockets ? facts_.http_sockets() : std::vector<ParcelPtr>();
}

void Pooler::hand_over(int process) {
  log(LogLevel::log, "process {} takes over: clients go there as they come to rest", process);
  for (const auto& listener : listeners_) listener->leave_path();
  listeners_.clear();
  if (facts_.handed_over) facts_.handed_over();
  notify(fmt::format("MAINPID={}", process));
  handing_over_.store(true);
  sum_over_workers(
      [](Worker& worker) -> size_t {
        worker.for_each_pool(
            [&](WorkerPool& pool) { pool.change_settings(worker.settings_for(pool.entry())); });
        return 0;
      },
      [this](size_t) { begin_handover(); });
}

// No worker opens more servers than it may from here on.
void Pooler::begin_handover() {
  handover_->go();
  if (handover_->has_successor()) {
    post_to_all([](Worker& worker) { worker.departures().hand_over(); });
  }
  drain_->begin_beside(config_->settings.drain_timeout);
}

bool Pooler::may_end() const { return handover_->all_sent() && !has_predecessor_.load(); }

void Pooler::close_listeners() {
  listeners_.clear();
  handover_->close_everything();
  if (takeover_) takeover_->close();
}

}  // namespace headgate
