// One run of auth_query: borrows a server from the pool of auth_user, asks it for the secret of a
// user who wants to log in, and gives it back. Nothing that the client said reaches the server but
// the user's name, as a bound parameter; no parameter of the session is set for it. The answer is
// bounded, for the server may be hostile. Owned by the log-in.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "auth/secret.h"
#include "base/result.h"
#include "protocol/error_fields.h"
#include "proxy/borrower.h"

namespace headgate {

class Worker;
class WorkerPool;

class AuthQuery final : public Borrower {
 public:
  /// A server that ends before it has said a word is replaced so often.
  static constexpr int most_attempts = 3;

  /// What the query has found. The name is the query's: it may be another than asked for.
  struct Found {
    std::string user;
    Secret secret;  // of kind none where the query gives NULL
  };
  /// A failure is an error in the words for the client.
  using Done = std::function<void(Result<Found>)>;

  AuthQuery(WorkerPool& pool, std::string query, std::string user, Done done);
  ~AuthQuery();

  /// `done` is called later, unless this fails at once.
  std::optional<Error> start();
  /// Nobody wants the answer any more: the server is brought back to a clean state.
  void abandon();
  /// The same without a word to anybody; the worker is at its end.
  void drop();

  // --- told by the pool
  void serve(Server& server) override;
  void fail_waiting(const Error& error) override;

  // --- told by the server
  /// The messages to send.
  Bytes request() const;
  /// Whether this message is to be gathered; a large one ends the look-up.
  bool wants(char tag, uint32_t body_size);
  void message(char tag, View body);
  void failed(const ErrorFields& error);
  /// Why the server must not be used any more; empty: it may.
  const std::string& complaint() const { return complaint_; }
  /// Everything is answered and the server has been given back.
  void over();
  /// The server is being closed.
  void server_lost();

 private:
  void describe(View body);
  void row(View body);
  void complain(std::string reason);
  Error unavailable(const Error& reason) const;
  void finish(Result<Found> result);
  Worker& worker() const;

  WorkerPool& pool_;
  const std::string query_, user_;
  Done done_;
  Server* server_ = nullptr;  // lent
  std::optional<Found> found_;
  std::string complaint_;
  bool failed_ = false;
  bool heard_ = false;  // the server has said something
  int attempts_ = 0;
  Instant since_{};
};

}  // namespace headgate
