// A client that goes to another process (online restart): what of it is told there, and how it
// comes to life again. Its bytes are in its socket all the time.
#include "protocol/handover.h"
#include "protocol/session_marks.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

SessionMarksPtr marks_of_parse(View parse) {
  auto marks =
      std::make_shared<const SessionMarks>(session_marks(parse.substr(0, parse.find('\0'))));
  return marks->any() || marks->opaque ? marks : nullptr;
}

}  // namespace

// TLS is known to this process's OpenSSL alone. What is notified for a client that listens would be
// lost in between.
bool Client::can_move() const {
  if (state_ != ClientState::idle || !between_transactions()) return false;
  const bool listens = channels_ && (channels_->listens() || channels_->keeps_any());
  return !listens && link_.open() && !link_.tls_session() && !knows_server_ &&
         replication_ == Replication::none;
}

handover::ClientRecord Client::record() const {
  handover::ClientRecord record;
  const PoolEntry& entry = pool_->entry();
  record.database = entry.database.name;
  record.user = user();
  if (!pool_->settings().entry.user) record.server_user = entry.user.name;
  record.cancel_key = cancel_key_.bits;
  record.age_us = (worker_.now() - connected_).count();
  record.idle_us = (worker_.now() - since_).count();
  record.connect_wall_us = connect_wall_;
  record.has_written = wrote_ != Instant::min();
  const TrackedNames& names = worker_.pooler().tracked();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto parameter = static_cast<Tracked>(i);
    const Text& value = values_.get(parameter);
    if (value) record.parameters.emplace_back(names.name(parameter), *value);
  }
  record.session = session_.saved();
  if (statements_) {
    statements_->for_each([&](View name, const Statement& statement) {
      record.statements.push_back({std::string(name), Bytes(statement.text()), statement.copy()});
    });
    record.unnamed = statements_->unnamed();
    if (const StatementPtr& shared = statements_->unnamed_shared()) {
      record.unnamed_shared.emplace(
          handover::ClientRecord::Statement{{}, Bytes(shared->text()), shared->copy()});
    }
  }
  if (const auto keys = entry.keys()) {
    record.keys.emplace(
        handover::ClientRecord::Keys{keys->client_key, keys->server_key, keys->verifier});
  }
  if (const auto secret = entry.secret()) record.secret = secret->text();
  return record;
}

ParcelPtr Client::move_out() {
  if (worker_.config().settings.log_disconnections) {
    const auto age = std::chrono::duration_cast<seconds>(worker_.now() - connected_);
    log(LogLevel::log, log_subject(), "closing because: {} (age={}s)",
        field("reason", "moved to another process"), field("age_s", age.count()));
  }
  pool_->client_forgotten(*this);
  state_ = ClientState::closed;
  deadline_.disarm();
  ParcelPtr connection = link_.detach();
  give_back_permits();
  worker_.bury(*this);
  return connection;
}

// Nothing is asked of it again: it is in, whatever the limits say by now.
void Client::move_in(handover::ClientRecord record, ParcelPtr connection) {
  state_ = ClientState::idle;
  connected_ = worker_.now() - Duration(record.age_us);
  since_ = worker_.now() - Duration(record.idle_us);
  connect_wall_ = record.connect_wall_us;
  user_name_ = intern(record.user);
  link_.attach(std::move(connection), socket_options(worker_.config().settings));
  from_unix_ = link_.stream().peer().is_unix();
  const auto entry = worker_.config().find_database(record.database);
  if (!entry) return fail(error_naming(ErrorCode::no_such_database, record.database));
  take_permits_again(entry->name);
  const std::string& server_user = record.server_user.empty() ? record.user : record.server_user;
  const Hold<PoolEntry> pool =
      worker_.pooler().registry().pool(entry->name, entry->user.value_or(server_user));
  if (!entry->user && record.keys && !pool->keys()) {
    pool->set_keys({record.keys->client_key, record.keys->server_key, record.keys->verifier});
  }
  if (!entry->user && record.secret && !pool->secret()) pool->set_secret(Secret(*record.secret));
  record.wipe_secrets();
  pool_ = lender_ = &worker_.pool(*pool);
  pool_->client_came();
  timeouts_ = resolve_client(worker_.config(), *entry, record.user);
  for (const auto& [name, value] : record.parameters) {
    if (const auto tracked = worker_.pooler().tracked().find(name)) {
      values_.set(*tracked, intern(value));
    }
  }
  session_.resume(std::move(record.session), worker_.last_start());
  resume_statements(record);
  if (record.has_written) has_written();
  cancel_key_ = {record.cancel_key};
  if (cancel_key_.bits != 0 &&
      !worker_.pooler().cancel_keys().add(cancel_key_.bits, {worker_.id(), this})) {
    cancel_key_ = {};
  }
  rearm();
}

void Client::take_permits_again(const std::string& database) {
  Pooler& pooler = worker_.pooler();
  counted_ = true;
  pooler.client_permits().take_anyway();
  counted_database_ = pooler.registry().database(database);
  counted_database_->clients.take_anyway();
  pooler.registry().remember(*counted_database_);
  if (worker_.config().settings.auth_type == AuthMethod::any) return;
  counted_user_ = pooler.registry().user(*user_name_);
  counted_user_->clients.take_anyway();
}

void Client::resume_statements(const handover::ClientRecord& record) {
  StatementRegistry& known = worker_.pooler().statements();
  for (const auto& [name, text, copy] : record.statements) {
    if (name.empty() || statements().find(name) || statements().full()) continue;
    statements().set(name, known.find_or_make(text, copy));
  }
  if (record.unnamed_shared) {
    StatementPtr shared =
        known.find_or_make(record.unnamed_shared->text, record.unnamed_shared->copy);
    SessionMarksPtr marks = shared->marks;
    statements().set_unnamed({}, std::move(marks), std::move(shared));
  } else if (!record.unnamed.empty()) {
    statements().set_unnamed(record.unnamed, marks_of_parse(record.unnamed));
  }
}

}  // namespace headgate
