// How the clients of a worker leave when the process is to end: those that another process takes
// over as soon as they are at rest, the others closed at a boundary of their transactions, a few at
// a time. Of the worker, on its thread.
#pragma once

#include <optional>

#include "base/deadlines.h"
#include "base/error.h"
#include "proxy/leave_pace.h"

namespace headgate {

class Client;
class Worker;

/// Clients that have still to leave; consoles are not among them.
struct ClientsLeft {
  size_t clients = 0;
  size_t busy = 0;  // in a transaction, or something is to be answered
  size_t logging_in = 0;
};

class Departures {
 public:
  explicit Departures(Worker& worker);

  /// From now on clients are closed at their boundaries, all that are at one within this time.
  void drain(Duration over);
  /// From now on those that can move are handed to the other process.
  void hand_over();
  /// There is no other process any more.
  void keep() { hands_over_ = false; }
  bool under_way() const { return pace_ || hands_over_; }
  /// The client may have come to a boundary, and nothing that it has said is being dealt with.
  /// True: it has gone.
  bool offer(Client& client);
  ClientsLeft left();
  /// Closes whoever is left, in whatever state.
  void close_clients(const Error& error);
  /// The same of consoles and of those that log in.
  void close_others(const Error& error);

 private:
  void sweep();
  bool move(Client& client);
  void release_servers();

  Worker& worker_;
  Deadline sweep_;
  std::optional<LeavePace> pace_;
  size_t gone_ = 0;
  bool hands_over_ = false;
};

}  // namespace headgate
