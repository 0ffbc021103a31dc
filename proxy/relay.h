// The link of one client and one server: it exists exactly as long as they are linked, and is the
// one place that knows both. Messages pass; headers are looked at; the exchange is kept; the times
// are taken. It lives inside the server (no heap for a transaction) and never destroys anybody: the
// sessions read its verdict after each step and act.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"
#include "protocol/error_fields.h"
#include "protocol/exchange.h"
#include "protocol/framer.h"

namespace headgate {

class Client;
class Server;
struct PoolSettings;

class Relay {
 public:
  /// The most answers that a server may owe a client; more requests wait unread.
  static constexpr size_t max_owed = 4096;
  /// Messages up to this size reach a server whole or not at all.
  static constexpr uint32_t max_whole = 48 * 1024;
  /// Requests up to this size can be sent again to another server when the first turns out dead.
  static constexpr size_t max_replay = 16 * 1024;

  Relay(Client& client, Server& server, Instant now);

  /// Whether a client may say this at all once it is logged in.
  static bool is_request(char tag);

  Client& client() { return client_; }

  /// What the client has said; returns how much of it was taken. Less than all: a reason to stop is
  /// in one of the questions below.
  size_t from_client(View in);
  bool client_said_goodbye() const { return goodbye_; }
  const std::optional<Error>& client_error() const { return client_error_; }
  /// Too many answers are owed, or a cancel is under way that could strike the next request: the
  /// client is not heard until room_again().
  bool full() const { return full_; }
  bool room_again() const;

  // --- told by the server, which reads its messages
  /// Answers of the server have come.
  void answered() { untouched_ = false; }
  void query_ended(TransactionStatus status);
  /// An ErrorResponse for the client: true if it was re-written (57014 of a timeout of ours).
  bool rewrite_error(View body);
  void fatal_passed() { fatal_passed_ = true; }

  /// The exchange is over and the mode gives the server back now.
  bool complete() const;
  /// The server ended. True: it provably did nothing with the request, which can be sent again;
  /// replay() holds it.
  bool untouched() const;
  View replay() const;
  bool fatal_was_passed() const { return fatal_passed_; }

  /// Time is up for something: what to do about it.
  enum class Overdue : uint8_t { nothing, cancel, close };
  Overdue overdue(Instant now);
  const std::optional<Error>& overdue_error() const { return overdue_error_; }
  std::optional<Instant> deadline() const;

 private:
  struct Input;

  const PoolSettings& settings() const;  // of now: a reload replaces them
  void asked(char tag);
  void keep_for_replay(View bytes);

  Client& client_;
  Server& server_;
  Instant transaction_since_;
  std::optional<Instant> query_since_;  // something is running since
  std::optional<Instant> idle_since_;   // idle in transaction since
  std::optional<Instant> grace_until_;  // a cancel of ours is to have worked by then
  std::optional<Error> client_error_, overdue_error_;
  uint64_t written_before_ = 0;
  bool untouched_ = true;
  bool goodbye_ = false;
  bool full_ = false;
  bool fatal_passed_ = false;
  bool in_transaction_ = false;
};

}  // namespace headgate
