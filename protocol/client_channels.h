// What one client listens to where clients share servers: its LISTENs take place on whatever server
// it has, and one connection hears what is notified for all clients of a pool
// (protocol/shared_channels.h). How the client goes over from the one to the other:
//
// PostgreSQL has one queue of notifications, in the order of the commits, and each session is told
// in that order. The client's own server tells of a channel from the commit of its LISTEN on, the
// shared connection from some earlier time. Once the latter listens to all the channels, the own
// server notifies a number on a channel that both listen to: a crossing. Ahead of that number the
// own server alone decides what the client hears, and the shared connection only at which place
// among other channels; behind it the shared connection does. So nothing is lost, twice, out of
// order, or older than the LISTEN, however late either of them tells, and UNLISTEN may follow.
//
// No I/O: names and messages go in, what is to be told comes out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// A message for clients, as it goes to them. The clients of a worker share it.
struct Notification {
  std::string channel;  // empty: for whoever listens to anything, as a notice that some are lost
  Bytes message;
  uint64_t crossing = 0;  // no message: the shared connection has got to this number
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
  /// The shared connection listens to it.
  void reserve(const std::string& channel) { channels_.try_emplace(channel); }
  bool reserved(View channel) const { return channels_.contains(channel); }
  ChannelNames all() const;
  /// It listens to something by the shared connection, or may do so soon.
  bool listens() const;

  // --- what the client says. Those that are returned are of no use to it any more.
  /// A LISTEN to these was sent, in a request behind so many that are not answered. Only the
  /// reserved ones count.
  void listen_sent(const ChannelNames& names, size_t requests_ahead);
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
  /// That is what it listens to.
  ChannelNames answered(const ChannelNames& on_server);
  void question_failed();
  /// It goes on listening for the client.
  void stay();
  /// Something of this channel was notified there.
  enum class Word : uint8_t { tell, keep, drop };
  Word of_own_server(View channel) const;
  void keep_own(NotificationPtr notification);

  // --- the crossing
  /// The server is about to notify this number, for these channels that it listens to, all of them
  /// reserved. False: there is nothing to cross with, the client hears them already.
  bool begin_crossing(const ChannelNames& on_server, uint64_t number);
  /// The server has told it.
  void own_has_crossed(uint64_t number);
  /// The shared connection has: its notification comes in its place among the others.
  void has_crossed(const NotificationPtr& crossing);
  /// It will not, because it was interrupted; or has not for long: what it has told may be all that
  /// there is.
  enum class Uncrossed : uint8_t { interrupted, overdue };
  void will_not_cross(uint64_t number, Uncrossed why);

  // --- what is notified
  enum class Hears : uint8_t { no, yes, perhaps };
  Hears hears(View channel) const;
  /// False: too much is kept already.
  bool keep(NotificationPtr notification);
  bool too_much() const { return kept_bytes_ > max_kept; }
  /// The next one that the client is to be told now; null: there is none, or it is not certain yet
  /// whether it listens.
  NotificationPtr next();
  bool keeps_any() const { return !kept_.empty(); }

 private:
  enum class Source : uint8_t {
    none,      // not listened to; or it is the own server's alone
    own,       // the own server's alone, which is told in its place among others
    window,    // LISTEN was sent, or has succeeded: both are kept
    crossing,  // the same, and the own server notifies the number
    crossed,   // what the own server tells comes behind that number
    shared,    // the shared connection's
  };
  struct Channel {
    Source source = Source::none;
    bool sent = false, asked = false;  // a LISTEN, whose fate is not known
    bool unlistened = false;           // in its transaction; it may be behind that
    size_t requests_ahead = 0;         // of the LISTEN
    uint64_t number = 0;               // of the crossing
    std::optional<Uncrossed> alone;    // the own server crosses without the shared connection
    bool crosses(uint64_t with) const { return number == with && awaits_crossing(); }
    bool awaits_crossing() const { return source == Source::crossing || source == Source::crossed; }
    bool active() const {
      return sent || asked || (source != Source::none && source != Source::own);
    }
  };
  /// What of one request, or of one transaction that has begun, is to be heard no more.
  struct Unlisten {
    size_t requests_ahead = 0;
    bool all = false;
    bool unsure = false;  // an error was told before its time had come
    ChannelNames names;
  };
  struct Kept {
    NotificationPtr what;
    bool sure = false;  // the own server has told it as well
  };
  void unlisten(const Unlisten& one, ChannelNames& useless);
  ChannelNames take_useless(const ChannelNames& names);
  Channel* find(View name);
  const Channel* find(View name) const;
  void lose(Channel& channel, View name, Source then);
  bool any_crosses(uint64_t number) const;
  void cross_if_both(uint64_t number);
  void cross(uint64_t number, size_t end, bool believes_shared);
  std::deque<NotificationPtr> take_own(uint64_t number);
  Hears hears(const Kept& kept) const;

  std::map<std::string, Channel, std::less<>> channels_;
  std::vector<Unlisten> unlistens_;  // as they were sent
  std::deque<Kept> kept_;            // what the shared connection has told
  std::deque<NotificationPtr> own_;  // what the own server has
  size_t kept_bytes_ = 0;
};

}  // namespace headgate
