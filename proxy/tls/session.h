// One encrypted connection, as arithmetic between memory: what the peer sent goes in, what it said
// and what is to be sent to it come out, in the memory of the thread. The bytes that wait for their
// records' rest are all that it keeps; an idle one owns no buffer. Owned by its Link; touched by
// one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "proxy/tls/context.h"
#include "proxy/tls/facts.h"
#include "proxy/tls/memory.h"

struct ssl_st;

namespace headgate {

class TlsSession {
 public:
  /// The plaintext of one record.
  static constexpr size_t record_size = 16384;
  /// What a peer may send until its handshake is through: certificates take most of it.
  static constexpr size_t max_handshake = 160 * 1024;

  /// Answers a client, in this memory until the handshake is through.
  static std::unique_ptr<TlsSession> accept(TlsContextPtr context, TlsMemory& memory);
  /// Calls a server by this name or address, which its certificate has to carry in verify-full.
  static std::unique_ptr<TlsSession> connect(TlsContextPtr context, std::string host);
  /// Another session with the same server by the same rules.
  std::unique_ptr<TlsSession> again() const { return connect(context_, *host_); }
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// The first flight of a handshake, where it is ours to begin.
  void begin(TlsMemory& memory);

  /// What came of the peer's bytes.
  struct Heard {
    size_t plain = 0;      // so many bytes of `plain` are what it said
    bool opened = false;   // the handshake is through
    bool goodbye = false;  // it will say no more
    bool failed = false;   // see error(); nothing more can be said or heard
  };
  /// `in` is taken to its end; `plain` grows to the room it needs, and holds what the peer said
  /// from its beginning. What must be sent in answer is appended to `records`.
  Heard receive(View in, TlsMemory& memory);

  /// Appends the slices as records, as few as can be. Only when open; false: see error().
  bool send(std::span<const View> slices, TlsMemory& memory);
  /// The client has been let in: what is said to it behind the next send() may have a session
  /// ticket in front. (TLS 1.3; in TLS 1.2 it came with the handshake.)
  void let_in(TlsMemory& memory);
  /// Appends the end of what we say (close_notify).
  void say_goodbye(TlsMemory& memory);

  bool open() const { return facts_ != nullptr && !failed(); }
  bool failed() const { return error_ != nullptr; }
  bool answers() const { return host_ == nullptr; }
  /// Null until the handshake is through.
  const TlsFacts* facts() const { return facts_.get(); }
  /// Why it failed, for the log.
  View error() const { return failed() ? View(*error_) : View(); }

 private:
  explicit TlsSession(TlsContextPtr context);
  void work_in(TlsMemory& memory);
  bool shake_hands(TlsMemory& memory);
  void learn_facts(TlsMemory& memory);
  bool put(View piece);
  void fail(int result);
  void fail(std::string why);

  TlsContextPtr context_;
  std::unique_ptr<const std::string> host_;  // null towards clients
  struct Free {
    void operator()(ssl_st* handle) const;
  };
  std::unique_ptr<ssl_st, Free> ssl_;
  TlsFactsPtr facts_;
  std::unique_ptr<const std::string> error_;
  size_t handshake_bytes_ = 0;
  uint8_t sends_until_ticket_ = 0;  // 0: it owes none
};

}  // namespace headgate
