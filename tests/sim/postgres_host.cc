// One simulated host: who comes in, its processes, and what befalls all of them.
#include <algorithm>

#include "tests/sim/postgres.h"

namespace headgate::sim {

Postgres::Postgres(World& world, Network& network, Ledger& ledger, Address address,
                   Cluster& cluster, size_t number)
    : world_(world),
      network_(network),
      ledger_(ledger),
      address_(std::move(address)),
      cluster_(cluster),
      number_(number),
      next_process_(100 + 100000 * static_cast<int>(number)) {
  set_door(Door::open);
}

void Postgres::set_door(Door door) {
  door_ = door;
  network_.close(address_);
  if (door == Door::refusing) return;
  network_.listen(address_, [this](EndPtr end) {
    std::erase_if(backends_, [](const auto& backend) { return backend->gone(); });
    auto backend = std::make_shared<Backend>(*this, std::move(end), ++next_process_);
    backends_.push_back(backend);
  });
}

std::vector<Backend*> Postgres::backends() {
  std::vector<Backend*> all;
  for (const auto& backend : backends_) {
    if (!backend->gone() && backend->session()) all.push_back(backend.get());
  }
  return all;
}

const Backend* Postgres::find(int process) const {
  for (const auto& backend : backends_) {
    if (backend->process() == process && !backend->gone()) return backend.get();
  }
  return nullptr;
}

size_t Postgres::sessions(const std::string& database, const std::string& user) const {
  size_t count = 0;
  for (const auto& backend : backends_) {
    count += !backend->gone() && backend->session() && !backend->lags() &&
             backend->user() != monitor && (database.empty() || backend->database() == database) &&
             (user.empty() || backend->user() == user);
  }
  return count;
}

void Postgres::cancel(int process, int32_t secret) {
  for (const auto& backend : backends_) {
    if (backend->process() == process && !backend->gone()) return backend->cancel(secret);
  }
}

void Postgres::end_all(bool politely) {
  for (const auto& backend : std::vector(backends_)) {
    politely && backend->session() ? backend->terminate() : backend->crash();
  }
}

void Postgres::notify_crossing(const std::string& channel, const std::string& payload,
                               Backend& from) {
  for (const auto& backend : std::vector(backends_)) {
    const bool hears = !backend->gone() && backend.get() != &from;
    if (hears && backend->database() == from.database()) backend->notify_crossing(channel, payload);
  }
}

void Postgres::notify(const std::string& database, int client) {
  const int number = ++ledger_.notifications;
  world_.note("n{} is notified of {}", client, number);
  if (ledger_.session_of(client).keeps("listen", client)) {
    ledger_.notified[client].push_back({number, world_.now()});
  }
  for (const auto& backend : backends_) {
    if (!backend->gone() && backend->database() == database) backend->notify(client, number);
  }
}

}  // namespace headgate::sim
