// The simulated network: connections whose bytes arrive late, in pieces, or never, and which may
// break at any moment. Each end behaves as a socket does: it takes only so much, a close with
// something unread resets, a reset destroys what is under way.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "proxy/io.h"
#include "tests/sim/world.h"

namespace headgate::sim {

/// How a connection treats bytes.
struct Weather {
  Duration least_delay = microseconds(20), most_delay = microseconds(200);
  int pieces = 100;         // permille of writes that arrive in pieces
  size_t capacity = 65536;  // bytes of one direction that are under way or unread
};

class Connection;

class End {
 public:
  /// Called in an event of its own when bytes or an end have come, or room has.
  std::function<void()> on_change;
  void hear_no_more();

  size_t room() const;
  /// Takes as much as there is room for; returns how much.
  size_t send(View bytes);
  /// Takes everything; for programs whose system buffers are of no interest.
  void send_all(View bytes);
  /// Says that no more will be sent.
  void finish();
  /// As close(2): resets the connection if something is unread.
  void close();
  void reset();

  View arrived() const { return in_.view(); }
  void take(size_t count);
  /// The peer has finished, and everything was read.
  bool at_end() const { return finish_arrived_ && in_.empty(); }
  bool peer_finished() const { return finish_arrived_; }
  /// Nothing can be sent to the peer any more.
  bool peer_closed() const;
  bool broken() const { return broken_; }
  bool closed() const { return closed_; }
  uint64_t sent() const { return sent_; }
  /// What had arrived at the peer when it finished: that much its end proves.
  std::optional<uint64_t> confirmed() const { return finish_arrived_ ? confirmed_ : std::nullopt; }

 private:
  friend class Connection;
  End& peer() const;
  void put_under_way(Bytes bytes);
  void deliver(View bytes);
  void tell() const;

  Connection* connection_ = nullptr;
  size_t side_ = 0;
  Buffer in_;
  size_t under_way_ = 0;
  Instant last_arrival_{};
  uint64_t sent_ = 0, arrived_in_all_ = 0;
  std::optional<uint64_t> confirmed_;
  bool finished_ = false, finish_arrived_ = false, broken_ = false, closed_ = false;
  uint64_t epoch_ = 0;  // what was under way before a reset is lost
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(World& world, const Weather& weather);
  End& end(size_t side) { return ends_[side]; }
  /// Breaks it for both ends.
  void cut();
  /// From now on nothing arrives any more.
  void swallow() { swallowing_ = true; }
  /// Nothing arrives for a while.
  void hold(Duration time);

 private:
  friend class End;
  World& world_;
  Weather weather_;
  bool swallowing_ = false;
  End ends_[2];
};
using ConnectionPtr = std::shared_ptr<Connection>;

/// One's own end of a connection; closed when destroyed.
class EndPtr {
 public:
  EndPtr() = default;
  EndPtr(ConnectionPtr connection, size_t side) : connection_(std::move(connection)), side_(side) {}
  EndPtr(EndPtr&& other) noexcept { swap(other); }
  EndPtr& operator=(EndPtr&& other) noexcept {
    EndPtr gone(std::move(other));
    swap(gone);
    return *this;
  }
  ~EndPtr() { close(); }

  End* operator->() const { return &connection_->end(side_); }
  End& operator*() const { return connection_->end(side_); }
  explicit operator bool() const { return connection_ != nullptr; }
  const ConnectionPtr& connection() const { return connection_; }
  void close();

 private:
  void swap(EndPtr& other) {
    std::swap(connection_, other.connection_);
    std::swap(side_, other.side_);
  }
  ConnectionPtr connection_;
  size_t side_ = 0;
};

class Network {
 public:
  explicit Network(World& world) : world_(world) {}
  ~Network();

  Weather weather;
  /// Hears of connections to an address. Null: refused.
  using Accept = std::function<void(EndPtr)>;
  void listen(const Address& at, Accept accept);
  void close(const Address& at);
  /// Connects after a while; `done` gets null if it was refused, and is never called where the
  /// address swallows everything.
  void connect(const Address& to, std::function<void(EndPtr)> done);
  /// Addresses that answer nothing at all.
  std::map<std::string, bool> black_holes;
  /// Connections that are still open.
  std::vector<ConnectionPtr> connections();

 private:
  static std::string name(const Address& address);
  World& world_;
  std::map<std::string, Accept> listeners_;
  std::vector<std::weak_ptr<Connection>> connections_;
};

}  // namespace headgate::sim
