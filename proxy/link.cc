#include "proxy/link.h"

#include <cerrno>

#include "proxy/outbox.h"
#include "proxy/worker.h"

namespace headgate {

void Link::connect(const Address& to, const SocketOptions& options) {
  stream_ = worker_->outside().connect(to, options, *this);
}

void Link::attach(ParcelPtr parcel, const SocketOptions& options) {
  stream_ = worker_->outside().attach(std::move(parcel), options, *this);
  if (worker_->suspended()) pause(Pause::suspended);  // it was on its way here
}

ParcelPtr Link::detach() {
  worker_->outbox().flush(*this);
  ParcelPtr parcel = stream_->detach();
  stream_.reset();
  paused_ = 0;
  return parcel;
}

void Link::lend(View bytes) {
  if (stream_) worker_->outbox().lend(*this, bytes);
}

void Link::send(View bytes) {
  if (stream_) worker_->outbox().copy(*this, bytes);
}

bool Link::all_sent() {
  if (!stream_) return true;
  worker_->outbox().flush(*this);
  return stream_->queued() == 0;
}

void Link::write(std::span<const View> slices) {
  if (!stream_) return;
  if (tls_) return write_encrypted(slices);
  stream_->write(slices);
}

void Link::pause(Pause reason) {
  if (paused_ == 0 && stream_) stream_->read(false);
  paused_ |= static_cast<uint8_t>(reason);
}

void Link::resume(Pause reason) {
  if (paused_ == 0) return;
  paused_ &= static_cast<uint8_t>(~static_cast<uint8_t>(reason));
  if (paused_ == 0 && stream_) stream_->read(true);
}

void Link::finish_writing() {
  worker_->outbox().flush(*this);
  if (tls_) say_goodbye();
  finishing_ = true;
  stream_->finish_writing();
}

void Link::close(bool linger) {
  if (!stream_) return;
  worker_->outbox().flush(*this);
  if (tls_) say_goodbye();
  if (linger) {
    close_lingering(std::move(stream_));
  } else {
    stream_.reset();
  }
}

// The user may close this link in any of these calls, bury its session, or send it to another
// worker, which may begin with it at once: nothing of this object is touched afterwards. (Memory of
// the buried lives until the end of the turn.)
void Link::on_connected() {
  Worker& worker = *worker_;
  worker.begin_event();
  user_.on_link_connected();
  worker.outbox().flush();
}

void Link::on_bytes(View bytes) {
  if (tls_) return decrypt(bytes);
  Worker& worker = *worker_;
  worker.begin_event();
  user_.on_link_bytes(bytes);
  worker.outbox().flush();
}

void Link::on_drained() {
  Worker& worker = *worker_;
  worker.begin_event();
  user_.on_link_drained();
  worker.outbox().flush();
}

void Link::on_end(int error) {
  Worker& worker = *worker_;
  worker.begin_event();
  user_.on_link_end(error);
  worker.outbox().flush();
}

// --- encrypted

void Link::call_tls(std::unique_ptr<TlsSession> session) {
  if (!stream_) return;
  worker_->outbox().flush(*this);
  tls_ = std::move(session);
  tls_->begin(worker_->tls_memory());
  send_records();
}

// The client goes on while its session is made.
void Link::answer_tls(TlsContextPtr context, View heard) {
  if (!stream_) return;
  worker_->outbox().flush(*this);
  tls_ = TlsSession::accept(std::move(context), worker_->tls_memory());
  if (!heard.empty()) decrypt(heard);
}

void Link::let_in() {
  if (tls_) tls_->let_in(worker_->tls_memory());
}

// What was said together with something that breaks the session is dropped with it.
void Link::decrypt(View bytes) {
  Worker& worker = *worker_;
  worker.begin_event();
  TlsMemory& memory = worker.tls_memory();
  const bool was_open = tls_->facts() != nullptr;
  if (!was_open) memory.on_flight = [this] { send_records(); };
  const TlsSession::Heard heard = tls_->receive(bytes, memory);
  memory.on_flight = nullptr;
  const bool answered = !memory.records.empty();
  send_records();
  // Only a peer that has us answer and does not read the answers gets here.
  const bool flooded = answered && stream_->queued() > max_unread_answers;
  if (!was_open && heard.failed) {
    user_.on_link_unsafe(std::string(tls_->error()));
  } else if (heard.failed || flooded) {
    user_.on_link_end(EPROTO);
  } else {
    if (heard.opened) user_.on_link_secured();
    if (!stream_) return;
    if (heard.plain > 0) {
      user_.on_link_bytes(View(memory.plain).substr(0, heard.plain));
    } else if (heard.goodbye && tls_->answers()) {  // a server's end follows, and proves more
      user_.on_link_end(0);
    }
  }
  worker.outbox().flush();
}

void Link::write_encrypted(std::span<const View> slices) {
  if (!tls_->open()) return;
  tls_->send(slices, worker_->tls_memory());
  send_records();
}

void Link::say_goodbye() {
  tls_->say_goodbye(worker_->tls_memory());
  send_records();
}

void Link::send_records() {
  Bytes& records = worker_->tls_memory().records;
  if (records.empty()) return;
  const View all = records;
  if (!finishing_) stream_->write({&all, 1});
  records.clear();
}

}  // namespace headgate
