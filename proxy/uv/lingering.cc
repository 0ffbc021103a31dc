#include "proxy/uv/lingering.h"

#include <sys/socket.h>

#include <cerrno>

namespace headgate {

void Lingering::start(LoopState& state, Descriptor connection, Buffer queue) {
  auto* lingering = new Lingering(state, std::move(connection), std::move(queue));
  // Nothing is read here: the loop's buffer may hold bytes that are lent to our caller.
  const bool alive = lingering->flush();
  const uint32_t wanted = lingering->wanted_events();
  const int descriptor = lingering->descriptor_.number();
  if (!alive || state.poller.watch(descriptor, wanted, *lingering) != 0) {
    delete lingering;
    return;
  }
  lingering->watched_ = wanted;
  uv_timer_init(&state.loop, &lingering->timer_);
  lingering->timer_.data = lingering;
  uv_timer_start(
      &lingering->timer_, [](uv_timer_t* timer) { static_cast<Lingering*>(timer->data)->close(); },
      longest_ms, 0);
  state.lingering.push_back(*lingering);
}

uint32_t Lingering::wanted_events() const {
  return (input_over_ ? 0U : EPOLLIN) | (queue_.empty() ? 0U : EPOLLOUT);
}

void Lingering::on_events(uint32_t events) {
  bool alive = (events & EPOLLERR) == 0;
  if (alive && (events & (EPOLLOUT | EPOLLHUP)) != 0) alive = flush();
  if (alive && (events & (EPOLLIN | EPOLLHUP)) != 0) alive = swallow();
  const uint32_t wanted = wanted_events();
  if (!alive || wanted == 0) return close();
  if (wanted != watched_) loop_.poller.change(descriptor_.number(), wanted, *this);
  watched_ = wanted;
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
  loop_.poller.forget(descriptor_.number(), *this);
  descriptor_ = {};
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_),
           [](uv_handle_t* handle) { delete static_cast<Lingering*>(handle->data); });
}

}  // namespace headgate
