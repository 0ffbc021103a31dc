// A Stream on a non-blocking socket of ours: one recv for each readable event, one send or sendmsg
// for each write. It owns no memory for bytes but for those that the system did not take at once,
// and changes what epoll watches only when it must.
//
// epoll tells of what has come once (EPOLLET) and does not look again: sockets are heard in the
// order in which they spoke, and none is asked twice. So the stream remembers that there may be
// more: a read that filled the buffer, bytes that came in a pause, an end behind the bytes.
//
// Those that we have dialled are heard first in a turn: an answer sets a server free, and the
// queries that came in the same turn go to servers that are still warm, rather than to more of
// them.
//
// Owned through StreamPtr. Its memory outlives close() until the turn ends, so that a user may
// close any stream within any callback.
#pragma once

#include <deque>
#include <memory>

#include "base/buffer.h"
#include "proxy/io.h"
#include "proxy/uv/loop_state.h"
#include "proxy/uv/parcel.h"

namespace headgate {

class UvStream final : public Stream, public ListNode<UvStream>, private Watcher {
 public:
  static StreamPtr connect(LoopState& state, const Address& to, const SocketOptions& options,
                           StreamUser& user);
  static StreamPtr attach(LoopState& state, UvParcel& parcel, const SocketOptions& options,
                          StreamUser& user);

  void read(bool wanted) override;
  void write(std::span<const View> slices) override;
  size_t queued() const override { return queue_.size(); }
  uint64_t written() const override { return written_; }
  /// Known only after on_end(), and only where the way in which the peer ended proves it.
  std::optional<uint64_t> confirmed() const override;
  const Address& peer() const override { return peer_; }
  const Address& local() const override;
  std::optional<PeerProcess> peer_process() const override;
  int descriptor() const override { return descriptor_.number(); }
  ParcelPtr duplicate() const override;
  void write_with(View bytes, ParcelPtr attached) override;
  void expect_descriptors() override;
  ParcelPtr take_descriptor() override;
  void finish_writing() override;
  /// The StreamPtr is still to be dropped afterwards.
  ParcelPtr detach() override;
  void close(bool linger) override;

  /// At the end of the turn, for a stream that has left LoopState::unread.
  void receive_unread();
  /// The same for one that has left LoopState::failed.
  void deliver_failure();

 private:
  enum class State : uint8_t { connecting, open, ended, detached, closed };

  UvStream(LoopState& state, StreamUser& user) : loop_(state), user_(&user) {}

  int dial(const Address& to, const SocketOptions& options);
  int enter_loop();
  void leave_loop();
  void on_events(uint32_t events) override;
  bool goes_first() const override { return dialled_; }
  void finish_connect();
  void receive();
  ssize_t receive_into(char* buffer);
  void flush();
  void receive_later();
  void look_at_hangup();
  size_t send_now(std::span<const View> slices);
  size_t send_waiting();
  size_t send_attached(View bytes);
  void fail(int error);
  void receive_the_last();
  void end(int error);
  void watch_what_is_wanted();
  uint32_t wanted_events() const;

  LoopState& loop_;
  StreamUser* user_;  // null from close() on
  Buffer queue_;
  uint64_t written_ = 0;
  /// Descriptors that go with bytes of the queue: the first as written() counts them.
  struct Attached {
    uint64_t at;
    Descriptor descriptor;
  };
  /// Both ways of descriptors.
  struct Passing {
    std::deque<Attached> attached;
    std::deque<Descriptor> received;
    bool expected = false;
  };
  Passing& passing();
  bool expects_descriptors() const { return passing_ && passing_->expected; }
  std::unique_ptr<Passing> passing_;  // null but for few
  Address peer_;
  mutable std::unique_ptr<Address> local_;  // asked for when needed first
  Descriptor descriptor_;
  int error_ = 0;         // what the stream has failed with, or ended with
  uint32_t watched_ = 0;  // what epoll has been asked to watch; 0: it does not know us
  State state_ = State::open;
  bool reading_ = true;
  bool finishing_ = false;    // no more will be written
  bool unread_ = false;       // more may be there than epoll will tell of
  bool hangup_seen_ = false;  // the last bytes, or what is there, are followed by the end
  bool dialled_ = false;
};

// Ten thousand clients: what one costs while it is idle.
static_assert(sizeof(UvStream) <= 184);

}  // namespace headgate
