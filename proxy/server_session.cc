// How a server gets the session of the client that it is lent to, and how it is asked what that
// client has made of it. Both travel as simple queries of ours, whose answers nobody else sees: the
// first in front of the client's request, in the same write.
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "protocol/session_sql.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

// Parameters that servers report come first: among them is the encoding that the rest is in.
void Server::give_values(Client& client) {
  values_queries_ = drops_ = 0;
  made_.clear();
  values_may_fail_ = values_failed_ = settings_given_ = restoring_ = false;
  values_error_.reset();
  const bool tracks = pool_->settings().tracks_sessions();
  if (tracks && session_.must_be_discarded_for(client.id())) {
    // It may be the other client's, and short.
    say_value(no_time_limit_sql());
    say_value("DISCARD ALL");
    if (const auto& sql = pool_->settings().entry.connect_query) say_value(*sql);
    session_.discarded(nullptr, false);
    statements_.clear(nullptr);
    values_ = welcome_->tracked;
  }
  if (values_.get(Tracked::client_encoding) != client.values().get(Tracked::client_encoding)) {
    session_.encoding_changed();
  }
  const auto statements = session_.adopt_statements(client.session());
  if (!statements.dropped.empty()) drop_statements(statements.dropped);
  const std::string reported = client.values().difference(values_, worker_->pooler().tracked());
  if (!reported.empty()) {
    say_value(reported);
    values_may_fail_ = !client.session().is_proved();
  }
  const std::string settings = session_.adopt(client.session());
  if (!settings.empty()) {
    say_value(settings);
    settings_given_ = true;
    values_may_fail_ |= session_.may_refuse(client.session());
  }
  make_statements(statements.made);
}

void Server::say_value(View sql) {
  inject(sql);
  ++values_queries_;
}

// One may be gone, unseen: each is a query of its own, whose error is taken for that.
void Server::drop_statements(const std::vector<std::string>& names) {
  if (session_.has_time_limit()) {
    say_value(no_time_limit_sql());
    session_.touch("statement_timeout");
  }
  const std::string first(session_.undeferred());
  for (const std::string& name : names) say_value(first + deallocate_sql(name));
  drops_ = values_queries_;
}

// By the client's settings. A table may be gone: what cannot be made is not there.
void Server::make_statements(const SqlStatements& statements) {
  const std::string first(session_.undeferred());
  for (const auto& [name, sql] : statements) {
    say_value(first + sql);
    made_.push_back(name);
  }
}

// One of these queries was answered. False: its client cannot be served.
bool Server::value_was_taken() {
  const bool failed = std::exchange(injected_failed_, false);
  const size_t left = values_queries_--;
  if (drops_ > 0) {
    --drops_;
    settings_given_ |= failed;  // it is to be discarded
  }
  if (left > made_.size()) return !failed;
  if (failed) session_.statements().not_made(made_[made_.size() - left]);
  return true;
}

void Server::values_answered() {
  values_failed_ |= !value_was_taken();
  if (values_queries_ > 0 || values_failed_) return;
  Client& client = relay_->client();
  client.session().proved();
  values_may_fail_ = settings_given_ = restoring_ = false;
  // The server's spelling is the client's from now on ("ISO, MDY" for "ISO"), so that the same
  // value is not set again and again.
  TrackedValues agreed = values_;
  agreed.fill_from(client.values());
  tell_values(client, agreed);
  client.values() = agreed;
}

// A server of its own would have told the client when it logged in.
void Server::tell_values(Client& client, const TrackedValues& agreed) {
  const TrackedNames& names = worker_->pooler().tracked();
  Bytes told;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto parameter = static_cast<Tracked>(i);
    const Text &before = client.values().get(parameter), &now = agreed.get(parameter);
    if (before && now && *before != *now) {
      encode(told, backend::ParameterStatus{names.name(parameter), *now});
    }
  }
  if (!told.empty()) client.link().send(told);
}

// The client hears the server's own words.
void Server::keep_values_error(const ErrorFields& fields) {
  values_error_.emplace(ErrorCode::invalid_server_parameter, std::string(fields.message));
  values_error_->sqlstate_override = fields.sqlstate;
  values_error_->detail = std::string(fields.detail);
  values_error_->hint = std::string(fields.hint);
}

void Server::fail_values() {
  if (relay_->may_go_elsewhere()) return give_up_read();
  if (struck_by_another()) return serve_elsewhere();
  Client& client = relay_->client();
  Error error(ErrorCode::invalid_server_parameter);
  if (values_error_ && pool_->settings().session_state != SessionPolicy::pgbouncer) {
    error = *std::exchange(values_error_, std::nullopt);
  }
  if (values_may_fail_) return part(error);  // no request has followed: the server can stay
  relay_.reset();
  client.unlinked();
  close("var change failed");
  client.fail(error);
}

bool Server::struck_by_another() const {
  return values_may_fail_ && !restoring_ && session_.may_be_struck() && values_error_ &&
         values_error_->sqlstate_override == "57014";
}

// The client has yet to be heard: it waits for a server again, in its place.
void Server::serve_elsewhere() {
  Client& client = relay_->client();
  const Unanswered unanswered = relay_->unanswered();
  client.unlinked();
  client_left(Leaving::vanished);
  client.serve_again(unanswered);
}

// Nothing else of the client's session is touched, its unnamed statement say. The client waits: if
// it cannot have what it began with, it ends.
void Server::restore_settings(const std::vector<std::string>& statements) {
  values_queries_ = 1;
  drops_ = 0;
  made_.clear();
  values_may_fail_ = restoring_ = true;
  values_failed_ = settings_given_ = false;
  values_error_.reset();
  inject_batch(statements);
}

void Server::inject_batch(const std::vector<std::string>& statements) {
  static const std::string name = std::string(statement_prefix) + "own";
  Bytes messages;
  const auto say = [&](Asked asked, const auto& message) {
    encode(messages, message);
    exchange_.sent(asked, Fate::swallow);
  };
  injected_failed_ = false;
  for (const std::string& sql : statements) {
    say(Asked::parse, frontend::Parse{name, sql, {}});
    say(Asked::bind, frontend::Bind{name, name, {}, {}, {}});
    say(Asked::execute, frontend::Execute{name});
    say(Asked::close, frontend::Close{frontend::Target::portal, name});
    say(Asked::close, frontend::Close{frontend::Target::statement, name});
  }
  say(Asked::sync, frontend::Sync{});
  link_.send(messages);
}

// The client's transaction is over; what it has left is asked for, and the client goes on at once.
void Server::ask_session() {
  inject(session_.question());
  Client& client = relay_->client();
  if (session_.asks_channels() && client.has_channels()) client.channels().asked();
  asked_until_ = worker_->now() + cleanup_time;
  arm_for_relay();
}

void Server::take_session_row(View body) {
  const auto row = decode<backend::DataRow>(body);
  if (!row) return;
  if (session_.stops_clock()) {
    return session_.clock_stopped({row->values.begin(), row->values.end()});
  }
  const bool of_channels = session_.asks_channels();
  ClientSession& session = relay_->client().session();
  const bool understood = session_.answered({row->values.begin(), row->values.end()}, session);
  if (of_channels) take_channels(understood);
}

// Or its row would have ended that.
void Server::question_failed() {
  session_.question_failed();
  channels_not_told();
}

}  // namespace headgate
