// Prepared statements in transaction and statement mode: the names that a client gives to its
// statements are translated to those that its server knows, and what the server lacks is prepared
// in the same write, in front of the message that needs it. (PgBouncer: max_prepared_statements.)
//
// Whatever the server has to say in order, it is made to say: instead of a Parse of what it has
// already it gets a Close of nothing, whose answer is told as ParseComplete; for a name that the
// client never gave, one that no server has. Where nothing comes before a Parse, ParseComplete is
// told in front of what the server says next, and the server is not asked.
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

/// What stands behind the name in a Parse, as the server wants to see it.
bool is_query_with_types(View rest) {
  if (!take_string(rest)) return false;
  Reader reader(rest);
  uint16_t types = 0;
  reader.get(types);
  reader.take(size_t{types} * 4);
  return reader.complete();
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
  Link& to = server_.link();
  std::array<char, header_size> header{input.tag};
  const size_t size = length_size + before.size() + name.size() + 1 + rest.size() + input.missing;
  store_u32(header.data() + 1, static_cast<uint32_t>(size));
  to.send({header.data(), header.size()});
  to.send(before);
  to.send(name);
  to.send(View("\0", 1));
  input.lent ? to.lend(rest) : to.send(rest);
}

void Relay::send_as_it_is(const StatementInput& input) {
  const View whole(input.body.data() - header_size, input.body.size() + header_size);
  input.lent ? server_.link().lend(whole) : server_.link().send(whole);
}

// Something goes to the server in place of the client's message, or for it.
void Relay::asked_instead(Asked asked, Fate fate, StatementChange about) {
  if (server_.exchange().sent(asked, fate, true)) change(std::move(about));
}

void Relay::change(StatementChange change) { on_server().change(std::move(change), &of_client()); }

// The server forgets a statement, whatever the clients call it.
void Relay::inject_close(const StatementPtr& statement) {
  send_close(statement->server_name);
  asked_instead(Asked::close, Fate::quiet, {statement, OnServer::removed});
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

// --- messages of the client

// A client has one statement for each of its names, also where their texts are the same.
StatementPtr Relay::statement_for(View text) {
  for (uint8_t copy = 0;; ++copy) {
    StatementPtr statement = client_.worker().pooler().statements().find_or_make(text, copy);
    if (copy == UINT8_MAX || of_client().name_of(statement->id).empty()) return statement;
  }
}

void Relay::take_parse(const StatementInput& input) {
  View rest = input.body;
  const auto name = take_string(rest);
  if (!name || !(input.missing > 0 || is_query_with_types(rest))) {
    asked(input.tag);
    return send_as_it_is(input);
  }
  ++server_.pool().stats().client_parse_count;
  if (name->empty()) return take_unnamed_parse(input, rest);
  if (input.missing > 0) {
    client_error_.emplace(ErrorCode::statement_too_long);
    return;
  }
  if (of_client().full()) {
    client_error_.emplace(ErrorCode::too_many_statements);
    return;
  }
  if (const StatementPtr taken = of_client().find(*name)) {
    provide(taken);
    if (was_told()) return;  // else an error, in the server's words
    server_.exchange().sent(Asked::parse);
    ++server_.pool().stats().server_parse_count;
    return send_renamed(input, {}, taken->server_name, rest);
  }
  if (server_.session().may_have_statement(*name)) refuse_if_made_in_sql(*name);
  take_shared_parse(input, rest,
                    {statement_for(rest), OnServer::nothing, OfClient::named, std::string(*name)});
}

// In a transaction that has failed a Parse is refused, so the server has to see it.
bool Relay::parse_may_be_refused() const {
  return server_.exchange().status() == TransactionStatus::failed ||
         server_.exchange().ready_owed();
}

// A Parse at the beginning of a batch, with no answer ahead of its own. A name would be taken when
// the request is sent again to another server.
bool Relay::needs_no_server(const StatementChange& naming) const {
  return naming.of_client == OfClient::unnamed && server_.exchange().over() &&
         !server_.mid_answer();
}

// A Parse of what other clients may have prepared on this server already.
void Relay::take_shared_parse(const StatementInput& input, View rest, StatementChange naming) {
  const StatementPtr statement = naming.statement;
  const bool told = was_told();
  if (on_server().use(*statement) && !parse_may_be_refused()) {
    if (needs_no_server(naming)) {
      server_.exchange().begin_batch();
      parse_due_ = !told;
      return on_server().change_at_once(std::move(naming), of_client());
    }
    asked_instead(Asked::close, told ? Fate::quiet : Fate::replace, std::move(naming));
    return send_close(unknown_name());
  }
  if (on_server().has(*statement)) {
    inject_close(statement);
  }
  make_room_for_statement();
  naming.on_server = OnServer::added;
  asked_instead(Asked::parse, told ? Fate::quiet : Fate::forward, std::move(naming));
  ++server_.pool().stats().server_parse_count;
  send_renamed(input, {}, statement->server_name, rest);
}

// A request is repeated whose client knows already that this Parse has worked.
bool Relay::was_told() {
  if (!repeated_ || parses_told_ == 0) return false;
  --parses_told_;
  return true;
}

// A statement without a name is prepared under one, for others to share, if it is seen again and
// again. (prepare_unnamed)
StatementPtr Relay::statement_for_unnamed(View text) {
  if (!settings().prepare_unnamed || text.size() > ClientStatements::max_unnamed) return nullptr;
  if (parse_may_be_refused() || !can_read()) return nullptr;
  const StatementPtr& last = of_client().unnamed_shared();
  if (last && last->text() == text) return last;
  StatementRegistry& known = client_.worker().pooler().statements();
  return known.sees_again(text) ? statement_for(text) : nullptr;
}

void Relay::take_unnamed_parse(const StatementInput& input, View rest) {
  const bool is_whole = input.missing == 0;
  if (const StatementPtr shared = is_whole ? statement_for_unnamed(rest) : nullptr) {
    return take_shared_parse(input, rest,
                             {shared, OnServer::nothing, OfClient::unnamed, {}, shared->marks});
  }
  SessionMarksPtr marks = unnamed_marks(rest, !is_whole);
  const bool kept = is_whole && rest.size() <= ClientStatements::max_unnamed;
  ++server_.pool().stats().server_parse_count;
  asked_instead(Asked::parse, Fate::forward,
                {nullptr, OnServer::nothing, OfClient::unnamed, std::string(kept ? rest : View()),
                 std::move(marks)});
  send_as_it_is(input);
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
  const StatementPtr& statement = statement_called(*name);
  const std::string renamed = name_on_server(*name, statement);
  if (tracks_session_) {
    // The unnamed statement is the last that was prepared: not one that an error has kept from
    // that.
    SessionMarksPtr marks;
    if (name->empty()) {
      marks = on_server().unnamed_marks(of_client());
    } else if (statement) {
      marks = statement->marks;
    }
    bind_is_sent(*portal, marks, rest);
  }
  asked(input.tag);
  send_renamed(input, input.body.substr(0, portal->size() + 1), renamed, rest);
}

void Relay::take_describe_or_close(const StatementInput& input) {
  View rest = input.body;
  const bool of_statement =
      !rest.empty() && rest[0] == static_cast<char>(frontend::Target::statement);
  if (of_statement) rest.remove_prefix(1);
  const auto name = of_statement ? take_string(rest) : std::nullopt;
  if (!name || !rest.empty()) {
    asked(input.tag);
    return send_as_it_is(input);
  }
  if (input.tag == frontend::close) return take_close(input, *name);
  const std::string renamed = name_on_server(*name, statement_called(*name));
  asked(input.tag);
  send_renamed(input, input.body.substr(0, 1), renamed, rest);
}

// A server keeps what one client closes: another may use it.
void Relay::take_close(const StatementInput& input, View name) {
  if (name.empty()) {
    asked_instead(Asked::close, Fate::forward, {nullptr, OnServer::nothing, OfClient::unnamed});
    return send_as_it_is(input);
  }
  if (const StatementPtr statement = of_client().find(name)) {
    drop_stand_in(name);
    asked_instead(Asked::close, Fate::forward,
                  {statement, OnServer::nothing, OfClient::forgotten, std::string(name)});
  } else {
    asked(input.tag);
    if (server_.session().may_have_statement(name)) {
      server_.session().statements().touch(std::string(name));
      return send_as_it_is(input);
    }
  }
  send_close(unknown_name());
}

// Whether the server looks at what the query says: one that is no whole string, or wrong in its
// encoding, is refused before it drops anything.
bool Relay::is_surely_read(View query) const {
  if (query.find('\0') + 1 != query.size()) return false;
  return is_ascii(query) || (speaks_utf8() && is_utf8(query));
}

// Both sides do: nothing is converted.
bool Relay::speaks_utf8() const {
  const Text& of_client = client_.values().get(Tracked::client_encoding);
  const bool of_server = server_.welcome()->value_of("server_encoding") == "UTF8";
  return of_server && of_client && *of_client == "UTF8" && !encoding_sent_;
}

// Other messages have a meaning for statements too: a simple query drops the unnamed one.
void Relay::send_other_request(Asked asked, View body) {
  std::optional<StatementChange> about = std::exchange(deallocating_, std::nullopt);
  const bool is_query = asked == Asked::query;
  const bool drops_unnamed =
      tracks_statements_ && is_query && client_.has_statements() && is_surely_read(body);
  if (about && is_query && !drops_unnamed) about->of_client = OfClient::forgotten;
  if (!about && drops_unnamed) about = {nullptr, OnServer::nothing, OfClient::unnamed};
  const bool done = server_.exchange().sent(asked, Fate::forward, about.has_value());
  if (!tracks_statements_) return;
  const bool deallocates = is_query && about && about->statement;
  if (done && about) change(std::move(*about));
  if (asked == Asked::sync || deallocates) on_server().batch_ended();
}

void Relay::send_close(View name) {
  Bytes message;
  encode(message, frontend::Close{frontend::Target::statement, name});
  server_.link().send(message);
}

// --- what the server says

void Relay::tell_parsed() {
  tell_parse_due();
  Bytes complete;
  encode(complete, backend::ParseComplete{});
  if (withholds_) return withhold(complete);
  ++parses_told_;
  server_.pool().stats().bytes_sent += complete.size();
  client_.link().send(complete);
}

void Relay::tell_parse_due() {
  if (std::exchange(parse_due_, false)) [[unlikely]]
    tell_parsed();
}

namespace {

/// Whether a client that has been told nothing of these messages finds out what the rows look like
/// before it gets any: their columns may be others than when it prepared the statement.
bool describes_what_it_runs(View messages) {
  bool described = false, ended = false;
  while (messages.size() >= header_size) {
    const char tag = messages[0];
    messages.remove_prefix(std::min<size_t>(messages.size(), 1 + load_u32(messages.data() + 1)));
    if (tag == frontend::execute && !described) return false;
    if (tag == frontend::query || tag == frontend::function_call) return false;
    if (tag == frontend::bind) described = false;
    if (tag == frontend::describe) described = true;
    ended = tag == frontend::sync;
  }
  return ended;
}

}  // namespace

// "cached plan must not change result type", as after an ALTER TABLE: PostgreSQL keeps saying it
// until somebody prepares the statement anew. That is what happens at the next use of it, on every
// server; at once and without a word where the client need not know.
bool Relay::renew_statements(const ErrorFields& fields) {
  if (fields.sqlstate != "0A000" || fields.routine != "RevalidateCachedQuery") return false;
  on_server().renew_used();
  if (!may_repeat()) return false;
  repeats_ = true;
  server_.exchange().swallow_all();
  return true;
}

// Nothing has run: the error came first, outside of a transaction, and what is owed besides is the
// end of the same batch.
bool Relay::may_repeat() const {
  const Exchange& exchange = server_.exchange();
  return replayable_ && !repeated_ && !overdue_error_ && !in_transaction_ &&
         server_.cancels() == 0 && exchange.owed() == 1 && !exchange.batch_open() &&
         describes_what_it_runs(replay());
}

// Names of statements on servers in an error are told in the client's words.
bool Relay::restore_names(const ErrorFields& fields, View body) {
  if (fields.sqlstate != "26000" && fields.sqlstate != "42P05" && fields.sqlstate != "08P01") {
    return false;
  }
  std::string message(fields.message);
  const size_t at = message.find(statement_prefix);
  if (at == std::string::npos) return false;
  const View found = View(message).substr(at);
  const size_t end = std::min(found.find('"'), found.size());
  if (found.starts_with(unknown_name())) {
    message.erase(at, unknown_name().size());
  } else {
    const uint64_t id = statement_number(found.substr(0, end));
    View name = on_server().name_being_closed(id);  // what was sent since counts already
    if (name.empty()) name = of_client().name_of(id);
    if (name.empty() && !on_server().was_unnamed(id, of_client())) return false;
    message.replace(at, end, name);
  }
  Bytes out;
  encode_error_with_message(out, body, message);
  tell(out);
  return true;
}

}  // namespace headgate
