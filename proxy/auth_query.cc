#include "proxy/auth_query.h"

#include <fmt/format.h>

#include <utility>

#include "auth/packets.h"
#include "protocol/messages.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

AuthQuery::AuthQuery(WorkerPool& pool, std::string query, std::string user, Done done)
    : pool_(pool), query_(std::move(query)), user_(std::move(user)), done_(std::move(done)) {}

AuthQuery::~AuthQuery() { MUST(!waiting() && !server_); }

Worker& AuthQuery::worker() const { return pool_.worker(); }

// --- borrowing

std::optional<Error> AuthQuery::start() {
  if (worker().pooler().waits_for_servers()) return Error(ErrorCode::server_shutting_down);
  if (const auto failure = pool_.fast_failure()) return unavailable(*failure);
  since_ = worker().now();
  Server* server = static_cast<Server*>(pool_.share().ask(*this, since_));
  if (server && server->state() == ServerState::active) {
    serve(*server);
    return std::nullopt;
  }
  if (server) server->start_check();
  pool_.look_soon();
  return std::nullopt;
}

void AuthQuery::serve(Server& server) {
  server_ = &server;
  ++attempts_;
  server.lend_to(*this);
}

void AuthQuery::fail_waiting(const Error& error) {
  pool_.share().withdraw(*this, worker().now());
  finish(unavailable(error));
}

namespace {

// Of the trouble of servers that passes by itself: a client that is told may come again.
bool is_passing(std::string_view sqlstate) { return sqlstate == "53300" || sqlstate == "57P03"; }

}  // namespace

// What a server says of auth_user is not for a stranger's ears.
Error AuthQuery::unavailable(const Error& reason) const {
  if (reason.code == ErrorCode::server_shutting_down) return reason;
  log(LogLevel::error, "auth_query cannot run in database \"{}\" as user \"{}\": {}",
      field("database", pool_.entry().database.name), field("user", pool_.entry().user.name),
      field("reason", reason.message));
  Error error(ErrorCode::bouncer_config);
  if (is_passing(reason.sqlstate())) error.sqlstate_override = reason.sqlstate();
  return error;
}

void AuthQuery::abandon() {
  if (waiting()) pool_.share().withdraw(*this, worker().now());
  if (Server* server = std::exchange(server_, nullptr)) server->auth_query_left();
}

void AuthQuery::drop() {
  if (waiting()) pool_.share().withdraw(*this, worker().now());
  server_ = nullptr;
}

// --- the exchange

Bytes AuthQuery::request() const {
  Bytes out;
  encode(out, frontend::Parse{"", query_, {}});
  encode(out, frontend::Bind{"", "", {}, {Value(View(user_))}, {}});
  encode(out, frontend::Describe{frontend::Target::portal, ""});
  encode(out, frontend::Execute{"", 0});
  encode(out, frontend::Sync{});
  return out;
}

bool AuthQuery::wants(char tag, uint32_t body_size) {
  heard_ = true;
  const bool matters =
      tag == backend::row_description || tag == backend::no_data || tag == backend::data_row;
  if (!matters || !complaint_.empty()) return false;
  if (body_size <= Server::max_gather) return true;
  complain("response of auth_query is too long");
  return false;
}

void AuthQuery::message(char tag, View body) {
  if (tag == backend::data_row) return row(body);
  describe(tag == backend::no_data ? View("\0\0", 2) : body);
}

void AuthQuery::describe(View body) {
  Reader reader(body);
  uint16_t columns = 0;
  reader.get(columns);
  if (reader.spoiled()) return complain("bad response of auth_query");
  if (columns == 2) return;
  complain(fmt::format("expected 2 columns from auth_query, not {}", columns));
}

// Of several rows the last one counts, as in PgBouncer.
void AuthQuery::row(View body) {
  const auto columns = decode<backend::DataRow>(body);
  if (!columns || columns->values.size() != 2) return complain("bad response of auth_query");
  const Value& user = columns->values[0];
  const Value& secret = columns->values[1];
  if (!user) return complain("auth_query response contained null user name");
  const auto is_text = [](View text) { return text.find('\0') == View::npos; };
  const bool sound = user->size() <= max_user_size && is_text(*user) && !user->empty() &&
                     (!secret || (secret->size() <= max_password_size && is_text(*secret)));
  if (!sound) return complain("response of auth_query is too long or no text");
  found_.emplace(Found{std::string(*user), secret ? Secret(Bytes(*secret)) : Secret()});
}

void AuthQuery::failed(const ErrorFields& error) {
  failed_ = true;
  log(LogLevel::warning, "S: error in auth_query: {}: {}", error.severity,
      field("reason", error.message), field("sqlstate", error.sqlstate));
}

void AuthQuery::complain(std::string reason) {
  if (complaint_.empty()) complaint_ = std::move(reason);
}

// --- the end

void AuthQuery::over() {
  server_ = nullptr;
  if (failed_) return finish(Error(ErrorCode::bouncer_config));
  if (!found_) return finish(Error(ErrorCode::no_such_user));
  finish(*std::exchange(found_, std::nullopt));
}

// A server that died while it was idle has done nothing yet: another one may do it.
void AuthQuery::server_lost() {
  server_ = nullptr;
  const bool configured = worker().config().has_database(pool_.entry().database.name);
  if (heard_ || attempts_ >= most_attempts || !configured)
    return finish(Error(ErrorCode::bouncer_config));
  failed_ = false;
  pool_.share().ask_again(*this, since_, worker().now());
  pool_.look_again();
}

void AuthQuery::finish(Result<Found> result) {
  if (const Done done = std::exchange(done_, nullptr)) done(std::move(result));
}

// --- the server's part

// What clients of this pool have left in the session (a search path, a temporary pg_authid) would
// be looked at by the query, and decide who may log in.
void Server::lend_to(AuthQuery& query) {
  MUST(!relay_ && exchange_.clean());
  task_ = Task::auth_query;
  ++pool_->stats().server_assignment_count;
  auth_query_ = &query;
  if (used_) {
    discard_all();
  }
  for (const Asked asked :
       {Asked::parse, Asked::bind, Asked::describe_portal, Asked::execute, Asked::sync}) {
    exchange_.sent(asked, Fate::swallow);
  }
  link_.send(query.request());
}

void Server::finish_auth_query() {
  AuthQuery& query = *std::exchange(auth_query_, nullptr);
  used_ &= injected_failed_;  // it may not have been discarded
  task_ = Task::cleanup;
  advance();
  query.over();
}

void Server::auth_query_left() {
  auth_query_ = nullptr;
  task_ = Task::cleanup;
  cleanup_until_ = worker_->now() + cleanup_time;
  arm(cleanup_until_);
  if (exchange_.owed() > 0) cancel(Requester{});
  advance();
}

}  // namespace headgate
