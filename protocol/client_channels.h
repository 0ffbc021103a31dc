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
  /// An UNLISTEN was sent: of these, or of all.
  void unlisten_sent(const ChannelNames& names, bool all);
  bool unlistens() const { return unlistens_all_ || !unlistens_.empty(); }
  /// An error, or a ROLLBACK, was told since: nobody knows what it has taken back.
  void doubt() { in_doubt_ = true; }
  /// The transaction is over and nothing more was sent: an UNLISTEN has taken place, or it is in
  /// doubt, and then the client goes on listening.
  ChannelNames settle();
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
  ChannelNames take_useless(const ChannelNames& names);

  std::map<std::string, Channel, std::less<>> channels_;
  ChannelNames unlistens_;
  bool unlistens_all_ = false;
  bool in_doubt_ = false;
  std::deque<NotificationPtr> kept_;
  size_t kept_bytes_ = 0;
};

}  // namespace headgate
