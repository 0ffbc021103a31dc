// What one client listens to where clients share servers: its LISTENs take place on whatever server
// it has, which tells when the transaction is over what has become of them; what is notified is
// heard by one connection for all clients of a pool (protocol/shared_channels.h), and kept here
// until the client may be told. A channel is reserved for the client, which means that the shared
// connection listens to it, before its LISTEN is sent: so nothing is lost in between.
//
// No I/O: names and messages go in, what is to be told comes out.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// A message for clients, as it goes to them. The clients of a worker share it.
struct Notification {
  std::string channel;  // empty: for whoever listens to anything, as a notice that some are lost
  Bytes message;
};
using NotificationPtr = std::shared_ptr<const Notification>;
using ChannelNames = std::vector<std::string>;

class ClientChannels {
 public:
  /// The most channels that a client listens to without a server of its own.
  static constexpr size_t max_channels = 100;
  /// What waits for a client to read it, or to end its transaction.
  static constexpr size_t max_kept = size_t{1024} * 1024;

  // --- which channels
  bool full() const { return channels_.size() >= max_channels; }
  void reserve(const std::string& channel) { channels_.try_emplace(channel); }
  bool reserved(View channel) const { return channels_.contains(channel); }
  ChannelNames all() const;
  /// It listens to something, or may do so soon.
  bool listens() const;

  // --- what the client says. Those that are returned are of no use to it any more.
  /// A LISTEN to these was sent, of which only the reserved ones count.
  void listen_sent(const ChannelNames& names);
  /// An UNLISTEN was sent, of these or of all, in a request behind so many that are not answered.
  void unlisten_sent(const ChannelNames& names, bool all, size_t requests_ahead);
  bool unlistens() const { return !unlistens_.empty(); }
  /// An error, or a ROLLBACK, was told: nobody knows what it has taken back of what the server has
  /// got to, and there the client goes on listening.
  void doubt();
  /// A request is answered. With the transaction, if none is open any more, its UNLISTENs are over.
  ChannelNames request_ended(bool transaction_over);
  /// All is answered.
  ChannelNames settle();
  /// Nothing has come of what was sent; it may be sent again.
  void forget_unlistens() { unlistens_.clear(); }
  /// DISCARD ALL was carried out.
  ChannelNames discarded();

  // --- what its server says
  /// The server is asked what it listens to now. What is sent from here on is not in its answer.
  void asked();
  /// That is what the client has gained. True: all of it was reserved, the server need not listen.
  bool answered(const ChannelNames& on_server, ChannelNames& useless);
  void question_failed();

  // --- what is notified
  enum class Hears : uint8_t { no, yes, perhaps };
  Hears hears(View channel) const;
  /// False: too much is kept already.
  bool keep(NotificationPtr notification);
  /// The next one that the client is to be told now; null: there is none, or it is not certain yet
  /// whether it listens.
  NotificationPtr next();
  bool keeps_any() const { return !kept_.empty(); }

 private:
  struct Channel {
    bool sent = false, asked = false;  // a LISTEN, whose fate is not known
    bool heard = false;
    bool active() const { return sent || asked || heard; }
  };
  /// What of one request, or of one transaction that has begun, is to be heard no more.
  struct Unlisten {
    size_t requests_ahead = 0;
    bool all = false;
    bool unsure = false;  // an error was told before its time had come
    ChannelNames names;
  };
  void unlisten(const Unlisten& one, ChannelNames& useless);
  ChannelNames take_useless(const ChannelNames& names);

  std::map<std::string, Channel, std::less<>> channels_;
  std::vector<Unlisten> unlistens_;  // as they were sent
  std::deque<NotificationPtr> kept_;
  size_t kept_bytes_ = 0;
};

}  // namespace headgate
