// Everything outside Headgate, as the sessions see it: byte streams, time, names, randomness, slow
// work put aside. The only door; behind it stand libuv (proxy/uv), the simulator (tests/sim), and
// perhaps io_uring one day. Hence the completion style: nobody may assume that a stream is ready,
// or that a write is finished when it was asked for.
//
// One Outside for each worker, used by that worker's thread alone, except where it says otherwise.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace headgate {

/// Where a peer is, in numbers: no name is ever looked up from an Address.
struct Address {
  enum class Kind : uint8_t { none, ip4, ip6, unix_path };
  Kind kind = Kind::none;
  uint16_t port = 0;
  std::string host;  // "127.0.0.1", "::1", "/tmp/.s.PGSQL.5432", "@abstract"

  bool is_unix() const { return kind == Kind::unix_path; }
  /// As the log has it: `127.0.0.1:5432`, `[::1]:5432`.
  std::string with_port() const {
    return (kind == Kind::ip6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
  }
  bool operator==(const Address&) const = default;
};

/// The tcp_* settings.
struct SocketOptions {
  bool keepalive = true;
  int keepcnt = 0, keepidle = 0, keepintvl = 0;  // seconds and counts; 0: the system's
  int buffer_bytes = 0;
  int user_timeout_ms = 0;
};

/// Hears what happens on a stream. Nothing is called from within a call to the stream.
class StreamUser {
 public:
  /// A connect has succeeded; until then nothing may be written.
  virtual void on_connected() {}
  /// Bytes have come. They are lent until this call returns, but what is given to write() of any
  /// stream of the same worker before that needs no copy by the caller.
  virtual void on_bytes(View bytes) = 0;
  /// queued() has fallen to zero after bytes had been left behind in a write().
  virtual void on_drained() = 0;
  /// The peer has closed (error 0), or the stream has failed (an errno). The last call; what is
  /// queued is lost. The stream stays to be closed by its owner.
  virtual void on_end(int error) = 0;

 protected:
  ~StreamUser() = default;
};

/// A stream in no loop, on its way from one worker to another.
class Parcel {
 public:
  virtual ~Parcel() = default;
};
using ParcelPtr = std::unique_ptr<Parcel>;

class Stream {
 public:
  /// Whether bytes are wanted. A new stream starts with true; bytes are never lost by a pause.
  virtual void read(bool wanted) = 0;

  /// Sends the slices, in order. The stream takes over: what the system does not accept at once is
  /// copied (or kept, where it was lent by on_bytes), and counted in queued(). An error shows up as
  /// on_end() later.
  virtual void write(std::span<const View> slices) = 0;
  virtual size_t queued() const = 0;

  /// Bytes written so far, and how many of them the peer's system has confirmed to have, if that
  /// can be told: what was never confirmed was never acted upon. Also after on_end().
  virtual uint64_t written() const = 0;
  virtual std::optional<uint64_t> confirmed() const = 0;

  virtual const Address& peer() const = 0;
  virtual const Address& local() const = 0;
  /// The peer's process, on unix sockets.
  struct PeerProcess {
    uint32_t pid = 0, uid = 0;
  };
  virtual std::optional<PeerProcess> peer_process() const = 0;

  /// The number of its descriptor; -1: it has none that could be passed on.
  virtual int descriptor() const { return -1; }
  /// Another hold on the connection, to be passed to another process; null without a descriptor.
  virtual ParcelPtr duplicate() const { return nullptr; }
  /// As write(), and the descriptor of `attached` goes with the first byte: on unix sockets.
  virtual void write_with(View bytes, ParcelPtr attached) {
    write({&bytes, 1});
    attached.reset();
  }

  /// From now on descriptors may come along with the bytes, on unix sockets. One is there at the
  /// latest when the first byte is heard that it was sent with.
  virtual void expect_descriptors() {}
  /// The next that has come; null: there is none.
  virtual ParcelPtr take_descriptor() { return nullptr; }

  /// Says that no more will be written; the peer sees an end once the queue is gone.
  virtual void finish_writing() = 0;
  /// Takes the stream out of its loop. Nothing may be queued; the stream is closed as an object.
  virtual ParcelPtr detach() = 0;
  /// Ends the stream; its user hears nothing more. `linger`: what is queued is still sent and the
  /// peer gets to read it, within a second and 64 KB; otherwise everything is dropped.
  /// Use through StreamPtr.
  virtual void close(bool linger) = 0;

 protected:
  ~Stream() = default;
};

struct CloseStream {
  void operator()(Stream* stream) const { stream->close(false); }
};
using StreamPtr = std::unique_ptr<Stream, CloseStream>;

/// Ends a stream so that the peer can still read what was sent last.
inline void close_lingering(StreamPtr stream) {
  if (stream) stream.release()->close(true);
}

/// Hears of the loop itself: the worker.
class LoopUser {
 public:
  /// The time given to wake_at() has come.
  virtual void on_time(Instant now) = 0;
  /// Outside::wake() was called, at least once since the last on_mail().
  virtual void on_mail() = 0;
  /// Every event of this turn has been handled: the dead can be buried. Called before each wait.
  virtual void on_turn_end() = 0;

 protected:
  ~LoopUser() = default;
};

/// Hears of new connections.
class ListenerUser {
 public:
  virtual void on_accept(ParcelPtr connection, bool from_unix) = 0;
  /// Out of descriptors or memory: accepting has paused and resumes by itself after a while.
  virtual void on_accept_failed(int error) = 0;

 protected:
  ~ListenerUser() = default;
};

struct ListenOptions {
  int passed =
      -1;  // a descriptor that listens already: nothing is bound, and no path ever unlinked
  int backlog = 128;
  bool reuse_port = false;
  bool defer_accept = true;
  int unix_mode = 0777;
  std::string unix_group;
};

/// A listening socket; closed (and its unix path unlinked) when destroyed.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual const Address& address() const = 0;
  /// Hands over what the system has accepted already: called before closing, so that nobody who got
  /// through is turned away.
  virtual void accept_waiting() {}
  /// ListenOptions::defer_accept has changed.
  virtual void set_defer_accept(bool) {}
  /// Its path in the file system is another's now: it stays when this goes; or it is ours now, for
  /// one that was passed.
  virtual void leave_path() {}
  virtual void take_path() {}
  /// Whether connections are wanted; others wait in the system's backlog.
  virtual void accept(bool wanted) = 0;
  /// As those of a stream.
  virtual int descriptor() const { return -1; }
  virtual ParcelPtr duplicate() const { return nullptr; }
};

class Outside {
 public:
  virtual ~Outside() = default;

  /// The time now. Cheap enough for once per event.
  virtual Instant now() = 0;
  /// Microseconds since 1970, for what people read.
  virtual int64_t wall_microseconds() = 0;
  /// The CPU time that this worker's thread has taken, for what people read; a system call.
  virtual Duration cpu_time() { return {}; }
  virtual void random(std::span<char> out) = 0;

  /// Asks for on_time() at that time; replaces the time asked for before; nothing: never.
  virtual void wake_at(std::optional<Instant> at) = 0;
  /// Asks for on_mail() soon. From any thread.
  virtual void wake() = 0;

  /// Starts a connection. The result comes as on_connected() or on_end(); never null. Running out
  /// of descriptors shows as on_end(EMFILE).
  virtual StreamPtr connect(const Address& to, const SocketOptions& options, StreamUser& user) = 0;
  /// Takes over a stream that another worker (or a listener) has let go.
  virtual StreamPtr attach(ParcelPtr parcel, const SocketOptions& options, StreamUser& user) = 0;
  /// Listens on a numeric address or a unix path, or on what was passed, whatever its address.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& on, const ListenOptions& options,
                                                   ListenerUser& user) = 0;

  /// Looks up a name (numbers are answered as they are); the answer comes later, by the loop.
  using Resolved = std::function<void(Result<std::vector<Address>>)>;
  virtual void resolve(const std::string& host, uint16_t port, Resolved done) = 0;

  /// Runs `work` away from the loop, then `done` by the loop. Bounded: at most 4 run at a time.
  virtual void aside(std::function<void()> work, std::function<void()> done) = 0;
};

}  // namespace headgate
