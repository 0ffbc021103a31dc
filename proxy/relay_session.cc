// The sessions of clients that share servers: what a client says is looked at for what it may leave
// behind, before the server gets it. What became of it is asked when the transaction is over
// (proxy/server_session.cc). In session mode, and with session_state = pgbouncer, nobody looks.
#include <algorithm>

#include "protocol/codec.h"
#include "protocol/frontend.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/relay.h"
#include "proxy/server.h"
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

}  // namespace

bool Relay::standard_strings() const {
  const Text& value = client_.values().get(Tracked::standard_conforming_strings);
  return !value || *value != "off";
}

/// The marks of a text; null: it has none that matter here.
SessionMarksPtr Relay::marks_of(View sql) const {
  if (!strict_ && !may_have_marks(sql)) return nullptr;
  auto marks = std::make_shared<const SessionMarks>(session_marks(sql, standard_strings()));
  return marks->any() || marks->opaque ? marks : nullptr;
}

// A message of the client is about to be sent. Those about statements come here only where these
// are not tracked: there a text counts when it is prepared.
void Relay::look_at(char tag, View body) {
  if (tag == frontend::function_call && strict_) return server_.session().taint(client_.id());
  if (tag == frontend::parse) body.remove_prefix(std::min(body.find('\0'), body.size() - 1) + 1);
  if (tag != frontend::query && tag != frontend::parse) return;
  if (const auto marks = marks_of(body.substr(0, body.find('\0')))) marks_are_sent(*marks, {});
}

// What the client has reset is what it was at its start: behind the request, and in its transaction
// if that goes on. Until then nothing else is sent.
void Relay::request_is_sent(char tag) {
  restores_ |= tag == frontend::query || tag == frontend::sync;
}

// A COPY takes no notice of a Sync that comes too early: there the client goes on.
bool Relay::awaits_restore() const { return restores_ && server_.exchange().ready_owed(); }

// What has failed was not reset.
void Relay::restore_settings(bool failed) {
  if (!restores_ || server_.exchange().owed() > 0) return;
  restores_ = false;
  const std::string sql = std::exchange(restoring_, {});
  if (failed) return;
  server_.restore_settings(sql);
  for (const auto& [name, value] : *client_.session().at_start()) server_.session().touch(name);
}

// Of a text that was prepared without a name; null where nobody looks, or where it is cut.
SessionMarksPtr Relay::unnamed_marks(View parse, bool cut) {
  if (!tracks_session_) return nullptr;
  if (cut) unread_is_sent();
  return cut ? nullptr : marks_of(parse.substr(0, parse.find('\0')));
}

// What a statement does it does each time that it runs. The unnamed one is the last that was
// prepared: not one that an error has kept from that.
void Relay::bind_is_sent(View statement, View bound) {
  const ClientStatements* statements = client_.has_statements() ? &client_.statements() : nullptr;
  const StatementPtr named =
      statement.empty() || !statements ? nullptr : statements->find(statement);
  const SessionMarksPtr marks = statement.empty() ? server_.statements().unnamed_marks(statements)
                                : named           ? named->marks
                                                  : nullptr;
  if (marks) marks_are_sent(*marks, bound);
}

// Nobody keeps a text of this size to read it.
void Relay::unread_is_sent() {
  if (tracks_session_) server_.session().taint(client_.id());
}

void Relay::marks_are_sent(const SessionMarks& marks, View bound) {
  ServerSession& session = server_.session();
  const TrackedNames& reported = client_.worker().pooler().tracked();
  const auto touch = [&](const std::string& name) {
    if (!reported.find(name)) session.touch(name);
  };
  for (const std::string& name : marks.settings) touch(name);
  for (const uint16_t number : marks.named_by) {
    const auto name = bound_value(bound, number);
    name ? touch(lower_case(*name)) : session.pin(Pin::setting);
  }
  session.sent(marks);
  restoring_ += client_.session().restore(marks);
  if (strict_ && marks.opaque) session.taint(client_.id());
}

}  // namespace headgate
