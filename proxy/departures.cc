#include "proxy/departures.h"

#include "protocol/handover.h"
#include "proxy/client.h"
#include "proxy/handover.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr Duration between_sweeps = milliseconds(100);

bool has_to_leave(const Client& client) {
  switch (client.state()) {
    case ClientState::login_waiting:
    case ClientState::idle:
    case ClientState::waiting:
    case ClientState::active:
      return true;
    case ClientState::login:
    case ClientState::admin:
    case ClientState::cancel_request:
    case ClientState::closed:
      return false;
  }
  return false;
}

}  // namespace

Departures::Departures(Worker& worker)
    : worker_(worker),
      sweep_(
          worker.deadlines(), [](void* self, Instant) { static_cast<Departures*>(self)->sweep(); },
          this) {}

void Departures::drain(Duration over) {
  pace_.emplace(worker_.now(), over, left().clients);
  sweep();
}

ClientsLeft Departures::left() {
  ClientsLeft left;
  worker_.clients().for_each([&](Client& client) {
    if (client.state() == ClientState::login) ++left.logging_in;
    if (!has_to_leave(client)) return;
    ++left.clients;
    if (!client.between_transactions()) ++left.busy;
  });
  return left;
}

void Departures::hand_over() {
  hands_over_ = true;
  sweep();
}

// What it was told may still be in the outbox.
bool Departures::move(Client& client) {
  if (!client.can_move() || !client.link().all_sent() || !client.can_move()) return false;
  Bytes record;
  handover::ClientRecord told = client.record();
  handover::encode(record, told);
  told.wipe_secrets();
  worker_.pooler().worker(0).post(
      [record = std::move(record), connection = client.move_out()](Worker& first) mutable {
        first.pooler().handover().give(record, std::move(connection));
        wipe(record);
      });
  return true;
}

bool Departures::offer(Client& client) {
  if (hands_over_ && move(client)) return true;
  if (!pace_) return false;
  if (gone_ >= pace_->due(worker_.now()) || !client.between_transactions()) return false;
  ++gone_;
  client.dismiss(Error(ErrorCode::administrator_command));
  return true;
}

// Those that are busy are met at their next boundary, which may be shorter than any time between
// two sweeps.
void Departures::sweep() {
  worker_.clients().for_each([this](Client& client) {
    if (has_to_leave(client)) offer(client);
  });
  worker_.outbox().flush();
  if (worker_.pooler().handing_over()) release_servers();
  sweep_.arm(worker_.now() + between_sweeps);
}

// Those that no client here can need are the other process's to open.
void Departures::release_servers() {
  worker_.for_each_pool([](WorkerPool& pool) {
    const int clients = pool.entry().home().clients.load();
    while (pool.entry().shared.staying() > clients && pool.evict_one()) {
    }
  });
}

void Departures::close_clients(const Error& error) {
  worker_.clients().for_each([&](Client& client) {
    if (has_to_leave(client)) client.dismiss(error);
  });
  worker_.outbox().flush();
}

void Departures::close_others(const Error& error) {
  worker_.clients().for_each([&](Client& client) {
    if (client.state() == ClientState::login || client.state() == ClientState::admin) {
      client.dismiss(error);
    }
  });
  worker_.outbox().flush();
}

}  // namespace headgate
