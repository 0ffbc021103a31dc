// The outside world on libuv: one UvOutside for each worker thread, with the loop that it runs.
//
// Made and destroyed by its owner while run() is not running; whatever came from it (streams,
// listeners) must be closed before it is destroyed. All but wake() and stop() belong to the thread
// that runs the loop.
#pragma once

#include <uv.h>

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

  void end_turn();
  void deliver_failures();

  LoopUser& user_;
  LoopState state_;
  Jobs jobs_{state_.loop};
  uv_prepare_t turn_end_;
  uv_idle_t no_wait_;  // active while there is something to do at the end of the next turn
  uv_async_t mail_, stop_;
  uv_timer_t alarm_;
  std::optional<uint64_t> alarm_ms_;  // what the timer is set to, on the loop's clock
  std::vector<std::unique_ptr<Signal>> signals_;
};

}  // namespace headgate
