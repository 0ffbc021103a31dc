// What the one listening connection of a pool has to listen to for the clients of all workers: who
// wants which channel, what to say to the server about it, and what its answer means. One statement
// of ours is on its way at a time. No I/O: names go in, SQL comes out.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

class SharedChannels {
 public:
  /// The most channels of a pool: clients that want more keep their servers.
  static constexpr size_t max_channels = 10'000;
  /// So many are asked for by one query.
  static constexpr size_t max_at_once = 100;
  /// So many that nobody wants any more are still listened to, until unlisten() is due.
  static constexpr size_t max_unwanted = 100;

  using Workers = uint64_t;  // a bit for each

  /// A worker has clients that want this channel. The number tells what is an answer to this, and
  /// what to an earlier wish of the same worker.
  struct Asker {
    unsigned worker;
    uint64_t number;
    bool operator==(const Asker&) const = default;
  };
  enum class Wanted : uint8_t { listening, coming, refused };
  Wanted want(const std::string& channel, Asker asker);
  /// It has none any more.
  void unwant(const std::string& channel, unsigned worker);
  Workers wanted_by(View channel) const;
  /// Everybody who wants something.
  Workers wanted() const;
  bool any_wanted() const { return wanted_ > 0; }
  size_t unwanted() const { return unwanted_; }

  /// The query to be sent next; empty: there is nothing to be said. `tidies`: also that what nobody
  /// wants is not listened to any more.
  std::string next(bool tidies);
  /// What came of it: each name, and whether the server listens to it now.
  struct News {
    std::string channel;
    std::vector<Asker> askers;
    bool listening;
  };
  /// `failed`: it was refused. Several at once are tried again one by one.
  std::vector<News> answered(bool failed);
  /// A channel that the server has listened to before was refused: it is not what it was.
  bool forgets() const { return forgets_; }
  /// No server can be had: those that were never listened to are not wanted any more.
  std::vector<News> refuse();
  /// The connection has ended: the next one is to listen to everything again.
  void lost();

 private:
  enum class State : uint8_t { unheard, asked, heard, leaving };
  struct Channel {
    Workers workers = 0;
    std::vector<Asker> askers;  // the same
    State state = State::unheard;
    bool was_heard = false;
    bool alone = false;  // several at once were refused
  };
  std::string listen();
  std::string unlisten();
  void drop(const std::string& channel);

  std::map<std::string, Channel, std::less<>> channels_;
  std::deque<std::string> to_listen_;  // some may not be wanted any more
  std::vector<std::string> said_;      // the names of the query that is on its way
  size_t wanted_ = 0;
  size_t unwanted_ = 0;  // heard, and wanted by nobody
  bool forgets_ = false;
};

/// What the own server of a client notifies when that crosses over to the listening connection of
/// its pool (protocol/client_channels.h). All of one process share the channel for that.
struct Crossing {
  uint32_t pool;
  unsigned worker;
  uint64_t number;
  std::string payload() const;
  static std::optional<Crossing> read(View payload);
};

/// A channel's name as SQL: "news".
std::string quote_channel(View name);

}  // namespace headgate
