// The listening connection of a pool: one server that listens to the channels of all its clients,
// so that theirs can go from client to client. It is borrowed from the pool like any other, counts
// in all limits, and is given back when nobody listens. When it ends, another one takes its place
// and listens to all again before anything else; the clients are told that they may have missed
// something. Lives on one worker, which follows from the pool's number; the clients of each worker
// are cared for by proxy/subscribers.h.
//
// One for each pool, (database, user), not for each database: a user who may not log in any more
// takes nobody else's notifications with him, and what the connection costs counts in the limits of
// those who want it.
//
// What is promised: while the connection lives a client hears what is committed after its LISTEN,
// nothing else, once and in the order of the commits. Why that is so: protocol/client_channels.h.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/deadlines.h"
#include "pool/slots.h"
#include "protocol/shared_channels.h"
#include "proxy/borrower.h"
#include "proxy/subscribers.h"

namespace headgate {

class PoolEntry;
class Server;
class WorkerPool;

class SharedListener final : public Borrower {
 public:
  /// Channels that nobody wants are listened to for so long; so is the connection kept.
  static constexpr Duration unwanted_time = seconds(1);
  /// How long nothing is tried after a failure.
  static constexpr Duration retry_time = seconds(1);
  /// So many servers that end before they have answered are replaced at once.
  static constexpr int most_attempts = 5;
  /// The server answers what it is told within this time.
  static constexpr Duration answer_time = seconds(10);
  /// Above this many bytes on their way to other workers the server is not read.
  static constexpr size_t max_on_its_way = size_t{1024} * 1024;

  explicit SharedListener(WorkerPool& pool);
  ~SharedListener();

  /// The limits of its database and user leave room for others beside those that listen.
  static bool has_room(const PoolEntry& entry);
  /// The worker that the listening connection of a pool is on.
  static WorkerId home(WorkerPool& pool);

  // --- letters
  void want(const std::string& channel, SharedChannels::Asker asker, const std::string& encoding);
  void unwant(const std::string& channel, WorkerId worker);
  void arrived(size_t bytes);

  // --- told by the pool
  void serve(Server& server) override;
  void fail_waiting(const Error& error) override;
  /// The database was paused or resumed, or its servers are to be replaced.
  void pool_changed();
  bool unused() const;
  bool in_queue() const { return waiting(); }
  /// The worker is at its end.
  void drop();

  // --- told by the server
  /// All that it was told has been answered.
  void answered(bool failed);
  /// A NotificationResponse, header included.
  void notified(View message);
  /// What it has said is to be passed on.
  void flush();
  void server_lost();

 private:
  void step();
  void ask_for_server();
  bool take_place();
  void leave_place();
  void give_back();
  void tell(const std::vector<SharedChannels::News>& news);
  void refuse_all();
  void tell_workers(SharedChannels::Workers workers, void (Subscribers::*what)());
  void tidy();
  std::string meet() const;
  void crossed(View payload);

  WorkerPool& pool_;
  SharedChannels channels_;
  Server* server_ = nullptr;  // lent
  bool placed_ = false;       // counted among those of its database and user
  bool busy_ = false;         // an answer is owed
  bool ready_ = false;        // it is set up
  bool meets_ = false;        // it hears who crosses over to it
  bool lost_ = false;         // clients miss something until it is back
  bool tidies_ = false;       // what nobody wants
  int attempts_ = 0;          // since a server has answered
  std::string encoding_;
  std::array<Notifications, max_workers> heard_;
  SharedChannels::Workers heard_by_ = 0;
  size_t on_its_way_ = 0;
  Deadline tidy_, retry_;
};

}  // namespace headgate
