// How the clients of a worker leave when the process is to end: each at a boundary of its
// transactions, a few at a time. Of the worker, on its thread.
#pragma once

#include <optional>

#include "base/deadlines.h"
#include "base/error.h"
#include "proxy/leave_pace.h"

namespace headgate {

class Client;
class Worker;

/// Clients that have still to leave; consoles and log-ins are not among them.
struct ClientsLeft {
  size_t clients = 0;
  size_t busy = 0;  // in a transaction, or something is to be answered
};

class Departures {
 public:
  explicit Departures(Worker& worker);

  /// From now on clients are closed at their boundaries, all that are at one within this time.
  void drain(Duration over);
  bool under_way() const { return pace_.has_value(); }
  /// The client may have come to a boundary. True: it has gone.
  bool offer(Client& client);
  ClientsLeft left();
  /// Closes whoever is left, in whatever state.
  void close_clients(const Error& error);
  /// The same of consoles and of those that log in.
  void close_others(const Error& error);

 private:
  void sweep();

  Worker& worker_;
  Deadline sweep_;
  std::optional<LeavePace> pace_;
  size_t gone_ = 0;
};

}  // namespace headgate
