#include "proxy/uv/outside.h"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
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

}  // namespace

UvOutside::UvOutside(LoopUser& user) : user_(user) {
  MUST(uv_loop_init(&state_.loop) == 0);
  bell_event_ = Descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  MUST(bell_event_.valid());
  // Each ring of the bell is an event of its own: its counter need not be read.
  MUST(state_.poller.watch(bell_event_.number(), EPOLLIN | EPOLLET, bell_) == 0);
  MUST(state_.poller.watch(uv_backend_fd(&state_.loop), EPOLLIN, library_) == 0);
}

UvOutside::~UvOutside() {
  jobs_.abandon();
  while (!state_.lingering.empty()) state_.lingering.front().hurry();
  bury_closed();
  state_.poller.forget(bell_event_.number(), bell_);
  state_.poller.forget(uv_backend_fd(&state_.loop), library_);
  for (auto& signal : signals_) {
    uv_close(reinterpret_cast<uv_handle_t*>(&signal->handle), nullptr);
  }
  uv_run(&state_.loop, UV_RUN_DEFAULT);
  MUST(uv_loop_close(&state_.loop) == 0);
  MUST(state_.poller.watched() == 0);  // else a stream or listener has outlived its loop
}

void UvOutside::run() {
  while (!stopping_.exchange(false)) take_turn();
  jobs_.abandon();
  while (jobs_.work_running()) uv_run(&state_.loop, UV_RUN_ONCE);
}

void UvOutside::take_turn() {
  end_turn();
  uv_loop_t& loop = state_.loop;
  uv_update_time(&loop);
  const int library_ms = uv_loop_alive(&loop) ? uv_backend_timeout(&loop) : -1;
  const bool more_to_do =
      jobs_.answers_due() || !state_.failed.empty() || !state_.unread.empty() || alarm_is_due();
  std::optional<Duration> longest;
  if (library_ms >= 0) longest = milliseconds(library_ms);
  if (alarm_ms_) {
    const Duration until_alarm = milliseconds(*alarm_ms_ - static_cast<int64_t>(uv_now(&loop)));
    longest = std::min(longest.value_or(until_alarm), until_alarm);
  }
  state_.poller.wait(more_to_do ? Duration::zero() : longest);
  uv_update_time(&loop);
  if (library_ms == 0) uv_run(&loop, UV_RUN_NOWAIT);
  if (!alarm_is_due()) return;
  alarm_ms_.reset();
  user_.on_time(now());
}

void UvOutside::stop() {
  stopping_ = true;
  ring();
}

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
  receive_unread();
  jobs_.answer();
  deliver_failures();
  user_.on_turn_end();
  bury_closed();
}

void UvOutside::receive_unread() {
  for (size_t count = state_.unread.size(); count > 0; --count) {
    if (auto* stream = state_.unread.pop_front()) stream->receive_unread();
  }
}

void UvOutside::bury_closed() {
  while (UvStream* stream = state_.closed.pop_front()) delete stream;
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

// A call for many who want a few; who has got his leaves none behind.
void UvOutside::random(std::span<char> out) {
  for (char& one : out) {
    if (unused_random_ == 0) fill_random();
    one = std::exchange(random_[--unused_random_], 0);
  }
}

void UvOutside::fill_random() {
  while (unused_random_ < random_.size()) {
    const ssize_t got =
        getrandom(random_.data() + unused_random_, random_.size() - unused_random_, 0);
    MUST(got >= 0 || errno == EINTR);
    if (got > 0) unused_random_ += static_cast<size_t>(got);
  }
}

// In whole milliseconds: never too early.
void UvOutside::wake_at(std::optional<Instant> at) {
  alarm_ms_.reset();
  if (at) alarm_ms_ = std::chrono::ceil<milliseconds>(at->time_since_epoch()).count();
}

// libuv's clock is ours, as it was when the turn began.
bool UvOutside::alarm_is_due() const {
  return alarm_ms_ && *alarm_ms_ <= static_cast<int64_t>(uv_now(&state_.loop));
}

void UvOutside::wake() {
  mail_ = true;
  ring();
}

void UvOutside::ring() {
  const uint64_t one = 1;
  const ssize_t written = write(bell_event_.number(), &one, sizeof one);
  MUST(written == sizeof one || errno == EAGAIN);
}

void UvOutside::heard_bell() {
  if (mail_.exchange(false)) user_.on_mail();
}

StreamPtr UvOutside::connect(const Address& to, const SocketOptions& options, StreamUser& user) {
  return UvStream::connect(state_, to, options, user);
}

StreamPtr UvOutside::attach(ParcelPtr parcel, const SocketOptions& options, StreamUser& user) {
  return UvStream::attach(state_, static_cast<UvParcel&>(*parcel), options, user);
}

Result<std::unique_ptr<Listener>> UvOutside::listen(const Address& on, const ListenOptions& options,
                                                    ListenerUser& user) {
  return listen_on(state_, on, options, user);
}

void UvOutside::resolve(const std::string& host, uint16_t port, Resolved done) {
  jobs_.resolve(host, port, std::move(done));
}

void UvOutside::aside(std::function<void()> work, std::function<void()> done) {
  jobs_.aside(std::move(work), std::move(done));
}

}  // namespace headgate
