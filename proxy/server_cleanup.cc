// How a server comes clean: what its client left behind is cancelled, failed, rolled back and
// reset, and every answer to that is swallowed, before anybody else gets it.
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "protocol/session_sql.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

// A client that has vanished has its query cancelled. One that said goodbye behind its last request
// wants it carried out, as a server of its own would do.
void Server::client_left(Leaving how) {
  if (owner_) return owner_left();
  MUST(relay_);
  const uint32_t missing = relay_->client().framer().remaining();
  if (audit()) audit_->lease_over(relay_->client());
  relay_.reset();
  statements_.forget_client();
  must_reset_ = session_.client_left() || settings_given_;
  values_failed_ = values_may_fail_ = settings_given_ = false;
  task_ = Task::cleanup;
  link_.resume(Link::Pause::receiver_slow);
  exchange_.swallow_all();
  if (missing > 0 && !complete_copy_data(missing)) {
    cut_off_ = true;
    return close("client disconnect while server was not ready");
  }
  if (exchange_.batch_open() && !exchange_.copying_in()) abort_batch();
  if (how == Leaving::orderly) {
    const Duration limit = pool_->settings().query_timeout;
    arm(limit.count() > 0 ? std::optional(worker_->now() + limit) : std::nullopt);
    cleanup_until_ = worker_->now() + limit + cleanup_time;
  } else {
    cleanup_until_ = worker_->now() + cleanup_time;
    arm(cleanup_until_);
    if (exchange_.owed() > 0) cancel(Requester{});
  }
  advance();
}

// A Sync alone would commit what the client never said the last word on: an error comes first.
void Server::abort_batch() {
  Bytes message;
  encode(message, frontend::Execute{"headgate_none", 0});
  exchange_.sent(Asked::execute, Fate::swallow);
  link_.send(message);
  send_sync();
}

// A CopyData that the client has sent in part is filled up: the COPY fails anyway. Any other
// message cannot be completed in the client's place.
bool Server::complete_copy_data(uint32_t missing) {
  if (!exchange_.copying_in() || missing > max_gather) return false;
  link_.send(Bytes(missing, '\n'));
  return true;
}

// A COPY has failed and its rows are still on their way: the server will read and drop them, but
// until then it can be sent to no other worker.
void Server::await_drained() {
  if (deadline_->armed()) return;
  cleanup_until_ = worker_->now() + cleanup_time;
  arm(cleanup_until_);
}

void Server::roll_back() {
  cleanup_until_ = worker_->now() + cleanup_time;
  arm(cleanup_until_);
  inject("ROLLBACK");
}

// The client of a COPY has gone: fail it, and end its batch if it is one.
void Server::fail_copy() {
  copy_failed_ = true;
  const bool batch = exchange_.batch_open();
  Bytes message;
  encode(message, frontend::CopyFail{"client disconnected"});
  exchange_.sent(Asked::copy_end, Fate::swallow);
  link_.send(message);
  if (batch) send_sync();
}

void Server::send_sync() {
  Bytes message;
  encode(message, frontend::Sync{});
  exchange_.sent(Asked::sync, Fate::swallow);
  link_.send(message);
}

// Close of a statement that nobody has, and Sync: its answer shows where the server stands.
void Server::settle_doubt() {
  Bytes message;
  encode(message, frontend::Close{frontend::Target::statement, "headgate_none"});
  exchange_.sent(Asked::close, Fate::swallow);
  link_.send(message);
  send_sync();
}

// A cancel ends one query of a pipeline, or may have come between two: once more, until time is up.
void Server::cleanup_overdue() {
  if (worker_->now() >= cleanup_until_) {
    return close("client disconnect while server was not ready");
  }
  if (exchange_.owed() > 0 && cancels_.empty()) cancel(Requester{});
  arm(cleanup_until_);
}

void Server::after_lease() {
  copy_failed_ = false;
  arm(std::nullopt);
  if (dirty_) return close("idle server got dirty");
  const PoolSettings& settings = pool_->settings();
  if (!settings.tracks_sessions()) nobody_has_looked();
  const bool must_reset = std::exchange(must_reset_, false);
  if (must_reset && session_.cannot_be_reset()) return close("session cannot be reset");
  const bool reset = settings.mode == PoolMode::session || settings.reset_always;
  const Instant now = worker_->now();
  if ((must_reset || (reset && !settings.reset_query.empty())) && !close_needed()) {
    pool_->share().start_test(*this, now);
    task_ = Task::reset;
    arm(now + cleanup_time);
    if (must_reset) return discard_all();
    session_.nothing_is_known();  // what it says resets what it wants
    return inject(settings.reset_query);
  }
  if (must_audit() && !close_needed()) {
    pool_->share().start_test(*this, now);
    return look();
  }
  task_ = Task::idle;
  pool_->settle_returned(*this, pool_->share().give_back(*this, now));
}

// What a client has left unseen is known to be there: the next one has it discarded.
bool Server::must_audit() const {
  const bool tainted = session_.must_be_discarded_for(ServerSession::nobody);
  return audit_ && audit_->due() && !tainted;
}

void Server::look() {
  task_ = Task::audit;
  arm(worker_->now() + cleanup_time);
  inject(audit_->question());
}

// The client before has left a limit that has struck the look. Where sessions are tracked it goes:
// whoever is next has his own set. Elsewhere it stays, and the look alone is taken again.
void Server::look_in_time() {
  if (pool_->settings().tracks_sessions()) {
    inject(no_time_limit_sql());
    session_.touch("statement_timeout");
  }
  look();
}

void Server::reset_and_look() {
  task_ = Task::reset;
  arm(worker_->now() + cleanup_time);
  discard_all();
}

// What was said in session mode, or with session_state = pgbouncer, counts when a reload changes
// that.
void Server::nobody_has_looked() {
  session_.nothing_is_known();
  session_.taint(ServerSession::nobody);
}

// As if nobody had been here.
void Server::discard_all() {
  if (!session_.undeferred().empty()) inject("SET default_transaction_deferrable=off");
  inject("DISCARD ALL");
  if (const auto& sql = pool_->settings().entry.connect_query) inject(*sql);
}

void Server::test_over() {
  if (dirty_) return close("idle server got dirty");
  // An audit tells of its failures itself.
  const bool failed = injected_failed_ && (task_ != Task::audit || audit_->has_ended());
  if (failed || !exchange_.clean()) {
    return close(task_ == Task::reset ? "reset query failed" : "test query failed");
  }
  if (task_ == Task::reset && must_audit()) return look();
  if (task_ == Task::audit) {
    if (audit_->looks_again()) return look_in_time();
    if (audit_->over()) return reset_and_look();
  }
  arm(std::nullopt);
  task_ = Task::idle;
  settle(pool_->share().tested(*this, worker_->now()));
}

void Server::start_check() {
  task_ = Task::check;
  arm(worker_->now() + cleanup_time);
  inject(pool_->settings().check_query);
}

}  // namespace headgate
