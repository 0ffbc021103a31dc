// Requests that are known to read. One that a replica refuses, or that a conflict with what it
// replays ends, runs on the primary instead, unseen: so the first words of a replica are kept until
// it has said something that an error cannot follow without being the truth for the client. Each
// such request, or transaction, is sent for by itself: what the client says behind it is heard when
// it is over, since that may have to go elsewhere.
#include <algorithm>
#include <span>

#include "protocol/backend.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

/// The errors of a replica that its primary has no part in (PostgreSQL documentation, "Hot
/// Standby"), or that may come of its being behind. By SQLSTATE, or by class.
constexpr View for_primary[] = {
    "25006",                    // it would have to write
    "0A000",                    // SERIALIZABLE, temporary and unlogged tables
    "55000",                    // a function that wants a primary
    "40001", "40P01", "57P04",  // a conflict with what is replayed
    "57P01", "57P02",           // it is being stopped
    "42",                       // a table or function that is not there yet
    "53",    "58",    "XX",     // its machine's, or its data's
};
/// Those that tell of more to come.
constexpr View faults[] = {"57P01", "57P02", "53", "58", "XX"};
constexpr View duplicate_statement = "42P05";

bool is_one_of(std::span<const View> states, View sqlstate) {
  return std::ranges::any_of(states, [&](View state) { return sqlstate.starts_with(state); });
}

}  // namespace

// Of one statement what comes in front of its rows; of several all that is no error.
bool Relay::is_withheld(char tag) const {
  switch (tag) {
    case backend::parse_complete:
    case backend::bind_complete:
    case backend::row_description:
    case backend::parameter_description:
    case backend::no_data:
    case backend::notice_response:
      return true;
    case backend::data_row:
    case backend::command_complete:
    case backend::empty_query_response:
      return withholds_all_;
    default:
      return false;
  }
}

void Relay::withhold(View message) {
  tell_parse_due();
  server_.withheld().append(message);
  if (server_.withheld().size() > max_withheld) told();
}

// From here on what it says is the answer.
void Relay::release() {
  withholds_ = false;
  Bytes& withheld = server_.withheld();
  if (withheld.empty()) return;
  server_.pool().stats().bytes_sent += withheld.size();
  client_.link().send(withheld);
  withheld.clear();
}

/// True: the client is not told this error, the primary is asked.
bool Relay::is_for_primary(const ErrorFields& fields) {
  if (!may_go_elsewhere() || in_transaction_) return false;
  if (fields.sqlstate == duplicate_statement || fields.routine == "RevalidateCachedQuery") {
    return false;
  }
  if (!is_one_of(for_primary, fields.sqlstate)) return false;
  goes_elsewhere_ = true;
  if (is_one_of(faults, fields.sqlstate)) server_.pool().host_faulted();
  server_.exchange().swallow_all();
  const bool would_write = fields.sqlstate == "25006" || fields.sqlstate == "0A000";
  if (would_write) client_.read_was_refused();
  return true;
}

// What a client says behind a transaction finds its own way: its server goes back first, unless it
// is pinned. Behind what is for a replica that holds from the start, else from the answer on:
// nobody is slowed down who says much at once to the primary.
bool Relay::one_at_a_time() const {
  const Exchange& exchange = server_.exchange();
  if (!settings().sends_to_replicas() || !request_ended_ || exchange.batch_open()) return false;
  if (!held_.empty()) return false;  // it says nothing until it is sent

  const bool answered = exchange.over() || exchange.next_is_swallowed();
  if (!answered) return alone_ && !exchange.copying_in();
  const ServerSession& session = server_.session();
  const bool pinned = session.pins().any() && !session.must_ask() && !session.asking();
  return exchange.status() == TransactionStatus::idle && !pinned;
}

// A role may not be there yet that its client has taken, say.
void Server::give_up_read() {
  Client& client = relay_->client();
  const Unanswered unanswered = relay_->unanswered();
  statements_.take_back_all(client.statements());
  relay_.reset();
  client.unlinked();
  close("var change failed");
  client.serve_on_primary(unanswered);
}

void Server::serve_on_primary() {
  Client& client = relay_->client();
  const Unanswered unanswered = relay_->unanswered();
  client.unlinked();
  client_left(Leaving::orderly);
  client.serve_on_primary(unanswered);
}

}  // namespace headgate
