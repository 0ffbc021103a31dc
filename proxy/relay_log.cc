// The log's line of a query that took long. Its text is not kept for that unless such lines are
// asked for, and is written without its constants: they may be secrets.
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "protocol/statement_shape.h"
#include "proxy/client.h"
#include "proxy/log_subject.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr size_t longest_noted = 4096;

double milliseconds_of(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

}  // namespace

// What the request begins with. Of one that is sent behind others nothing is kept.
void Relay::note_statement(char tag, View body) {
  Bytes& note = server_.noted_statement();
  if (server_.exchange().over()) {
    note.clear();
  } else if (request_ended_ || !note.empty()) {
    return;
  }
  View text;
  if (tag == frontend::query) text = body;
  if (tag == frontend::parse) text = body.substr(std::min(body.find('\0'), body.size() - 1) + 1);
  if (tag == frontend::bind && client_.has_statements()) {
    const View names = body.substr(std::min(body.find('\0'), body.size() - 1) + 1);
    const StatementPtr& statement = of_client().find(names.substr(0, names.find('\0')));
    if (statement) text = statement->text();
  }
  note = text.substr(0, std::min(text.find('\0'), longest_noted));
}

void Relay::log_slow(Duration taken) {
  Bytes statement;
  const View noted = server_.noted_statement();
  if (notes_statements_ && can_read())
    append_without_constants(statement, noted, standard_strings());
  const bool waited = query_since_ == linked_;
  const Duration wait = waited ? linked_ - client_.request_since() : Duration();
  const LogSubject server = server_.log_subject();
  log(LogLevel::log, client_.log_subject(),
      "duration: {:.3f} ms; waited {:.3f} ms; server {}, process {}: {}",
      field("duration_ms", milliseconds_of(taken)), field("wait_ms", milliseconds_of(wait)),
      field("server", server.place.text()), field("server_pid", server.server_process),
      field("statement", statement.empty() ? View("(text not kept)") : View(statement)));
}

}  // namespace headgate
