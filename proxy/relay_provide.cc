// What a server is made to have before a message of the client needs it: its statements, and
// stand-ins for those that could be mistaken for others made in SQL.
#include <algorithm>

#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

using OnServer = StatementChange::OnServer;
using OfClient = StatementChange::OfClient;

}  // namespace

// One more statement is to come: the one that was not used for longest goes.
void Relay::make_room_for_statement() {
  const auto limit = static_cast<size_t>(std::max(settings().prepared_statements, 1));
  if (const StatementPtr oldest = on_server().evictable(limit)) {
    inject_close(oldest);
  }
}

// The server will have the statement when it reads what is sent next.
void Relay::provide(const StatementPtr& statement) {
  if (on_server().use(*statement)) return;
  if (on_server().has(*statement)) {
    inject_close(statement);
  }
  make_room_for_statement();
  inject_parse(statement->server_name, statement->text());
  asked_instead(Asked::parse, Fate::quiet, {statement, OnServer::added});
}

// Each server has one unnamed statement, whoever left it there.
void Relay::provide_unnamed() {
  if (on_server().unnamed_is_here()) return;
  const std::string own(of_client().unnamed());
  if (own.empty()) {
    send_close("");
  } else {
    inject_parse("", own);
  }
  asked_instead(own.empty() ? Asked::close : Asked::parse, Fate::quiet,
                {nullptr, OnServer::nothing, OfClient::unnamed, own, of_client().unnamed_marks()});
}

// In SQL a client speaks of statements of the protocol by its own names. Where a text drops one, or
// makes another of that name, the server gets a stand-in to drop, or to complain about, in front of
// it. Close comes first since nobody knows whether one was left; it cannot fail.
void Relay::stand_in(const SessionMarks& marks, char tag) {
  if (!marks.only_deallocates && !marks.only_prepares) return;
  if (!tracks_statements_ || !tracks_session_) return;
  if (!client_.has_statements() || server_.exchange().copying_in()) return;
  const std::string& name = marks.statements.front();
  const StatementPtr statement = of_client().find(name);
  if (!statement || name.starts_with(statement_prefix)) return;
  begin_request();
  const bool is_query = tag == frontend::query;
  const bool within_batch = !is_query || server_.exchange().batch_open();
  const Fate fate = within_batch ? Fate::quiet : Fate::swallow;
  send_close(name);
  server_.exchange().sent(Asked::close, fate);
  inject_parse(name, Bytes(stand_in_text) + Bytes(3, '\0'));
  server_.exchange().sent(Asked::parse, fate);
  if (!within_batch) {
    Bytes sync;
    encode(sync, frontend::Sync{});
    server_.link().send(sync);
    server_.exchange().sent(Asked::sync, Fate::swallow);
    on_server().batch_ended();
  }
  if (!marks.only_deallocates) return;
  const OfClient becomes = is_query ? OfClient::deallocated : OfClient::forgotten;
  deallocating_ = {statement, OnServer::nothing, becomes, name};
}

// A Parse of a name that the client has given in SQL fails: PostgreSQL says so itself, if it has
// that.
void Relay::refuse_if_made_in_sql(View name) {
  server_.session().statements().touch(std::string(name));
  inject_parse(name, Bytes(stand_in_text) + Bytes(3, '\0'));
  server_.exchange().sent(Asked::parse, Fate::quiet);
  send_close(name);
  server_.exchange().sent(Asked::close, Fate::quiet);
}

// One that is closed may have been given in SQL as well, which was refused: that has left a
// stand-in, which would be in the way of what gets the name next.
void Relay::drop_stand_in(View name) {
  ServerSession& session = server_.session();
  if (!session.may_have_stand_in(name) || server_.exchange().copying_in()) return;
  session.statements().touch(std::string(name));
  send_close(name);
  server_.exchange().sent(Asked::close, Fate::quiet);
}

const StatementPtr& Relay::statement_called(View name) {
  return name.empty() ? on_server().unnamed_shared(of_client()) : of_client().find(name);
}

// The name on the server of what the client calls `name`.
std::string Relay::name_on_server(View name, const StatementPtr& statement) {
  if (server_.exchange().copying_in()) return std::string(name);  // it only fails the COPY
  if (name.empty() && !statement) {
    provide_unnamed();
    return {};
  }
  if (statement) {
    provide(statement);
    return statement->server_name;
  }
  if (server_.session().may_have_statement(name)) return std::string(name);  // made in SQL
  return unknown_name() + std::string(name);
}

}  // namespace headgate
