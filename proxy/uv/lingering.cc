#include "proxy/uv/lingering.h"

#include <sys/socket.h>

#include <cerrno>

namespace headgate {

void Lingering::start(LoopState& state, Descriptor connection, Buffer queue) {
  auto* lingering = new Lingering(state, std::move(connection), std::move(queue));
  // Nothing is read here: the loop's buffer may hold bytes that are lent to our caller.
  if (!lingering->flush() ||
      uv_poll_init(&state.loop, &lingering->poll_, lingering->descriptor_.number()) != 0) {
    delete lingering;
    return;
  }
  uv_timer_init(&state.loop, &lingering->timer_);
  lingering->poll_.data = lingering->timer_.data = lingering;
  uv_timer_start(
      &lingering->timer_, [](uv_timer_t* timer) { static_cast<Lingering*>(timer->data)->close(); },
      longest_ms, 0);
  state.lingering.push_back(*lingering);
  lingering->watch();
}

void Lingering::watch() {
  int events = (input_over_ ? 0 : UV_READABLE) | (queue_.empty() ? 0 : UV_WRITABLE);
  if (events == watched_) return;
  watched_ = events;
  uv_poll_start(&poll_, events, [](uv_poll_t* handle, int status, int ready) {
    static_cast<Lingering*>(handle->data)->on_poll(status, ready);
  });
}

void Lingering::on_poll(int status, int events) {
  bool alive = status == 0;
  if (alive && (events & UV_WRITABLE) != 0) alive = flush();
  if (alive && (events & UV_READABLE) != 0) alive = swallow();
  if (!alive || (input_over_ && queue_.empty())) return close();
  watch();
}

// False: the peer is gone.
bool Lingering::flush() {
  if (!queue_.empty()) {
    View waiting = queue_.view();
    ssize_t sent = send(descriptor_.number(), waiting.data(), waiting.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
    if (sent > 0) queue_.consume(static_cast<size_t>(sent));
  }
  if (queue_.empty()) shutdown(descriptor_.number(), SHUT_WR);
  return true;
}

// False: the peer is gone, or says too much.
bool Lingering::swallow() {
  char* buffer = loop_.read_buffer.get();
  ssize_t got = recv(descriptor_.number(), buffer, LoopState::read_buffer_bytes, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  input_over_ = got == 0;
  swallowed_bytes_ += static_cast<size_t>(got);
  return swallowed_bytes_ < most_input_bytes;
}

void Lingering::hurry() {
  flush();
  swallow();
  close();
}

void Lingering::close() {
  loop_.lingering.remove(*this);
  auto released = [](uv_handle_t* handle) { static_cast<Lingering*>(handle->data)->release(); };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), released);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), released);
  descriptor_ = {};
}

void Lingering::release() {
  if (--open_handles_ == 0) delete this;
}

}  // namespace headgate
