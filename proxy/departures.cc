#include "proxy/departures.h"

#include "proxy/client.h"
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
    if (!has_to_leave(client)) return;
    ++left.clients;
    if (!client.between_transactions()) ++left.busy;
  });
  return left;
}

bool Departures::offer(Client& client) {
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
  sweep_.arm(worker_.now() + between_sweeps);
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
