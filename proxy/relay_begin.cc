// A BEGIN whose client was answered before there was a server (proxy/client_begin.cc) goes to the
// server in front of what the client says next, in the same write. It opens a batch that the
// client's request is a part of: should BEGIN fail, PostgreSQL skips all up to the next Sync,
// simple queries too, so nothing runs outside of the transaction that its client believes to be in.
// What comes behind that request waits until BEGIN is answered: most often with the request itself.
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

// False: not yet. The client forgets it when it is answered, and not before: if the server proves
// dead, another one gets it.
bool Relay::send_begin() {
  full_ = !room_again();
  if (full_) return false;
  const DeferredBegin& deferred = *client_.deferred_begin();
  begin_request();
  in_transaction_ = true;
  deferred_for_ = client_.request_since() - deferred.since;
  begin_ = Begin::sent;
  Bytes messages;
  const auto say = [&](Asked asked, const auto& message) {
    encode(messages, message);
    server_.exchange().sent(asked, Fate::swallow);
  };
  say(Asked::parse, frontend::Parse{{}, deferred.sql, {}});
  say(Asked::bind, frontend::Bind{});
  say(Asked::execute, frontend::Execute{});
  say(Asked::close, frontend::Close{frontend::Target::portal, {}});
  say(Asked::close, frontend::Close{frontend::Target::statement, {}});
  if (deferred.failed) {
    say(Asked::execute, frontend::Execute{"headgate_none"});
    say(Asked::sync, frontend::Sync{});
  }
  server_.statements().unnamed_was_dropped();
  server_.link().send(messages);
  return true;
}

// The request that shares its batch was sent, or is held, or BEGIN has a batch of its own; or its
// error is on the way, and would swallow what is sent now.
bool Relay::awaits_begin() const {
  const Exchange& exchange = server_.exchange();
  return begin_ == Begin::sent && (!exchange.batch_open() || exchange.skipping() || !held_.empty());
}

// In front of some queries goes a batch of ours, whose end would be the end of the skipping.
bool Relay::waits_for_begin(const SessionMarks& marks) {
  holds_ = begin_ == Begin::sent && (marks.only_prepares || marks.only_deallocates);
  return holds_;
}

void Relay::hold(View message) {
  holds_ = false;
  held_ = message;
  full_ = true;
  flush_begin();
}

// What would have made the server answer is held.
void Relay::flush_begin() {
  if (begin_ != Begin::sent) return;
  Bytes flush;
  encode(flush, frontend::Flush{});
  server_.link().send(flush);
}

// The server has said something.
void Relay::begin_progressed() {
  if (begin_ != Begin::sent || server_.exchange().next_is_swallowed()) return;
  if (!begin_shares_batch() && server_.exchange().status() != TransactionStatus::failed) {
    begin_ = Begin::refused;
    begin_error_.emplace(ErrorCode::begin_failed);
    return;
  }
  begin_ = Begin::none;
  replayable_ = false;
  client_.begin_is_answered();
}

bool Relay::begin_shares_batch() const {
  return begin_ == Begin::sent && !client_.deferred_begin()->failed;
}

// It was struck by a cancel or a time limit, or a server that only reads has no such transactions.
// The error is the answer to the request behind it, which has not run.
void Relay::begin_failed(const ErrorFields& fields, View body) {
  if (!begin_shares_batch()) return;
  begin_ = Begin::refused;
  server_.exchange().swallow_all();
  if (client_.framer().remaining() > 0) {  // nobody knows where that request ends
    begin_error_.emplace(ErrorCode::begin_failed, std::string(fields.message));
    begin_error_->sqlstate_override = fields.sqlstate;
    return;
  }
  const bool is_ours = overdue_error_ && fields.sqlstate == "57014";
  Bytes out(body.data() - header_size, body.size() + header_size);
  if (is_ours) {
    out.clear();
    encode_error_with_detail(out, body, overdue_error_->detail);
  }
  tell(out);
}

bool Relay::request_ended() const {
  return held_.empty() ? request_ended_ : held_[0] == frontend::query;
}

// The client goes on in a transaction that has failed, without this server.
void Server::refuse_begin() {
  if (relay_->begin_error()) return part(Error(*relay_->begin_error()));
  Client& client = relay_->client();
  const bool ended = relay_->request_ended();
  client.unlinked();
  client_left(Leaving::vanished);
  client.begin_has_failed(ended);
}

}  // namespace headgate
