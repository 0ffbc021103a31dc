// BEGIN takes no server (defer_begin): where clients share servers by the transaction, a client
// that opens one is answered here, and its server hears of it in front of the first statement
// (proxy/relay_begin.cc). Many think, compute and call others in between. A transaction that ends
// before that never needs a server.
#include "admin/explain_wait.h"
#include "protocol/lone_begin.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

// An idle client has said this much; the message that it begins with is there. True: it was
// answered, and what stands behind it was dealt with.
bool Client::answer_here(char tag, uint32_t body_size, View rest) {
  const PoolSettings& settings = pool_->settings();
  if (tag != frontend::query || body_size > max_lone_statement + 1 || settings.disable_pqexec ||
      packet_too_large(body_size)) {
    return false;
  }
  const size_t size = header_size + body_size;
  const View behind = rest.substr(size - framer_.held().size());
  const Bytes message = Bytes(framer_.held()).append(rest.substr(0, rest.size() - behind.size()));
  const View body = View(message).substr(header_size);
  if (!body.ends_with('\0')) return false;
  const View sql = body.substr(0, body.size() - 1);
  const LoneStatement statement = lone_statement(sql);
  if (statement == LoneStatement::other || opens_transaction(statement) == is_deferring()) {
    return false;
  }
  // Who has said more already does not think.
  if (!is_deferring() && (!settings.defer_begin || !behind.empty())) return false;
  if (!is_deferring() && is_refused()) return true;
  framer_ = Framer();
  pool_->stats().bytes_received += size;
  is_deferring() ? end_deferred(statement) : defer(statement, sql);
  if (state_ == ClientState::idle && !behind.empty()) while_idle(behind);
  return true;
}

void Client::defer(LoneStatement statement, View sql) {
  deferred_ = std::make_unique<DeferredBegin>(DeferredBegin{std::string(sql), worker_.now()});
  tell_completed(command_of(statement));
  move_to(ClientState::idle);
}

// Nobody sees that no server has had a part in it.
void Client::end_deferred(LoneStatement statement) {
  const bool failed = deferred_->failed;
  deferred_.reset();
  ++pool_->stats().xact_count;
  tell_completed(command_of(failed ? LoneStatement::rollback : statement));
  move_to(ClientState::idle);
  tell_notifications();
}

// As a server would answer a simple query, which drops the unnamed statement, too.
void Client::tell_completed(View command) {
  if (statements_) statements_->set_unnamed({}, nullptr);
  Bytes complete;
  encode(complete, backend::CommandComplete{command});
  link_.send(complete);
  send_ready();
  PoolStats& stats = pool_->stats();
  ++stats.query_count;
  stats.bytes_sent += complete.size() + header_size + 1;
  if (link_.slow()) link_.pause(Link::Pause::not_now);  // it does not read what it is told
}

char Client::status_without_server() const {
  if (!deferred_) return 'I';
  return deferred_->failed ? 'E' : 'T';
}

// As where a statement fails in a transaction; what the client has said behind it is heard next.
void Client::begin_has_failed(bool request_ended) {
  if (channels_) {
    channels_->asked();
    pool_->subscribers().release(*this, channels_->answered({}));
    channels_->forget_unlistens();
  }
  ++pool_->stats().query_count;
  deferred_->failed = true;
  discarding_ = !request_ended;
  if (request_ended) send_ready();
  relay_over();
  go_on();
}

// Idle in a transaction, for whoever looks at it from outside.
std::optional<Instant> Client::deferred_deadline() const {
  std::optional<Instant> first;
  const auto consider = [&](Instant since, Duration limit) {
    if (limit.count() > 0 && (!first || since + limit < *first)) first = since + limit;
  };
  consider(since_, pool_->settings().idle_transaction_timeout);
  consider(deferred_->since, pool_->settings().transaction_timeout);
  return first;
}

Error Client::deferred_overdue() const {
  const Duration limit = pool_->settings().idle_transaction_timeout;
  const bool idles = limit.count() > 0 && since_ + limit <= worker_.now();
  if (idles) return overdue(ErrorCode::idle_transaction_timeout, limit);
  Error error(ErrorCode::transaction_timeout);
  explain(error, explain_overdue(error.code, worker_.now() - deferred_->since,
                                 pool_->settings().transaction_timeout));
  return error;
}

}  // namespace headgate
