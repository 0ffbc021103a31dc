// A cancel request for a client that is not being served: it waits for a server, or has nothing to
// cancel.
#include "protocol/messages.h"
#include "proxy/admin_session.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

void Client::cancel_requested(Requester requester) {
  if (state_ == ClientState::admin) {
    admin_->cancel_requested();
    return worker_.pooler().tell_requester(requester, "cancel request for console client");
  }
  if (state_ == ClientState::active && server_->exchange().owed() > 0) {
    if (Relay* relay = server_->relay()) relay->cancel_requested();
    return server_->cancel(requester);
  }
  if (state_ == ClientState::waiting) answer_canceled();
  worker_.pooler().tell_requester(requester, "cancel request for idle client");
}

// As the server would have answered: the error, and ReadyForQuery, now for a simple query and after
// the client's Sync for a batch. A Sync alone has nothing to cancel: what follows it is meant.
void Client::answer_canceled(const std::string& detail) {
  leave_queue("cancelled");
  move_to(ClientState::idle);
  while (first_said() == frontend::sync) {
    send_ready();
    drop_first_message();
  }
  const char first = first_said();
  if (first != '\0') {
    Bytes out;
    Error error(ErrorCode::query_canceled);
    error.detail = detail;
    encode_error(out, error);
    link_.send(out);
    if (deferred_) deferred_->failed = true;
    discarding_ = first != frontend::query && first != frontend::function_call;
    if (!discarding_) {
      send_ready();
      drop_first_message();
    }
  }
  if (state_ != ClientState::idle) return;
  link_.resume(Link::Pause::queue_full);  // of a large request the rest is still to come
  take_pending();
}

// The tag of the message that waits first; zero while its header is not there.
char Client::first_said() const {
  const View held = framer_.held();
  if (state_ != ClientState::idle || held.size() + pending_.size() < header_size) return '\0';
  return held.empty() ? pending_.view()[0] : held[0];
}

// The request that was cancelled is dropped; what follows it is heard as usual.
void Client::drop_first_message() {
  struct DropOne {
    bool dropped = false;
    Treat on_header(char, uint32_t) {
      return std::exchange(dropped, true) ? Treat::stop : Treat::drop;
    }
    void on_pass(View, bool) {}
    bool on_message(char, View, bool) { return true; }
  } input;
  Buffer said;
  std::swap(said, pending_);
  link_.resume(Link::Pause::queue_full);  // its end may still be to come
  const size_t taken = framer_.feed(said.view(), input);
  if (framer_.broken()) return fail(Error(ErrorCode::bad_packet));
  pending_.append(said.view().substr(taken));
}

}  // namespace headgate
