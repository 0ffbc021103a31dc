#include "proxy/server_audit.h"

#include <algorithm>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

void ServerAudit::begin_lease(bool due) {
  due_ = due;
  confirms_ = false;
  strikes_ = 0;
  audit_.forget_texts();
}

// A statement is heard when it is prepared, and whenever it is bound.
void ServerAudit::hear(char tag, View body, const ClientStatements& statements) {
  const auto take = [&] {
    const View taken = body.substr(0, body.find('\0'));
    body.remove_prefix(std::min(taken.size() + 1, body.size()));
    return taken;
  };
  switch (tag) {
    case frontend::query:
      return audit_.heard(take());
    case frontend::parse:
      take();
      return audit_.heard(take());
    case frontend::bind: {
      take();
      const View name = take();
      const StatementPtr statement =
          name.empty() ? statements.unnamed_shared() : statements.find(name);
      body = statement ? statement->text() : name.empty() ? statements.unnamed() : View();
      return body.empty() ? void() : audit_.heard(take());
    }
    default:
      return;
  }
}

// What it has said when it logged in may be spelled in another way than the server does.
void ServerAudit::lease_over(Client& client) {
  in_other_words_ = client.session().names_at_start();
}

SessionAudit::Belief ServerAudit::belief() const {
  ServerSession& session = server_.session();
  SessionAudit::Belief belief;
  if (session.values()) belief.settings = *session.values();
  belief.in_other_words = in_other_words_;
  belief.unknown = session.unknown();
  belief.made = session.statements().all();
  belief.prepared = server_.statements().names();
  const PoolSettings& settings = server_.pool().settings();
  if (settings.tracks_sessions()) belief.ignored = settings.policies.with(StatePolicy::ignore);
  const TrackedNames& names = server_.worker().pooler().tracked();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto parameter = static_cast<Tracked>(i);
    const Text& value = server_.values().get(parameter);
    if (value) belief.reported[std::string(names.name(parameter))] = *value;
  }
  belief.reported["session_authorization"] = server_.pool().entry().user.name;
  return belief;
}

std::string ServerAudit::question() {
  struck_ = false;
  belief_ = belief();
  return audit_.question(belief_, server_.session().undeferred());
}

void ServerAudit::take_row(View body) {
  const auto row = decode<backend::DataRow>(body);
  if (row) audit_.row({row->values.begin(), row->values.end()});
}

void ServerAudit::failed(const ErrorFields& fields) {
  struck_ = fields.sqlstate == "57014";
  audit_.failed(fields.message);
}

bool ServerAudit::looks_again() { return struck_ && ++strikes_ < most_strikes; }

// A client that counts on what PgBouncer leaves it is not to lose that.
bool ServerAudit::may_reset() const {
  const PoolSettings& settings = server_.pool().settings();
  return settings.mode == PoolMode::session || settings.tracks_sessions();
}

bool ServerAudit::over() {
  auto differences = audit_.compare(belief_);
  if (confirms_) {
    differences = audit_.confirm(std::move(before_), belief_);
  } else if (!differences.empty() && may_reset()) {
    before_ = std::move(differences);
    confirms_ = true;
    return true;
  } else {
    audit_.believe(differences);
  }
  due_ = false;
  tell(differences);
  return false;
}

void ServerAudit::tell(const std::vector<AuditDifference>& differences) const {
  AuditBook& book = server_.pool().entry().audits;
  book.looked();
  for (const AuditDifference& one : differences) {
    const std::string texts = audit_.texts();
    log(LogLevel::warning, server_.log_subject(), "session audit: {}; behind: {}",
        field("difference", to_text(one)), field("behind", texts));
    book.add({server_.worker().outside().wall_microseconds(), one, texts});
  }
}

}  // namespace headgate
