#include "proxy/uv/outside.h"

#include <sys/random.h>
#include <time.h>

#include <cerrno>

#include "proxy/uv/lingering.h"
#include "proxy/uv/listener.h"
#include "proxy/uv/parcel.h"
#include "proxy/uv/stream.h"

namespace headgate {

namespace {

int64_t clock_microseconds(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1'000;
}

template <class Handle>
uv_handle_t* any(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

template <class Handle>
UvOutside* owner_of(Handle* handle) {
  return static_cast<UvOutside*>(handle->data);
}

}  // namespace

UvOutside::UvOutside(LoopUser& user) : user_(user) {
  int error = uv_loop_init(&state_.loop);
  MUST(error == 0);
  uv_prepare_init(&state_.loop, &turn_end_);
  uv_idle_init(&state_.loop, &no_wait_);
  uv_timer_init(&state_.loop, &alarm_);
  uv_async_init(&state_.loop, &mail_, [](uv_async_t* mail) { owner_of(mail)->user_.on_mail(); });
  uv_async_init(&state_.loop, &stop_, [](uv_async_t* stop) { uv_stop(stop->loop); });
  turn_end_.data = alarm_.data = mail_.data = this;
  uv_prepare_start(&turn_end_, [](uv_prepare_t* turn) { owner_of(turn)->end_turn(); });
}

UvOutside::~UvOutside() {
  jobs_.abandon();
  while (!state_.lingering.empty()) state_.lingering.front().hurry();
  for (uv_handle_t* handle : {any(turn_end_), any(no_wait_), any(alarm_), any(mail_), any(stop_)})
    uv_close(handle, nullptr);
  for (auto& signal : signals_) uv_close(any(signal->handle), nullptr);
  uv_run(&state_.loop, UV_RUN_DEFAULT);
  int error = uv_loop_close(&state_.loop);
  MUST(error == 0);  // else a stream or listener has outlived its loop
}

void UvOutside::run() {
  uv_run(&state_.loop, UV_RUN_DEFAULT);
  jobs_.abandon();
  while (jobs_.work_running()) uv_run(&state_.loop, UV_RUN_ONCE);
}

void UvOutside::stop() { uv_async_send(&stop_); }

void UvOutside::on_signal(int signum, std::function<void()> action) {
  auto& signal = *signals_.emplace_back(std::make_unique<Signal>());
  signal.action = std::move(action);
  uv_signal_init(&state_.loop, &signal.handle);
  signal.handle.data = &signal;
  uv_signal_start(
      &signal.handle,
      [](uv_signal_t* handle, int) { static_cast<Signal*>(handle->data)->action(); }, signum);
}

void UvOutside::end_turn() {
  jobs_.answer();
  deliver_failures();
  user_.on_turn_end();
  bool more_to_do = jobs_.answers_due() || !state_.failed.empty();
  if (more_to_do) {
    uv_idle_start(&no_wait_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&no_wait_);
  }
}

// Only those that have failed by now: a user who tries again at once must not hold up the loop.
void UvOutside::deliver_failures() {
  for (size_t count = state_.failed.size(); count > 0; --count) {
    if (auto* stream = state_.failed.pop_front()) stream->deliver_failure();
  }
}

Instant UvOutside::now() { return Instant(microseconds(clock_microseconds(CLOCK_MONOTONIC))); }

int64_t UvOutside::wall_microseconds() { return clock_microseconds(CLOCK_REALTIME); }

Duration UvOutside::cpu_time() { return Duration(clock_microseconds(CLOCK_THREAD_CPUTIME_ID)); }

void UvOutside::random(std::span<char> out) {
  while (!out.empty()) {
    ssize_t got = getrandom(out.data(), out.size(), 0);
    MUST(got >= 0 || errno == EINTR);
    if (got > 0) out = out.subspan(static_cast<size_t>(got));
  }
}

// libuv's clock is ours, in whole milliseconds and perhaps a little behind: never too early. A
// millisecond at least, because libuv would serve a timer that is set to "now" by its own callback
// for ever.
void UvOutside::wake_at(std::optional<Instant> at) {
  if (!at) {
    alarm_ms_.reset();
    uv_timer_stop(&alarm_);
    return;
  }
  auto due = std::chrono::ceil<milliseconds>(at->time_since_epoch()).count();
  uint64_t due_ms = due > 0 ? static_cast<uint64_t>(due) : 0;
  if (alarm_ms_ == due_ms) return;
  alarm_ms_ = due_ms;
  uint64_t loop_ms = uv_now(&state_.loop);
  uv_timer_start(
      &alarm_,
      [](uv_timer_t* alarm) {
        UvOutside* outside = owner_of(alarm);
        outside->alarm_ms_.reset();
        outside->user_.on_time(outside->now());
      },
      due_ms > loop_ms ? due_ms - loop_ms : 1, 0);
}

void UvOutside::wake() { uv_async_send(&mail_); }

StreamPtr UvOutside::connect(const Address& to, const SocketOptions& options, StreamUser& user) {
  return UvStream::connect(state_, to, options, user);
}

StreamPtr UvOutside::attach(ParcelPtr parcel, const SocketOptions& options, StreamUser& user) {
  return UvStream::attach(state_, static_cast<UvParcel&>(*parcel), options, user);
}

Result<std::unique_ptr<Listener>> UvOutside::listen(const Address& on, const ListenOptions& options,
                                                    ListenerUser& user) {
  return listen_on(state_.loop, on, options, user);
}

void UvOutside::resolve(const std::string& host, uint16_t port, Resolved done) {
  jobs_.resolve(host, port, std::move(done));
}

void UvOutside::aside(std::function<void()> work, std::function<void()> done) {
  jobs_.aside(std::move(work), std::move(done));
}

}  // namespace headgate
