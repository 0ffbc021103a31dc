// Where the connections of one thread are encrypted and decrypted, one at a time, and what they
// have in common: so an idle one keeps no more than is its own. Owned by a worker.
#pragma once

#include <array>
#include <functional>
#include <memory>

#include "base/bytes.h"
#include "proxy/tls/facts.h"

struct bio_st;
struct ssl_st;

namespace headgate {

class TlsMemory {
 public:
  TlsMemory();
  TlsMemory(const TlsMemory&) = delete;
  TlsMemory& operator=(const TlsMemory&) = delete;

  /// What a peer said, from the beginning; of use until the next connection is heard.
  Bytes plain;
  /// What is to be sent; of use until the next connection speaks.
  Bytes records;

  /// Has OpenSSL read from and write to this memory when it works on the connection; before each
  /// piece of work, since a connection may have moved here from another thread.
  void work_on(ssl_st* connection);
  /// What a peer has sent and OpenSSL is to read. Lent.
  View unread;
  /// Called, where set, when OpenSSL has said all that the peer waits for, before it works on: keys
  /// are derived while the peer reads.
  std::function<void()> on_flight;

  /// A connection that has not begun is to have one list of own certificates with all others that
  /// were made here under the same context.
  void share_certificates(ssl_st* connection);
  /// Equal facts are kept once: most clients have the same library and no certificate.
  TlsFactsPtr share(TlsFacts facts);

  /// A ticket takes a tenth of a handshake's work, and most drivers never come back with one (libpq
  /// never does). While none of the last `tickets_on_trial` was used, one client in
  /// `clients_per_trial` is given one, so that those that do are noticed.
  static constexpr uint32_t tickets_on_trial = 64, clients_per_trial = 16;
  /// Whether this client, who has been let in, is to have a ticket.
  bool is_worth_a_ticket();
  /// A client came back with a ticket.
  void ticket_used() { clients_since_use_ = 0; }

 private:
  /// As many kinds of peers are recognised; another takes the place of the oldest.
  static constexpr size_t max_known = 8;

  struct Free {
    void operator()(bio_st* bio) const;
    void operator()(ssl_st* connection) const;
  };
  std::unique_ptr<bio_st, Free> bio_;
  std::unique_ptr<ssl_st, Free> model_;  // its list is the shared one; null before the first
  std::array<TlsFactsPtr, max_known> known_;
  size_t oldest_ = 0;
  uint32_t clients_since_use_ = 0;
};

}  // namespace headgate
