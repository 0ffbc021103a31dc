// The sessions of clients that share servers: what a client says is looked at for what it may leave
// behind, before the server gets it. What became of it is asked when the transaction is over
// (proxy/server_session.cc). In session mode, and with session_state = pgbouncer, nobody looks.
#include <algorithm>
#include <iterator>

#include "protocol/codec.h"
#include "protocol/frontend.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

/// The value of parameter $`number` in a Bind; nothing if it is NULL or not there. `values` is what
/// stands behind the names.
std::optional<View> bound_value(View values, uint16_t number) {
  Reader reader(values);
  uint16_t count = 0;
  reader.get(count);
  reader.take(size_t{count} * 2);  // formats: a name is the same in both
  reader.get(count);
  std::optional<View> value;
  for (uint16_t i = 1; i <= count && i <= number && !reader.spoiled(); ++i) {
    int32_t size = 0;
    reader.get(size);
    value = size < 0 ? std::nullopt : std::optional(reader.take(static_cast<size_t>(size)));
  }
  return number <= count && !reader.spoiled() ? value : std::nullopt;
}

/// Whether this client_encoding, however it is spelled, keeps to what protocol/sql_scanner.h can
/// read: the encodings of servers.
bool is_readable(View encoding) {
  if (encoding == "UTF8") return true;
  std::string plain = lower_case(encoding);
  std::erase_if(plain, [](char c) { return (c < 'a' || c > 'z') && (c < '0' || c > '9'); });
  constexpr View readable[] = {"utf8", "unicode", "sqlascii",   "latin",  "iso8859", "euc",
                               "koi8", "win125",  "windows125", "win866", "win874"};
  return std::ranges::any_of(readable, [&](View name) { return plain.starts_with(name); });
}

/// Functions of large objects, which clients call by their numbers: they leave nothing. (pg_proc.h)
bool is_of_large_objects(uint32_t function) {
  constexpr uint32_t functions[] = {715, 764, 765, 767,  952,  953,  954,  955, 956,
                                    957, 958, 964, 1004, 3170, 3171, 3172, 3457};
  return std::ranges::find(functions, function) != std::end(functions);
}

}  // namespace

bool Relay::standard_strings() const {
  const Text& value = client_.values().get(Tracked::standard_conforming_strings);
  return !value || *value != "off";
}

// While a change of the encoding is under way nobody knows which one a text is in.
bool Relay::can_read() const {
  const Text& encoding = client_.values().get(Tracked::client_encoding);
  const bool in_doubt = encoding_sent_ && !server_.exchange().over();
  return !in_doubt && (!encoding || is_readable(*encoding));
}

/// The marks of a text; null: it has none that matter here.
SessionMarksPtr Relay::marks_of(View sql) const {
  const bool sees_all = tracks_session_ && strict_;
  if (!sees_all && !may_have_marks(sql)) return nullptr;
  auto marks = std::make_shared<const SessionMarks>(session_marks(sql, standard_strings()));
  return marks->any() || marks->opaque ? marks : nullptr;
}

// A message of the client is about to be sent. Those about statements come here only where these
// are not tracked: there a text counts when it is prepared. True: it forgets all statements.
bool Relay::look_at(char tag, View body) {
  if (tag == frontend::function_call) {
    const bool known = !strict_ && body.size() >= 4 && is_of_large_objects(load_u32(body.data()));
    if (!known) unread_is_sent();
  }
  if (tag == frontend::execute && bound_) execute_is_sent(body);
  if (tag == frontend::sync) parsed_in_batch_ = false;
  if (tag == frontend::bind && !parsed_in_batch_) unread_is_sent();  // a statement of before
  parsed_in_batch_ |= tag == frontend::parse;
  if (tag == frontend::parse) body.remove_prefix(std::min(body.find('\0'), body.size() - 1) + 1);
  if (tag != frontend::query && tag != frontend::parse) return false;
  if (!can_read()) unread_is_sent();
  const auto marks = marks_of(body.substr(0, body.find('\0')));
  if (!marks) return false;
  if (tag == frontend::query && waits_for_begin(*marks)) return false;
  const bool whole_query = tag == frontend::query && body.find('\0') + 1 == body.size();
  if (whole_query) stand_in(*marks, tag);
  marks_are_sent(*marks, {});
  return marks->forgets_statements && tag == frontend::query;
}

// What is to follow a request comes first, and it is not certain yet what that has left. A COPY
// takes no notice of a Sync that comes too early: there the client goes on.
bool Relay::awaits_end() const {
  const Exchange& exchange = server_.exchange();
  return (restore_due_ && exchange.ready_owed()) || (forgetting_ && !exchange.over());
}

// What the client has reset is what it was at its start, from the next request on: in the same
// transaction, if that goes on.
void Relay::request_is_sent(char tag) {
  restore_due_ |= tag == frontend::query || tag == frontend::sync;
}

// What has failed was not reset. A cancel that comes late would strike this.
void Relay::restore_settings(bool failed) {
  if (!restore_due_ || server_.exchange().owed() > 0) return;
  if (failed) restoring_.clear();
  if (server_.cancels() > 0 && !restoring_.empty()) return;
  restore_due_ = false;
  const SettingNames names = std::exchange(restoring_, {});
  if (names.empty()) return;
  server_.restore_settings(client_.session().restore(names));
  for (const std::string& name : names) touch(name);
}

// Of a text that was prepared without a name; null where nobody looks, or where it is cut.
SessionMarksPtr Relay::unnamed_marks(View parse, bool cut) {
  if (!tracks_session_) return nullptr;
  if (cut || !can_read()) unread_is_sent();
  return cut ? nullptr : marks_of(parse.substr(0, parse.find('\0')));
}

// What a statement does it does each time that it runs.
void Relay::bind_is_sent(View portal, const SessionMarksPtr& marks, View bound) {
  if (!can_read()) unread_is_sent();
  if (bound_portal_ == portal) bound_.reset();
  if (!marks) return;
  if (marks->only_deallocates || marks->only_prepares) {
    bound_ = marks;
    bound_portal_ = portal;
  }
  marks_are_sent(*marks, bound);
}

// It is not before this that the statement of a portal does anything.
void Relay::execute_is_sent(View body) {
  if (body.substr(0, body.find('\0')) == bound_portal_) stand_in(*bound_, frontend::execute);
}

// Nobody keeps a text of this size to read it.
void Relay::unread_is_sent() {
  if (tracks_session_) server_.session().taint(client_.id());
}

// Of parameters that the server reports nothing need be asked.
void Relay::touch(const std::string& setting) {
  const auto parameter = client_.worker().pooler().tracked().find(setting);
  const bool is_reported = parameter && server_.values().get(*parameter);
  if (tracks_session_ && !is_reported) server_.session().touch(setting);
}

void Relay::marks_are_sent(const SessionMarks& marks, View bound) {
  client_.session().note_resets(marks, restoring_);
  if (!tracks_session_) return;
  ServerSession& session = server_.session();
  Pins staying = settings().policies.with(StatePolicy::pin);
  staying.remove(StatePolicies().with(StatePolicy::pin));  // of those the server can be asked
  staying.remove(Pin::listen);
  if (staying.any()) session.pin(kinds_of(marks).common(staying));
  if (!marks.listens.empty()) client_.pool()->subscribers().reserve(client_, marks.listens);
  if (client_.has_channels()) {
    const Exchange& exchange = server_.exchange();
    client_.channels().listen_sent(marks.listens, exchange.readies_owed());
    const bool ends = marks.unlistens_all || !marks.unlistens.empty();
    if (ends && !exchange.skipping()) {
      client_.channels().unlisten_sent(marks.unlistens, marks.unlistens_all,
                                       exchange.readies_owed());
    }
  }
  for (const std::string& name : marks.settings) {
    touch(name);
    encoding_sent_ |= name == "client_encoding";
  }
  for (const uint16_t number : marks.named_by) {
    const auto bound_name = bound_value(bound, number);
    if (!bound_name) {
      session.pin(Pin::setting);
      continue;
    }
    const bool is_text = bound_name->find('\0') == View::npos;
    if (!is_text || (speaks_utf8() && !is_utf8(*bound_name))) continue;  // the server refuses it
    const std::string name = lower_case(*bound_name);
    touch(name);
    encoding_sent_ |= name == "client_encoding";
    restoring_.erase(name);
  }
  const bool takes_ours = std::ranges::any_of(
      marks.statements, [](View name) { return name.starts_with(statement_prefix); });
  if (takes_ours) session.taint(client_.id());  // other clients would miss them
  if (!strict_ || !marks.opaque) return session.sent(marks);
  session.taint(client_.id());  // which makes good for settings of unknown names as well
  SessionMarks rest = marks;
  rest.begins.remove(Pin::setting);
  session.sent(rest);
}

}  // namespace headgate
