// The poolers that share an address with this one ([peers]). A cancel request may reach any of
// them; its key says whom it is for, and it is passed on there. Each peer gets at most its
// pool_size connections at once, further requests wait, bounded in number and by
// cancel_wait_timeout.
//
// Lives on worker 0 and is used by its thread alone.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "admin/snapshot.h"
#include "base/deadlines.h"
#include "conf/settings.h"
#include "protocol/cancel_key.h"
#include "proxy/cancel.h"
#include "proxy/herd.h"
#include "proxy/link.h"

namespace headgate {

class Pooler;
class PeerPool;
struct LogSubject;

/// One request on its way to a peer.
class PeerCancel final : public LinkUser, public HerdMember {
 public:
  PeerCancel(PeerPool& pool, CancelKey key, Requester requester);
  void start(const PeerEntry& peer);
  bool connected() const { return connected_; }
  void finish(const char* outcome);

 private:
  void connect(const Result<std::vector<Address>>& addresses);
  void on_link_connected() override;
  void on_link_bytes(View) override {}
  void on_link_drained() override {}
  void on_link_end(int error) override;
  LogSubject log_subject() const;

  PeerPool& pool_;
  const CancelKey key_;
  const Requester requester_;
  const Instant started_;
  Link link_;
  Deadline deadline_;
  Address address_;
  bool connected_ = false;
  bool finished_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for answers that come too late
};

/// The connections to one peer.
class PeerPool {
 public:
  /// Anybody may send requests: more than so many do not wait.
  static constexpr size_t most_waiting = 1024;

  PeerPool(Pooler& pooler, const PeerEntry& peer);

  Pooler& pooler() { return pooler_; }
  int id() const { return peer_.id; }
  void set_peer(const PeerEntry& peer) { peer_ = peer; }
  void pass_on(CancelKey key, Requester requester);
  /// A request has come to its end; its memory goes with the next letter.
  void bury(PeerCancel& request);
  void forget_dead() { dead_.clear(); }
  /// Ends all that is under way.
  void end_all(const char* outcome);
  PeerStats stats() const;

 private:
  struct Waiting {
    CancelKey key;
    Requester requester;
    Instant until;
  };

  size_t size() const;
  void start(CancelKey key, Requester requester);
  void start_waiting();
  void expire();
  void rearm();

  Pooler& pooler_;
  PeerEntry peer_;
  Herd<PeerCancel> requests_;
  std::vector<std::unique_ptr<PeerCancel>> dead_;
  std::deque<Waiting> waiting_;
  Deadline first_expires_;
};

class Peers {
 public:
  explicit Peers(Pooler& pooler) : pooler_(pooler) {}

  /// Sends a request to the peer that its key names, or tells the requester why not.
  void pass_on(CancelKey key, Requester requester);
  /// A new configuration is in force: what is under way to removed peers ends.
  void change_config(const Config& config);
  void forget_dead();
  /// Drops everything; the loop has ended.
  void close_everything() { pools_.clear(); }

  /// One for each peer that was used; in the order of their ids.
  /// Of those that are in the configuration.
  std::vector<PeerStats> stats() const;

 private:
  Pooler& pooler_;
  std::map<int, std::unique_ptr<PeerPool>> pools_;
};

}  // namespace headgate
