#include "proxy/link.h"

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
  if (stream_) stream_->write(slices);
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

void Link::close(bool linger) {
  if (!stream_) return;
  worker_->outbox().flush(*this);
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

}  // namespace headgate
