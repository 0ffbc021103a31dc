#include "proxy/peers.h"

#include <fmt/format.h>

#include "proxy/log_subject.h"
#include "proxy/pool_settings.h"
#include "proxy/pooler.h"

namespace headgate {

// --- one request

PeerCancel::PeerCancel(PeerPool& pool, CancelKey key, Requester requester)
    : pool_(pool),
      key_(key),
      requester_(requester),
      started_(pool.pooler().worker(0).now()),
      link_(pool.pooler().worker(0), *this),
      deadline_(
          pool.pooler().worker(0).deadlines(),
          [](void* self, Instant) {
            static_cast<PeerCancel*>(self)->finish("cancel_wait_timeout");
          },
          this) {}

void PeerCancel::start(const PeerEntry& peer) {
  Worker& worker = pool_.pooler().worker(0);
  const Duration patience = worker.config().settings.cancel_wait_timeout;
  if (patience.count() > 0) deadline_.arm(started_ + patience);
  std::string host = peer.host;
  const auto port = static_cast<uint16_t>(peer.port);
  address_ = {Address::Kind::none, port, host};
  if (host.starts_with('/') || host.starts_with('@')) host += fmt::format("/.s.PGSQL.{}", port);
  worker.outside().resolve(
      host, port,
      [this, &worker, alive = std::weak_ptr(alive_)](const Result<std::vector<Address>>& found) {
        if (alive.expired() || finished_) return;
        worker.begin_event();
        connect(found);
        worker.outbox().flush();
      });
}

void PeerCancel::connect(const Result<std::vector<Address>>& addresses) {
  if (!addresses || addresses->empty()) return finish("server DNS lookup failed");
  address_ = addresses->front();
  link_.connect(address_, socket_options(pool_.pooler().config().settings));
}

void PeerCancel::on_link_connected() {
  connected_ = true;
  log(LogLevel::log, log_subject(), "new connection to server");
  const CancelKey key = key_.passed_on();
  Bytes secret(4, '\0');
  store_u32(secret.data(), static_cast<uint32_t>(key.secret()));
  Bytes packet;
  encode_cancel_request(packet, key.process(), secret);
  link_.send(packet);
}

// The peer closes the connection when it has dealt with the request.
void PeerCancel::on_link_end(int error) {
  if (!connected_) return finish("connect failed");
  finish(error == 0 ? "successfully sent cancel request" : "failed cancel request");
}

void PeerCancel::finish(const char* outcome) {
  if (finished_) return;
  finished_ = true;
  deadline_.disarm();
  link_.close(false);
  Pooler& pooler = pool_.pooler();
  const auto age = std::chrono::duration_cast<seconds>(pooler.worker(0).now() - started_);
  log(LogLevel::log, log_subject(), "closing because: {} (age={}s)", field("reason", outcome),
      field("age_s", age.count()));
  pooler.tell_requester(requester_, outcome);
  pool_.bury(*this);
}

LogSubject PeerCancel::log_subject() const {
  return {.letter = 'S', .socket = this, .peer = pool_.id(), .place = logged_place(address_)};
}

// --- the requests for one peer

PeerPool::PeerPool(Pooler& pooler, const PeerEntry& peer)
    : pooler_(pooler),
      peer_(peer),
      first_expires_(
          pooler.worker(0).deadlines(),
          [](void* self, Instant) { static_cast<PeerPool*>(self)->expire(); }, this) {}

size_t PeerPool::size() const {
  const int size = peer_.pool_size.value_or(pooler_.config().settings.default_pool_size);
  return size > 0 ? static_cast<size_t>(size) : SIZE_MAX;
}

void PeerPool::pass_on(CancelKey key, Requester requester) {
  if (waiting_.empty() && requests_.size() < size()) return start(key, requester);
  if (waiting_.size() >= most_waiting) {
    return pooler_.tell_requester(requester, "failed cancel request");
  }
  const Duration patience = pooler_.config().settings.cancel_wait_timeout;
  const Instant until = patience.count() > 0 ? pooler_.worker(0).now() + patience : Instant::max();
  waiting_.push_back({key, requester, until});
  rearm();
}

void PeerPool::start(CancelKey key, Requester requester) {
  requests_.add(std::make_unique<PeerCancel>(*this, key, requester)).start(peer_);
}

void PeerPool::start_waiting() {
  while (!waiting_.empty() && requests_.size() < size()) {
    const Waiting next = waiting_.front();
    waiting_.pop_front();
    start(next.key, next.requester);
  }
  rearm();
}

void PeerPool::bury(PeerCancel& request) {
  if (dead_.empty()) {
    pooler_.post([](Pooler& pooler) { pooler.peers().forget_dead(); });
  }
  dead_.push_back(requests_.take(request));
  start_waiting();
}

void PeerPool::expire() {
  const Instant now = pooler_.worker(0).now();
  while (!waiting_.empty() && waiting_.front().until <= now) {
    pooler_.tell_requester(waiting_.front().requester, "cancel_wait_timeout");
    waiting_.pop_front();
  }
  rearm();
}

void PeerPool::rearm() {
  if (waiting_.empty() || waiting_.front().until == Instant::max()) return first_expires_.disarm();
  first_expires_.arm(waiting_.front().until);
}

void PeerPool::end_all(const char* outcome) {
  for (const Waiting& one : std::exchange(waiting_, {})) {
    pooler_.tell_requester(one.requester, outcome);
  }
  requests_.for_each([&](PeerCancel& request) { request.finish(outcome); });
}

PeerStats PeerPool::stats() const {
  PeerStats stats;
  stats.id = id();
  stats.clients_waiting_cancel = static_cast<uint32_t>(waiting_.size());
  requests_.for_each([&](const PeerCancel& request) {
    ++stats.clients_active_cancel;
    ++(request.connected() ? stats.servers_active_cancel : stats.servers_login);
  });
  return stats;
}

// --- all peers

void Peers::pass_on(CancelKey key, Requester requester) {
  const auto& entries = pooler_.config().peers;
  const auto peer = entries.find(key.peer_id());
  if (peer == entries.end()) {
    return pooler_.tell_requester(requester, "could not find peer to forward request to");
  }
  if (key.hops() == 0) {
    return pooler_.tell_requester(requester,
                                  "failed to forward cancel request because its TTL was exhausted");
  }
  std::unique_ptr<PeerPool>& pool = pools_[peer->first];
  if (!pool) pool = std::make_unique<PeerPool>(pooler_, peer->second);
  pool->pass_on(key, requester);
}

void Peers::change_config(const Config& config) {
  for (const auto& [id, pool] : pools_) {
    const auto peer = config.peers.find(id);
    if (peer == config.peers.end()) {
      pool->end_all("peer removed");
    } else {
      pool->set_peer(peer->second);
    }
  }
}

void Peers::forget_dead() {
  for (const auto& [id, pool] : pools_) pool->forget_dead();
}

std::vector<PeerStats> Peers::stats() const {
  std::vector<PeerStats> all;
  for (const auto& [id, pool] : pools_) {
    if (pooler_.config().peers.contains(id)) all.push_back(pool->stats());
  }
  return all;
}

}  // namespace headgate
