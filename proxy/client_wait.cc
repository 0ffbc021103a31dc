// A client that waits: how long it may, what it is told meanwhile, and what when it was too long.
#include <fmt/format.h>

#include "admin/explain_wait.h"
#include "protocol/error_fields.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/log.h"
#include "proxy/log_subject.h"
#include "proxy/pooler.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// The workers are asked who holds the servers so long before a client is to be told; sooner would
// be older news, later might be too late for the answers.
constexpr Duration survey_lead = milliseconds(500);

}  // namespace

std::optional<Instant> Client::wait_deadline() const {
  std::optional<Instant> first;
  const auto consider = [&](Duration limit) {
    if (limit.count() > 0 && (!first || request_since_ + limit < *first)) {
      first = request_since_ + limit;
    }
  };
  consider(timeouts_.query_wait);
  if (state_ == ClientState::login_waiting) {
    consider(worker_.config().settings.client_login_timeout);
  } else {
    consider(pool_->settings().query_timeout);
    if (!notified_) consider(worker_.config().settings.query_wait_notify);
  }
  if (first && !surveyed_) *first -= std::min(survey_lead, (*first - request_since_) / 2);
  return first;
}

bool Client::waited_for(Duration limit) const {
  return limit.count() > 0 && request_since_ + limit <= worker_.now();
}

void Client::waited_long() {
  if (waited_for(timeouts_.query_wait)) return fail_wait(ErrorCode::query_wait_timeout);
  const Settings& settings = worker_.config().settings;
  if (state_ == ClientState::login_waiting) {
    if (waited_for(settings.client_login_timeout)) {
      return fail_wait(ErrorCode::client_login_timeout_server_down);
    }
  } else if (waited_for(pool_->settings().query_timeout)) {
    return fail_wait(ErrorCode::query_timeout_waiting);
  } else if (!notified_ && waited_for(settings.query_wait_notify)) {
    notify_of_wait();
    return rearm();
  }
  surveyed_ = true;
  lender_->survey();
  rearm();
}

void Client::notify_of_wait() {
  notified_ = true;
  surveyed_ = false;  // it may wait for long after this
  const auto [detail, hint] = explain_own_wait();
  Bytes notice;
  encode_notice(notice, lender_->why_clients_wait(), detail, hint);
  link_.send(notice);
}

Explanation Client::explain_own_wait() {
  const Duration waited = worker_.now() - request_since_;
  if (waits_for() == WaitsFor::listener) return explain_listener_wait(pool_->need(), waited);
  return explain_wait(lender_->need_of_all(), name(), waited);
}

void Client::fail_wait(ErrorCode code) { fail_wait(Error(code)); }

// The log has the reason as well, once for all clients of the pool that have the same.
void Client::fail_wait(Error error) {
  explain(error, explain_own_wait());
  const bool logs = worker_.config().settings.log_pooler_errors &&
                    lender_->entry().uses.claim_line(worker_.now());
  if (logs) log(LogLevel::warning, log_subject(), "why: {}", field("reason", error.detail));
  fail(error);
}

void Client::fail_waiting(const Error& error) {
  if (state_ != ClientState::waiting && state_ != ClientState::login_waiting) return;
  // Nobody who holds a server is to blame for the end of the process.
  error.code == ErrorCode::server_shutting_down ? fail(error) : fail_wait(error);
}

void Client::leave_queue(std::string_view reason) {
  if (waiting()) {
    lender_->share().withdraw(*this, worker_.now());
    lender_ = pool_;  // a reader's pool may be let go before this is asked of again
  } else {
    pool_->subscribers().give_up(*this);
  }
  count_wait(reason);
}

// --- what it was too slow with itself

Error Client::overdue(ErrorCode timeout, Duration limit) const {
  Error error(timeout);
  explain(error, explain_overdue(timeout, worker_.now() - since_, limit));
  return error;
}

Error Client::login_overdue() const {
  Error error =
      overdue(ErrorCode::client_login_timeout, worker_.config().settings.client_login_timeout);
  error.hint = fmt::format("Headgate has waited for {}.", login_->awaits());
  return error;
}

// --- for SHOW WAITS

WaitsFor Client::waits_for() const {
  switch (state_) {
    case ClientState::login_waiting:
      if (replication_ != Replication::none) return WaitsFor::own_server;
      return pool_->settings().link_at_login ? WaitsFor::server : WaitsFor::welcome;
    case ClientState::waiting:
      return waiting() ? WaitsFor::server : WaitsFor::listener;
    default:
      return WaitsFor::nothing;
  }
}

}  // namespace headgate
