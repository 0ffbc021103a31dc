// Prepared statements in transaction and statement mode: the names that a client gives to its
// statements are translated to those that its server knows, and what the server lacks is prepared in
// the same write, in front of the message that needs it. (PgBouncer: max_prepared_statements.)
//
// Whatever the server has to say in order, it is made to say: instead of a Parse of what it has
// already it gets a Close of nothing, whose answer is told as ParseComplete; for a name that the
// client never gave, one that no server has.
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

/// The part of a text up to its first zero, which is taken off with it; nothing if there is none.
std::optional<View> take_string(View& text) {
  const size_t end = text.find('\0');
  if (end == View::npos) return std::nullopt;
  const View taken = text.substr(0, end);
  text.remove_prefix(end + 1);
  return taken;
}

}  // namespace

bool Relay::is_about_statements(char tag) {
  return tag == frontend::parse || tag == frontend::bind || tag == frontend::describe ||
         tag == frontend::close;
}

// Of a message that is too long to be gathered like all others. The values of a Bind may be of any
// size; in front of them stand the names.
Treat Relay::treat_statement(char tag, uint32_t body_size) {
  return tag != frontend::bind && body_size <= max_statement ? Treat::gather : Treat::peek;
}

ServerStatements& Relay::on_server() { return server_.statements(); }
ClientStatements& Relay::of_client() { return client_.statements(); }
const std::string& Relay::unknown_name() {
  return client_.worker().pooler().statements().unknown_name();
}

void Relay::statement_message(const StatementInput& input) {
  begin_request();
  switch (input.tag) {
    case frontend::parse:
      return take_parse(input);
    case frontend::bind:
      return take_bind(input);
    default:
      return take_describe_or_close(input);
  }
}

// --- sending

// The message with the name in it replaced; `rest` is what stands behind the name.
void Relay::send_renamed(const StatementInput& input, View before, View name, View rest) {
  Bytes head;
  head.reserve(header_size + before.size() + name.size() + 1);
  head.push_back(input.tag);
  const size_t size = length_size + before.size() + name.size() + 1 + rest.size() + input.missing;
  for (int shift = 24; shift >= 0; shift -= 8) head.push_back(static_cast<char>(size >> shift));
  head.append(before).append(name).push_back('\0');
  server_.link().send(head);
  input.lent ? server_.link().lend(rest) : server_.link().send(rest);
}

void Relay::send_as_it_is(const StatementInput& input) {
  const View whole(input.body.data() - header_size, input.body.size() + header_size);
  input.lent ? server_.link().lend(whole) : server_.link().send(whole);
}

// Something goes to the server in place of the client's message, or for it.
void Relay::asked_instead(Asked asked, Fate fate, StatementChange about) {
  if (server_.exchange().sent(asked, fate, true)) change(std::move(about));
}

void Relay::change(StatementChange change) {
  on_server().change(std::move(change), &of_client());
}

void Relay::inject_close(View name, Fate fate, StatementChange about) {
  const bool noted = about.statement != nullptr;
  Bytes message;
  encode(message, frontend::Close{frontend::Target::statement, name});
  server_.link().send(message);
  if (server_.exchange().sent(Asked::close, fate, noted) && noted) change(std::move(about));
}

void Relay::inject_parse(View name, View text) {
  Bytes message;
  {
    Writer writer(message, frontend::parse);
    writer.put(name).raw(text);
  }
  server_.link().send(message);
  ++server_.pool().stats().server_parse_count;
}

// --- what the server has

// One more statement is to come: the one that was not used for longest goes.
void Relay::make_room_for_statement() {
  const auto limit = static_cast<size_t>(std::max(settings().prepared_statements, 1));
  if (const StatementPtr oldest = on_server().evictable(limit)) {
    inject_close(oldest->server_name(), Fate::quiet, {oldest, OnServer::removed});
  }
}

// The server will have the statement when it reads what is sent next.
void Relay::provide(const StatementPtr& statement) {
  if (on_server().use(*statement)) return;
  if (on_server().has(*statement)) {
    inject_close(statement->server_name(), Fate::quiet, {statement, OnServer::removed});
  }
  make_room_for_statement();
  inject_parse(statement->server_name(), statement->text);
  if (server_.exchange().sent(Asked::parse, Fate::quiet, true)) {
    change({statement, OnServer::added});
  }
}

// The same for the unnamed statement, of which each server has one, whoever left it there.
void Relay::provide_unnamed() {
  if (std::exchange(unnamed_here_, true)) return;
  if (client_.has_statements() && !of_client().unnamed().empty()) {
    inject_parse("", of_client().unnamed());
    server_.exchange().sent(Asked::parse, Fate::quiet);
  } else {
    inject_close("", Fate::quiet, {});
  }
}

// The name on the server of what the client calls `name`.
std::string Relay::name_on_server(View name) {
  if (name.empty()) {
    provide_unnamed();
    return {};
  }
  if (const StatementPtr statement = of_client().find(name)) {
    provide(statement);
    return statement->server_name();
  }
  of_client().set_unknown(name);
  return unknown_name();
}

// --- messages of the client

void Relay::take_parse(const StatementInput& input) {
  View rest = input.body;
  const auto name = take_string(rest);
  if (!name || name->empty()) {
    asked(input.tag);
    of_client().set_unnamed(name && input.missing == 0 ? rest : View());
    unnamed_here_ = true;
    return send_as_it_is(input);
  }
  if (input.missing > 0) {
    client_error_.emplace(ErrorCode::statement_too_long);
    return;
  }
  if (of_client().full()) {
    client_error_.emplace(ErrorCode::too_many_statements);
    return;
  }
  if (const StatementPtr taken = of_client().find(*name)) {  // an error, in the server's words
    provide(taken);
    asked(input.tag);
    return send_renamed(input, {}, taken->server_name(), rest);
  }
  const StatementPtr statement = client_.worker().pooler().statements().find_or_make(rest);
  StatementChange naming{statement, OnServer::nothing, OfClient::named, std::string(*name)};
  // In a transaction that has failed a Parse is refused, so the server has to see it.
  const bool failed = server_.exchange().status() == TransactionStatus::failed;
  if (on_server().use(*statement) && !failed) {
    ++server_.pool().stats().client_parse_count;
    asked_instead(Asked::close, Fate::replace, std::move(naming));
    return send_close(unknown_name());
  }
  if (on_server().has(*statement)) {
    inject_close(statement->server_name(), Fate::quiet, {statement, OnServer::removed});
  }
  make_room_for_statement();
  naming.on_server = OnServer::added;
  asked_instead(Asked::parse, Fate::forward, std::move(naming));
  ++server_.pool().stats().client_parse_count, ++server_.pool().stats().server_parse_count;
  send_renamed(input, {}, statement->server_name(), rest);
}

void Relay::take_bind(const StatementInput& input) {
  View rest = input.body;
  const auto portal = take_string(rest);
  const auto name = portal ? take_string(rest) : std::nullopt;
  if (!name && input.missing > 0) {  // names of kilobytes, in front of more than is kept
    client_error_.emplace(ErrorCode::bad_packet);
    return;
  }
  if (!name) {
    asked(input.tag);
    return send_as_it_is(input);
  }
  const std::string renamed = name_on_server(*name);
  asked(input.tag);
  if (name->empty()) return send_as_it_is(input);
  send_renamed(input, input.body.substr(0, portal->size() + 1), renamed, rest);
}

void Relay::take_describe_or_close(const StatementInput& input) {
  View rest = input.body;
  const bool of_statement =
      !rest.empty() && rest[0] == static_cast<char>(frontend::Target::statement);
  if (of_statement) rest.remove_prefix(1);
  const auto name = of_statement ? take_string(rest) : std::nullopt;
  if (!name) {
    asked(input.tag);
    return send_as_it_is(input);
  }
  if (input.tag == frontend::close) return take_close(input, *name);
  const std::string renamed = name_on_server(*name);
  asked(input.tag);
  if (name->empty()) return send_as_it_is(input);
  send_renamed(input, input.body.substr(0, 1), renamed, rest);
}

// A server keeps what one client closes: another may use it.
void Relay::take_close(const StatementInput& input, View name) {
  if (name.empty()) {
    if (client_.has_statements()) of_client().set_unnamed({});
    unnamed_here_ = true;
    asked(input.tag);
    return send_as_it_is(input);
  }
  if (const StatementPtr statement = of_client().find(name)) {
    asked_instead(Asked::close, Fate::forward,
                  {statement, OnServer::nothing, OfClient::forgotten, std::string(name)});
  } else {
    asked(input.tag);
  }
  send_close(unknown_name());
}

// What other messages mean for statements. A simple query drops the unnamed one.
void Relay::statements_after(Asked asked) {
  if (asked == Asked::sync) on_server().batch_ended();
  if (asked != Asked::query) return;
  if (client_.has_statements()) of_client().set_unnamed({});
  unnamed_here_ = true;
}

void Relay::send_close(View name) {
  Bytes message;
  encode(message, frontend::Close{frontend::Target::statement, name});
  server_.link().send(message);
}

// --- what the server says

// Names of statements on servers in an error are told in the client's words.
bool Relay::restore_names(View body) {
  const auto fields = decode_error_fields(body);
  if (!fields || (fields->sqlstate != "26000" && fields->sqlstate != "42P05" &&
                  fields->sqlstate != "08P01")) {
    return false;
  }
  std::string message(fields->message);
  bool changed = false;
  size_t at = 0;
  while ((at = message.find(statement_prefix, at)) != std::string::npos) {
    const size_t end = std::min(message.find_first_of("\" ", at), message.size());
    const View found = View(message).substr(at, end - at);
    const uint64_t number = statement_number(found);
    const View name = found == unknown_name() ? of_client().unknown()
                      : number != 0           ? of_client().name_of(number)
                                              : View();
    if (name.empty()) {
      at = end;
      continue;
    }
    message.replace(at, found.size(), name);
    at += name.size();
    changed = true;
  }
  if (!changed) return false;
  Bytes out;
  encode_error_with_message(out, body, message);
  client_.link().send(out);
  return true;
}

}  // namespace headgate
