// One worker's clients of one pool that listen to channels, where clients share servers. It asks
// the pool's listening connection (proxy/shared_listener.h), which may be on another worker, to
// listen to what their own servers listen to for them, has them cross over when it does
// (protocol/client_channels.h), and takes what is notified to those who hear it. Everything to and
// from that connection travels by letter, in order. Owned by its WorkerPool.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/deadlines.h"
#include "protocol/client_channels.h"

namespace headgate {

class Client;
class WorkerPool;

/// What travels to each worker together.
using Notifications = std::vector<NotificationPtr>;

class Subscribers {
 public:
  /// The shared connection has so long to tell what a client crosses over with.
  static constexpr Duration crossing_time = seconds(10);
  /// What was refused is asked for again after that.
  static constexpr Duration retry_time = seconds(5);

  explicit Subscribers(WorkerPool& pool);

  /// A client without a server begins with a text that may LISTEN to these. False: it is to wait
  /// for its channels_ready(). True, which may be at once: those that can be reserved for it are
  /// reserved.
  bool prepare(Client& client, const ChannelNames& channels);
  /// A text that may LISTEN to these is about to be sent to its server: so is what can be at once,
  /// and takes its place among all that it hears.
  void reserve(Client& client, const ChannelNames& channels);
  bool awaits(const Client& client) const { return awaited_.contains(&client); }
  /// It does not wait any longer.
  void give_up(Client& client);
  /// Its own server listens to these. True: all are reserved for it, it can cross over. False: it
  /// is to be asked again when channels_ready() tells.
  bool take_over(Client& client, const ChannelNames& channels);
  /// Nobody could find out what its server listens to: that is asked once more, later.
  void ask_later(Client& client);
  /// The number to cross over with; nothing: it hears all of these already. Tells the client
  /// nothing, so that it cannot end by this.
  std::optional<uint64_t> begin_crossing(Client& client, const ChannelNames& channels);
  /// These are of no use to it any more.
  void release(Client& client, const ChannelNames& channels);
  /// It leaves.
  void forget(Client& client);
  /// Clients are not to share the listening connection any more: those that do are closed.
  void end_sharing();
  /// What it has of that client encoding is what the listening connection says.
  bool same_encoding(const Client& client) const;
  /// The notice in place of a notification on this channel in another encoding.
  static NotificationPtr unreadable(const std::string& channel);

  // --- letters of the listening connection
  /// In answer to the wish with this number.
  void told(const std::string& channel, uint64_t number, bool listening);
  void hear(const Notifications& notifications);
  /// The connection has ended; until it is back nothing is heard.
  void interrupted();
  /// It is back: those who have missed something are told.
  void restored();

 private:
  struct Channel {
    uint64_t number = 0;
    bool listening = false;
    std::vector<Client*> clients;  // for which it is reserved
    std::vector<Client*> waiting;
  };
  struct Crosser {
    Client* client;
    Instant until;
  };
  /// First come, first told; not as their memory happens to lie.
  struct ByArrival {
    bool operator()(const Client* one, const Client* other) const;
  };
  using Clients = std::set<Client*, ByArrival>;
  bool may_share() const;
  bool can_share(const Client& client) const;
  bool is_ours(const std::string& channel) const;
  void await(Client& client, const std::string& name);
  void retry_later();
  void tend();
  void retry();
  void cross(const NotificationPtr& crossing);
  void end_crossing(uint64_t number, ClientChannels::Uncrossed why);
  void drop_if_unused(const std::string& name);
  Clients listeners() const;

  WorkerPool& pool_;
  std::map<std::string, Channel, std::less<>> channels_;
  std::map<const Client*, size_t> awaited_;            // so many channels
  std::map<Client*, ChannelNames, ByArrival> pinned_;  // their servers listen to these; may end
  std::map<uint64_t, Crosser> crossers_;               // by their numbers
  Clients missing_;                                    // listened when the connection ended
  uint64_t wishes_ = 0;
  std::optional<Instant> retry_at_;
  Deadline deadline_;
  std::string encoding_;  // of the clients that share it
};

}  // namespace headgate
