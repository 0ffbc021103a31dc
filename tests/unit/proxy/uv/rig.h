// What the tests of the loop share: a real loop that runs until something has happened, a user that
// writes down what it hears, and the other ends of connections as plain blocking sockets.
#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "proxy/uv/outside.h"
#include "proxy/uv/parcel.h"
#include "proxy/uv/sockets.h"

namespace headgate {

/// A loop and its worker. run_until() fails the test if nothing comes of it.
class Rig final : public LoopUser {
 public:
  static constexpr Duration patience = seconds(30);

  UvOutside outside{*this};
  std::function<void(Instant)> when_time;  // a test that sets it has wake_at() to itself
  std::function<void()> when_mail;
  std::function<void()> when_turn_ends;
  int turns = 0;

  void run_until(std::function<bool()> condition) {
    until_ = std::move(condition);
    impatient_ = false;
    if (!when_time) outside.wake_at(outside.now() + patience);
    outside.run();
    if (!when_time) outside.wake_at(std::nullopt);
    CHECK_FALSE(impatient_);
    until_ = nullptr;
  }

  /// The turns that the loop takes during that time: few, unless it runs in circles.
  int turns_during(Duration time) {
    bool over = false;
    when_time = [&](Instant) { over = true; };
    outside.wake_at(outside.now() + time);
    int before = turns;
    run_until([&] { return over; });
    when_time = nullptr;
    return turns - before;
  }

  void on_time(Instant now) override {
    if (when_time) return when_time(now);
    impatient_ = true;
    outside.stop();
  }
  void on_mail() override {
    if (when_mail) when_mail();
  }
  void on_turn_end() override {
    ++turns;
    if (when_turn_ends) when_turn_ends();
    if (until_ && until_()) outside.stop();
  }

 private:
  std::function<bool()> until_;
  bool impatient_ = false;
};

/// Owns a stream and writes down what it hears; a test may do something in each callback.
struct Recorder final : StreamUser {
  StreamPtr stream;
  Bytes got;
  int connected = 0, drained = 0;
  std::vector<int> ends;
  std::function<void()> when_connected, when_bytes, when_drained, when_ended;

  void write(View bytes) { stream->write({&bytes, 1}); }
  size_t events() const {
    return got.size() + static_cast<size_t>(connected + drained) + ends.size();
  }

  void on_connected() override {
    ++connected;
    if (when_connected) when_connected();
  }
  void on_bytes(View bytes) override {
    got.append(bytes);
    if (when_bytes) when_bytes();
  }
  void on_drained() override {
    ++drained;
    if (when_drained) when_drained();
  }
  void on_end(int error) override {
    ends.push_back(error);
    if (when_ended) when_ended();
  }
};

/// The other end, blocking.
class Peer {
 public:
  Peer() = default;
  explicit Peer(int descriptor) : socket_(descriptor) {}

  int number() const { return socket_.number(); }
  void close() { socket_ = {}; }
  /// Closes so that the other side gets a reset (TCP).
  void reset() {
    linger now{1, 0};
    setsockopt(number(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  /// False: the connection is gone.
  bool send(View bytes) {
    while (!bytes.empty()) {
      ssize_t sent = ::send(number(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  /// Exactly so many bytes, or what there is before the end.
  Bytes receive(size_t count) {
    Bytes bytes(count, '\0');
    size_t size = 0;
    while (size < count) {
      ssize_t got = ::recv(number(), bytes.data() + size, count - size, 0);
      error = got < 0 ? errno : 0;
      if (got <= 0) break;
      size += static_cast<size_t>(got);
    }
    bytes.resize(size);
    return bytes;
  }
  /// All there is before the end.
  Bytes receive_rest() {
    Bytes all;
    for (Bytes some = receive(4096); !some.empty(); some = receive(4096)) all += some;
    return all;
  }

  int error = 0;  // of the last receive()

 private:
  Descriptor socket_;
};

/// A connected pair: one end for a stream, the other for the test.
struct Pair {
  ParcelPtr ours;
  Peer peer;
};

inline Pair unix_pair() {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  make_non_blocking(ends[0]);
  Address unnamed{Address::Kind::unix_path, 0, {}};
  return {std::make_unique<UvParcel>(Descriptor(ends[0]), unnamed), Peer(ends[1])};
}

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// A TCP socket bound to some port of the loopback.
inline Descriptor bound_socket(uint16_t& port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = loopback(0);
  socklen_t size = sizeof address;
  REQUIRE(bind(socket.number(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port = ntohs(address.sin_port);
  return socket;
}

inline Peer dial(uint16_t port) {
  Peer peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto address = loopback(port);
  REQUIRE(connect(peer.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return peer;
}

/// A plain listener of the test's own, for streams that connect.
struct TestServer {
  uint16_t port = 0;
  Descriptor socket = bound_socket(port);

  TestServer() { REQUIRE(listen(socket.number(), 16) == 0); }
  Address address() const { return {Address::Kind::ip4, port, "127.0.0.1"}; }
  Peer accept() { return Peer(accept4(socket.number(), nullptr, nullptr, SOCK_CLOEXEC)); }
};

inline Pair tcp_pair() {
  TestServer server;
  Peer peer = dial(server.port);
  sockaddr_in from{};
  socklen_t size = sizeof from;
  Descriptor accepted(accept4(server.socket.number(), reinterpret_cast<sockaddr*>(&from), &size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC));
  REQUIRE(accepted.valid());
  Address address{Address::Kind::ip4, ntohs(from.sin_port), "127.0.0.1"};
  return {std::make_unique<UvParcel>(std::move(accepted), address), std::move(peer)};
}

inline void attach(Rig& rig, Recorder& user, ParcelPtr parcel) {
  user.stream = rig.outside.attach(std::move(parcel), SocketOptions{}, user);
}

/// Bytes of which each piece tells where it belongs.
inline Bytes numbered_bytes(size_t size) {
  Bytes bytes;
  bytes.reserve(size + 16);
  for (size_t i = 0; bytes.size() < size; ++i) bytes.append(std::to_string(i)).push_back(' ');
  bytes.resize(size);
  return bytes;
}

}  // namespace headgate
