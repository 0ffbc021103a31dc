// The outside world: one UvOutside for each worker thread, with the loop that it runs. Sockets are
// watched by a poller of ours; timers, signals and threads are libuv's, whose loop takes a turn
// when it has something to do.
//
// Made and destroyed by its owner while run() is not running; whatever came from it (streams,
// listeners) must be closed before it is destroyed. All but wake() and stop() belong to the thread
// that runs the loop.
#pragma once

#include <uv.h>

#include <array>
#include <atomic>

#include "proxy/uv/jobs.h"
#include "proxy/uv/loop_state.h"

namespace headgate {

class UvOutside final : public Outside {
 public:
  explicit UvOutside(LoopUser& user);
  ~UvOutside() override;
  UvOutside(const UvOutside&) = delete;
  UvOutside& operator=(const UvOutside&) = delete;

  /// Serves until stop(). Work put aside that has begun is waited for; its `done` is not called.
  void run();
  /// Lets run() return, soon. From any thread.
  void stop();
  /// Calls `action` by the loop whenever the process gets that signal.
  void on_signal(int signum, std::function<void()> action);

  Instant now() override;
  int64_t wall_microseconds() override;
  Duration cpu_time() override;
  void random(std::span<char> out) override;
  void wake_at(std::optional<Instant> at) override;
  void wake() override;
  StreamPtr connect(const Address& to, const SocketOptions& options, StreamUser& user) override;
  StreamPtr attach(ParcelPtr parcel, const SocketOptions& options, StreamUser& user) override;
  Result<std::unique_ptr<Listener>> listen(const Address& on, const ListenOptions& options,
                                           ListenerUser& user) override;
  void resolve(const std::string& host, uint16_t port, Resolved done) override;
  void aside(std::function<void()> work, std::function<void()> done) override;

 private:
  struct Signal {
    uv_signal_t handle;
    std::function<void()> action;
  };

  /// libuv has something to do.
  struct Library final : Watcher {
    explicit Library(uv_loop_t& loop) : loop_(loop) {}
    void on_events(uint32_t) override { uv_run(&loop_, UV_RUN_NOWAIT); }
    uv_loop_t& loop_;
  };
  /// Another thread calls.
  struct Bell final : Watcher {
    explicit Bell(UvOutside& outside) : outside_(outside) {}
    void on_events(uint32_t) override { outside_.heard_bell(); }
    UvOutside& outside_;
  };

  void take_turn();
  void end_turn();
  void receive_unread();
  void deliver_failures();
  void bury_closed();
  bool alarm_is_due() const;
  void fill_random();
  void ring();
  void heard_bell();

  LoopUser& user_;
  LoopState state_;
  Jobs jobs_{state_.loop};
  Library library_{state_.loop};
  Bell bell_{*this};
  Descriptor bell_event_;
  std::atomic<bool> mail_{false}, stopping_{false};
  std::array<char, 256> random_{};
  size_t unused_random_ = 0;         // at the front
  std::optional<int64_t> alarm_ms_;  // of wake_at(), on the loop's clock
  std::vector<std::unique_ptr<Signal>> signals_;
};

}  // namespace headgate
