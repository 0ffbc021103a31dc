// The outside of one worker, simulated: proxy/io.h over the simulated network and time. Like a
// loop, it does nothing from within a call: what has happened is told in turns, in any order, and
// each turn closes with on_turn_end().
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "proxy/io.h"
#include "tests/sim/network.h"

namespace headgate::sim {

class SimOutside;

/// An end of a connection on its way between workers.
struct SimParcel final : Parcel {
  SimParcel(EndPtr e, Address p) : end(std::move(e)), peer(std::move(p)) {}
  EndPtr end;
  Address peer;
};

class SimStream final : public Stream {
 public:
  SimStream(SimOutside& outside, StreamUser& user, Address peer);

  void read(bool wanted) override;
  void write(std::span<const View> slices) override;
  size_t queued() const override { return queue_.size(); }
  uint64_t written() const override { return end_ ? end_->sent() : 0; }
  std::optional<uint64_t> confirmed() const override;
  const Address& peer() const override { return peer_; }
  const Address& local() const override { return local_; }
  std::optional<PeerProcess> peer_process() const override { return std::nullopt; }
  void finish_writing() override;
  ParcelPtr detach() override;
  void close(bool linger) override;

  /// The connection stands, or (null) was refused.
  void connected(EndPtr end);
  /// Takes over an end that is connected already.
  void attached(EndPtr end);
  /// Tells its user what has happened, one thing at a time; false if there was nothing to tell.
  bool tell();

 private:
  enum class State : uint8_t { connecting, open, ended, detached, closed };
  void watch();
  bool tell_connected();
  bool tell_drained();
  bool tell_bytes();
  bool tell_end();
  void end(int error);

  SimOutside& outside_;
  StreamUser* user_;
  EndPtr end_;
  Buffer queue_;
  Address peer_, local_;
  State state_ = State::connecting;
  bool reading_ = true, finishing_ = false, refused_ = false, failed_ = false, arrived_ = false;
};

class SimOutside final : public Outside {
 public:
  SimOutside(World& world, Network& network, LoopUser& user, int number);

  World& world() { return world_; }
  /// A turn is due.
  void call();
  /// Streams that are not closed.
  size_t streams() const { return streams_.size(); }
  /// No more turns: the worker is at its end.
  void stop() { stopped_ = true; }
  /// The thread gets no CPU for that long.
  void stall(Duration time) { stalled_until_ = world_.now() + time; }
  /// Memory of its own for what is lent.
  Bytes& scratch() { return scratch_; }
  void gone(SimStream& stream) {
    std::erase_if(streams_, [&](const auto& one) { return one.get() == &stream; });
  }

  Instant now() override { return world_.now(); }
  int64_t wall_microseconds() override;
  void random(std::span<char> out) override;
  void wake_at(std::optional<Instant> at) override;
  void wake() override;
  StreamPtr connect(const Address& to, const SocketOptions& options, StreamUser& user) override;
  StreamPtr attach(ParcelPtr parcel, const SocketOptions& options, StreamUser& user) override;
  Result<std::unique_ptr<Listener>> listen(const Address& on, const ListenOptions& options,
                                           ListenerUser& user) override;
  void resolve(const std::string& host, uint16_t port, Resolved done) override;
  void aside(std::function<void()> work, std::function<void()> done) override;

  /// What a name resolves to; absent: an error.
  std::map<std::string, std::vector<std::string>> names;
  /// How many look-ups in a thousand fail nevertheless, and who is told.
  int failing_lookups = 0;
  std::function<void()> lookup_failed;

 private:
  void turn();
  void tell_streams();

  World& world_;
  Network& network_;
  LoopUser& user_;
  const int number_;
  std::vector<std::shared_ptr<SimStream>> streams_;  // as they came
  std::vector<std::function<void()>> done_;
  std::optional<Instant> alarm_;
  Instant stalled_until_{};
  bool called_ = false, mail_ = false, stopped_ = false;
  Bytes scratch_;
};

}  // namespace headgate::sim
