// Cancelling: the keys by which clients are found, and the connection that carries a cancel request
// to a server. A server with a Canceller under way is not lent to anybody, so that a cancel can
// never hit another's query: PostgreSQL closes the cancel connection after it has sent its signal.
#pragma once

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/deadlines.h"
#include "pool/slots.h"
#include "proxy/herd.h"
#include "proxy/hold.h"
#include "proxy/link.h"
#include "proxy/pool_settings.h"
#include "proxy/registry.h"

namespace headgate {

class Client;
class Server;
class Worker;

/// Who has which cancel key: from any thread.
class CancelKeys {
 public:
  struct Owner {
    WorkerId worker;
    Client* client;  // to be used on that worker's thread only, after finding the key again there
  };
  /// False where the key is taken.
  bool add(uint64_t key, Owner owner);
  void remove(uint64_t key);
  std::optional<Owner> find(uint64_t key) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<uint64_t, Owner> keys_;
};

/// The connection that brought a cancel request, and is closed when it has been dealt with.
struct Requester {
  WorkerId worker = 0;
  uint64_t client = 0;  // its id there; 0: nobody, the cancel is our own
};

/// One cancel request on its way to a server. Owned by the server's worker.
class Canceller final : public LinkUser, public HerdMember {
 public:
  Canceller(Worker& worker, Server& server, Requester requester);
  ~Canceller() = default;

  void start(Duration patience);
  /// Somebody else asks for the very same: one request does for all.
  void also_for(Requester requester) { requesters_.push_back(requester); }
  uint64_t ready_count() const { return ready_count_; }
  /// Its server's; the worker may have let go of its share by now.
  const PoolEntry& pool() const { return *pool_; }
  const PoolSettings& settings() const { return *settings_; }
  const Link& link() const { return link_; }
  uint64_t id() const { return id_; }
  const std::vector<Requester>& requesters() const { return requesters_; }
  bool sent() const { return sent_; }
  /// The server has said something; perhaps that was the end of what the cancel must not strike.
  void server_has_answered();
  /// The server has gone: there is nothing left to cancel.
  void forget_server() { server_ = nullptr; }

 private:
  void on_link_connected() override;
  void on_link_secured() override { send(); }
  void on_link_unsafe(const std::string&) override { on_link_end(EPROTO); }
  void on_link_bytes(View bytes) override;
  void on_link_drained() override {}
  void on_link_end(int error) override;
  void send();
  void finish(const char* how);

  Worker& worker_;
  Server* server_;
  const Hold<PoolEntry> pool_;
  const PoolSettingsPtr settings_;
  const uint64_t id_;
  std::vector<Requester> requesters_;
  const uint64_t ready_count_;  // the query it is meant for
  Link link_;
  std::unique_ptr<TlsSession> tls_;  // asked for; the same way as the server's own connection
  Deadline deadline_;
  bool waits_ = false;  // to be sent, until the server comes to its client's query
  bool sent_ = false;
  bool done_ = false;  // the server has said that it is done
  bool finished_ = false;
};

}  // namespace headgate
