// Idle servers give way to who wants a database to itself: DROP DATABASE and its like fail with
// 55006 while anybody is connected there, and on a direct connection nobody would be. When that
// happens here the idle servers in that database are closed, and the statement is repeated unseen:
// it stood alone and has done nothing. Only what PostgreSQL has said this of makes servers go, so
// nobody closes them who may not drop the database.
#include <algorithm>

#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

// A message of the client is about to be sent.
void Relay::note_database_request(char tag, View body) {
  if (database_request_ && !goes_on_with_it(tag)) database_request_.reset();
  const bool is_first = !query_since_ && !in_transaction_;
  if (!is_first || (tag != frontend::query && tag != frontend::parse)) return;
  const bool prepares = tag == frontend::parse;
  const size_t name = prepares ? std::min(body.find('\0') + 1, body.size()) : 0;
  View sql = body.substr(name);
  if (!may_be_database_command(sql) || !can_read()) return;
  sql = sql.substr(0, sql.find('\0'));
  const auto command = find_database_command(sql, standard_strings());
  if (!command) return;
  DatabaseRequest request;
  request.sql = sql;
  request.command = *command;
  request.ended = !prepares;
  if (prepares) request.prepared_as = body.substr(0, name - 1);
  database_request_ = std::move(request);
}

// What belongs to the same batch, and runs nothing else.
bool Relay::goes_on_with_it(char tag) {
  DatabaseRequest& request = *database_request_;
  if (request.ended) return false;
  switch (tag) {
    case frontend::bind:
    case frontend::describe:
    case frontend::flush:
      return true;
    case frontend::execute:
      return !std::exchange(request.executed, true);
    case frontend::sync:
      return request.ended = true;
    default:
      return false;
  }
}

// True: the client need not know of this error yet.
bool Relay::makes_room(const ErrorFields& fields) {
  if (fields.sqlstate != "55006" || !database_request_) return false;
  DatabaseRequest& request = *database_request_;
  Exchange& exchange = server_.exchange();
  const bool is_alone = request.ended && !in_transaction_ && exchange.owed() == 1;
  if (!is_alone || overdue_error_ || server_.cancels() > 0) return false;
  if (request.repetitions == max_repetitions) return false;
  const std::string& database = request.command.database;
  const bool is_inside = database == settings().entry.real_name();
  if (is_inside && !request.command.from_inside) return false;
  if (!server_.pool().vacate(database)) return false;
  ++request.repetitions;
  request.again = true;
  repeats_ = true;
  exchange.swallow_all();
  return true;
}

// Of a batch all is answered up to the Execute: the statement is there, and its portal is gone.
void Relay::repeat_database_request() {
  DatabaseRequest& request = *database_request_;
  request.again = false;
  Exchange& exchange = server_.exchange();
  Bytes messages;
  if (const auto& name = request.prepared_as) {
    const std::string on_server =
        tracks_statements_ ? name_on_server(*name, statement_called(*name)) : *name;
    encode(messages, frontend::Bind{"", on_server, {}, {}, {}});
    encode(messages, frontend::Execute{"", 0});
    encode(messages, frontend::Sync{});
    exchange.sent(Asked::bind, Fate::quiet);
    exchange.sent(Asked::execute);
    exchange.sent(Asked::sync);
  } else {
    encode(messages, frontend::Query{request.sql});
    exchange.sent(Asked::query);
  }
  server_.link().send(messages);
  client_.worker().outbox().flush();
}

}  // namespace headgate
