// Somebody to whom a pool lends servers: a client, or a look-up of a secret (auth_query). All wait
// in one queue, under the same limits.
#pragma once

#include "base/error.h"
#include "pool/pool.h"

namespace headgate {

class Server;

class Borrower : public Waiter {
 public:
  /// A server was lent, after a wait.
  virtual void serve(Server& server) = 0;
  /// No server can be had: it leaves the queue.
  virtual void fail_waiting(const Error& error) = 0;
  /// The pool is of a host that is not to be read any more: it waits elsewhere from now on.
  virtual void lender_is_out() {}
  /// The pool knows its welcome now.
  virtual void welcome_known() {}

 protected:
  ~Borrower() = default;
};

}  // namespace headgate
