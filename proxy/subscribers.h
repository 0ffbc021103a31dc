// One worker's clients of one pool that listen to channels, where clients share servers. It asks
// the pool's listening connection (proxy/shared_listener.h), which may be on another worker, to
// listen to a channel before the LISTEN of a client is sent, and takes what is notified to those
// who hear it. Everything to and from that connection travels by letter, in order. Owned by its
// WorkerPool.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "protocol/client_channels.h"

namespace headgate {

class Client;
class WorkerPool;

/// What travels to each worker together.
using Notifications = std::vector<NotificationPtr>;

class Subscribers {
 public:
  explicit Subscribers(WorkerPool& pool) : pool_(pool) {}

  /// A text that may LISTEN to these is about to be sent. False: the client is to wait for its
  /// channels_ready(). True, which may be at once: those that can be reserved for it are reserved.
  /// The others pin it to the server that listens for it.
  bool prepare(Client& client, const ChannelNames& channels);
  bool awaits(const Client& client) const { return awaited_.contains(&client); }
  /// It does not wait any longer.
  void give_up(Client& client);
  /// These are of no use to it any more.
  void release(Client& client, const ChannelNames& channels);
  /// It leaves.
  void forget(Client& client);
  /// Clients are not to share the listening connection any more: those that do are closed.
  void end_sharing();
  /// What it has of that client encoding is what the listening connection says.
  bool same_encoding(const Client& client) const;
  /// The notice in place of a notification in another encoding.
  static const NotificationPtr& unreadable();

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
  bool can_share(const Client& client) const;
  void await(Client& client, const std::string& name);
  void drop_if_unused(const std::string& name);
  std::vector<Client*> listeners() const;

  WorkerPool& pool_;
  std::map<std::string, Channel, std::less<>> channels_;
  std::map<const Client*, size_t> awaited_;  // so many channels
  std::set<Client*> missing_;                // listened when the connection ended
  uint64_t wishes_ = 0;
  std::string encoding_;  // of the clients that share it
};

}  // namespace headgate
