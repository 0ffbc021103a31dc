// One end of a conversation: the plain bytes of a client or a server, and whether the other side is
// keeping up. Owned by the session that talks over it. Encrypts and decrypts, between the stream
// and the session, from call_tls() or answer_tls() on. It never looks into the bytes.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "proxy/io.h"
#include "proxy/tls/session.h"

namespace headgate {

class Outbox;
class Worker;

/// The session behind a link. After each of these calls the link flushes the worker's outbox.
class LinkUser {
 public:
  virtual void on_link_connected() {}
  /// What call_tls() or answer_tls() began has come to its end: tls() tells what is known.
  virtual void on_link_secured() {}
  /// It has failed, and the peer knows; the last call.
  virtual void on_link_unsafe(const std::string& /*why*/) {}
  /// Lent until the call returns.
  virtual void on_link_bytes(View bytes) = 0;
  /// All that was sent has left: the receiver keeps up again.
  virtual void on_link_drained() = 0;
  /// The peer has gone (error 0) or the connection failed; the last call.
  virtual void on_link_end(int error) = 0;

 protected:
  ~LinkUser() = default;
};

class Link final : private StreamUser {
 public:
  /// Above this many bytes that a peer has not taken, whoever feeds it is to stop reading.
  static constexpr size_t high_water = 128 * 1024;
  /// More answers of TLS itself (to a KeyUpdate) than these are not kept for a peer that reads
  /// none.
  static constexpr size_t max_unread_answers = 8 * high_water;
  /// Why reading is paused: it goes on when no reason is left.
  enum class Pause : uint8_t { receiver_slow = 1, queue_full = 2, not_now = 4, suspended = 8 };

  Link(Worker& worker, LinkUser& user) : worker_(&worker), user_(user) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { close(false); }

  void connect(const Address& to, const SocketOptions& options);
  void attach(ParcelPtr parcel, const SocketOptions& options);
  /// Lets the stream go, for another worker to attach; the link is empty then.
  ParcelPtr detach();
  /// The session has moved: what follows happens on this worker.
  void rehome(Worker& worker) { worker_ = &worker; }

  /// Encrypts from here on: what was sent before leaves in clear, and nothing can be sent until
  /// on_link_secured().
  void call_tls(std::unique_ptr<TlsSession> session);
  /// The same towards a client. `heard` is what it has sent of its handshake already; if that is a
  /// failure, it is told from within this call, so let it be the last thing that is done.
  void answer_tls(TlsContextPtr context, View heard = {});

  /// The client has been welcomed by what was sent last.
  void let_in();

  /// Queues bytes for the end of this event; lent ones must live until then.
  void lend(View bytes);
  void send(View bytes);
  /// For the outbox alone.
  void write(std::span<const View> slices);

  void pause(Pause reason);
  void resume(Pause reason);
  /// The peer's system has taken all that was sent.
  bool all_sent();
  bool paused(Pause reason) const { return (paused_ & static_cast<uint8_t>(reason)) != 0; }
  bool slow() const { return stream_ && stream_->queued() > high_water; }

  /// Null while nothing is encrypted.
  const TlsFacts* tls() const { return tls_ ? tls_->facts() : nullptr; }
  /// The same with how it came about; null before the first of that.
  const TlsSession* tls_session() const { return tls_.get(); }
  bool open() const { return stream_ != nullptr; }
  Stream& stream() { return *stream_; }
  const Stream& stream() const { return *stream_; }
  /// Says that no more will be written.
  void finish_writing();
  void close(bool linger);

 private:
  void on_connected() override;
  void on_bytes(View bytes) override;
  void on_drained() override;
  void on_end(int error) override;
  void decrypt(View bytes);
  void write_encrypted(std::span<const View> slices);
  void say_goodbye();
  void send_records();

  Worker* worker_;
  LinkUser& user_;
  StreamPtr stream_;
  std::unique_ptr<TlsSession> tls_;
  uint8_t paused_ = 0;
  bool finishing_ = false;  // no more will be written
};

}  // namespace headgate
