#include "tests/sim/network.h"

#include <algorithm>

namespace headgate::sim {

// --- one end

End& End::peer() const { return connection_->end(1 - side_); }

size_t End::room() const {
  const size_t used = under_way_ + peer().in_.size();
  const size_t capacity = connection_->weather_.capacity;
  return used < capacity ? capacity - used : 0;
}

bool End::peer_closed() const { return broken_ || peer().closed_; }

size_t End::send(View bytes) {
  const size_t taken = std::min(bytes.size(), room());
  send_all(bytes.substr(0, taken));
  return taken;
}

void End::send_all(View bytes) {
  if (bytes.empty() || finished_ || broken_) return;
  sent_ += bytes.size();
  Dice& dice = connection_->world_.dice;
  while (!bytes.empty()) {
    const bool whole = !dice.chance(connection_->weather_.pieces);
    const size_t piece = whole ? bytes.size() : 1 + dice.roll(std::min<size_t>(bytes.size(), 40));
    put_under_way(Bytes(bytes.substr(0, piece)));
    bytes.remove_prefix(piece);
  }
}

// What is sent arrives in order, each piece a little later than the one before. An empty piece is
// the finish.
void End::put_under_way(Bytes bytes) {
  World& world = connection_->world_;
  const Weather& weather = connection_->weather_;
  under_way_ += bytes.size();
  last_arrival_ = std::max(
      last_arrival_, world.now() + world.dice.between(weather.least_delay, weather.most_delay));
  world.at(last_arrival_, [connection = connection_->shared_from_this(), side = side_,
                           epoch = epoch_, bytes = std::move(bytes)] {
    End& from = connection->end(side);
    if (epoch != from.epoch_ || connection->swallowing_) return;
    from.under_way_ -= bytes.size();
    from.peer().deliver(bytes);
  });
}

void End::deliver(View bytes) {
  if (broken_) return;
  arrived_in_all_ += bytes.size();
  if (bytes.empty()) {
    finish_arrived_ = true;
  } else if (closed_) {
    return peer().connection_->cut();  // nobody is there to read it
  } else {
    in_.append(bytes);
  }
  tell();
}

// A copy is called: whoever hears it may close this end.
void End::tell() const {
  if (const auto hear = on_change) hear();
}

// Not by assignment: with the listener this very end may go.
void End::hear_no_more() { const auto gone = std::exchange(on_change, nullptr); }

void End::finish() {
  if (finished_ || broken_) return;
  finished_ = true;
  peer().confirmed_ = arrived_in_all_;
  put_under_way({});
}

void End::close() {
  if (closed_) return;
  closed_ = true;
  hear_no_more();
  if (broken_) return;
  if (!in_.empty()) return reset();
  finish();
}

// The peer hears of it a little later, behind what has arrived by then.
void End::reset() {
  if (broken_) return;
  broken_ = finished_ = true;
  ++epoch_;
  ++peer().epoch_;
  World& world = connection_->world_;
  world.after(
      world.dice.between(connection_->weather_.least_delay, connection_->weather_.most_delay),
      [connection = connection_->shared_from_this(), side = side_] {
        End& peer = connection->end(1 - side);
        if (!std::exchange(peer.broken_, true)) peer.tell();
      });
}

void End::take(size_t count) {
  in_.consume(count);
  if (broken_ || peer().closed_) return;
  World& world = connection_->world_;
  world.after(connection_->weather_.least_delay,
              [connection = connection_->shared_from_this(), side = side_] {
                connection->end(1 - side).tell();
              });
}

void EndPtr::close() {
  if (!connection_) return;
  connection_->end(side_).close();
  connection_.reset();
}

// --- connections

Connection::Connection(World& world, const Weather& weather) : world_(world), weather_(weather) {
  for (size_t side = 0; side < 2; ++side) {
    ends_[side].connection_ = this;
    ends_[side].side_ = side;
  }
}

void Connection::cut() {
  for (End& end : ends_) {
    if (end.broken_) continue;
    end.broken_ = true;
    ++end.epoch_;
    world_.after(weather_.least_delay, [connection = shared_from_this(), side = end.side_] {
      connection->end(side).tell();
    });
  }
}

void Connection::hold(Duration time) {
  for (End& end : ends_) end.last_arrival_ = std::max(end.last_arrival_, world_.now() + time);
}

// --- the network

// Whoever still listened to an end may own that very end.
Network::~Network() {
  for (const ConnectionPtr& connection : connections()) {
    for (size_t side = 0; side < 2; ++side) connection->end(side).hear_no_more();
  }
}

std::string Network::name(const Address& address) {
  return fmt::format("{}:{}", address.host, address.port);
}

void Network::listen(const Address& at, Accept accept) { listeners_[name(at)] = std::move(accept); }
void Network::close(const Address& at) { listeners_.erase(name(at)); }

void Network::connect(const Address& to, std::function<void(EndPtr)> done) {
  const Duration delay = 2 * world_.dice.between(weather.least_delay, weather.most_delay);
  world_.after(delay, [this, to = name(to), done = std::move(done)] {
    if (black_holes[to]) return;
    const auto listener = listeners_.find(to);
    if (listener == listeners_.end()) return done({});
    auto connection = std::make_shared<Connection>(world_, weather);
    connections_.push_back(connection);
    done(EndPtr(connection, 0));
    listener->second(EndPtr(connection, 1));
  });
}

std::vector<ConnectionPtr> Network::connections() {
  std::vector<ConnectionPtr> open;
  std::erase_if(connections_, [&](const auto& one) {
    ConnectionPtr connection = one.lock();
    if (connection) open.push_back(std::move(connection));
    return one.expired();
  });
  return open;
}

}  // namespace headgate::sim
