#include "proxy/cancel.h"

#include "protocol/startup.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

bool CancelKeys::add(uint64_t key, Owner owner) {
  const std::lock_guard lock(mutex_);
  return keys_.emplace(key, owner).second;
}

void CancelKeys::remove(uint64_t key) {
  const std::lock_guard lock(mutex_);
  keys_.erase(key);
}

std::optional<CancelKeys::Owner> CancelKeys::find(uint64_t key) const {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(key);
  if (found == keys_.end()) return std::nullopt;
  return found->second;
}

Canceller::Canceller(Worker& worker, Server& server, Requester requester)
    : worker_(worker),
      server_(&server),
      pool_(server.pool().held()),
      settings_(server.pool().shared_settings()),
      id_(worker.pooler().next_id()),
      requesters_{requester},
      ready_count_(server.ready_count()),
      link_(worker, *this),
      deadline_(
          worker.deadlines(),
          [](void* self, Instant) { static_cast<Canceller*>(self)->finish("cancel_wait_timeout"); },
          this) {}

void Canceller::start(Duration patience) {
  if (patience.count() > 0) deadline_.arm(worker_.now() + patience);
  if (const TlsSession* tls = server_->link().tls_session()) tls_ = tls->again();
  link_.connect(server_->address(), settings_->socket);
}

void Canceller::on_link_connected() {
  if (!tls_) return send();
  Bytes request;
  encode_ssl_request(request);
  link_.send(request);
}

// A server that had TLS and has none now is another, or there is somebody in between: no key in
// clear.
void Canceller::on_link_bytes(View bytes) {
  if (!tls_) return;
  if (bytes != "S") return finish("failed cancel request");
  link_.call_tls(std::move(tls_));
}

void Canceller::send() {
  // What Headgate itself asks of the server stands in front of its client's query: a cancel would
  // strike that instead, and the query would run without the settings of its client, say.
  waits_ = server_ && server_->answers_headgate();
  if (waits_) return;
  // The query may have ended while this connection was made; then there is nothing to cancel.
  if (!server_ || server_->ready_count() != ready_count_ || server_->exchange().owed() == 0) {
    return finish("not sending cancel request for client that is now idle");
  }
  Bytes packet;
  encode_cancel_request(packet, server_->process(), server_->secret());
  link_.send(packet);
  sent_ = true;
}

void Canceller::server_has_answered() {
  if (waits_) send();
}

// PostgreSQL closes the connection when the signal has been sent.
void Canceller::on_link_end(int error) {
  if (error == 0 && sent_) done_ = true;
  finish(done_ ? "successfully sent cancel request" : "failed cancel request");
}

void Canceller::finish(const char* how) {
  if (finished_) return;
  finished_ = true;
  waits_ = false;
  // Sent, but nobody knows when it strikes: whoever had this server next could be hit.
  if (server_ && sent_ && !done_) server_->set_close_needed();
  deadline_.disarm();
  link_.close(false);
  for (const Requester& requester : requesters_) worker_.pooler().tell_requester(requester, how);
  log(LogLevel::debug, "cancel request: {}", how);
  worker_.bury(*this);
  if (server_) server_->cancel_done(*this);
}

}  // namespace headgate
