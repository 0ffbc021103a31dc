// What a simulated server's process says: rows, the ends of commands, errors, that it is ready; and
// what it was notified of, which it tells between two transactions.
#include <utility>

#include "tests/sim/postgres.h"

namespace headgate::sim {

void Backend::say(char tag, View body) {
  if (tag == 'D' || tag == 'C' || tag == 'I' || tag == 'V') exposed_ = true;
  append_message(out_, tag, body);
}

void Backend::complete(View tag) {
  Bytes body(tag);
  body.push_back('\0');
  say('C', body);
}

void Backend::fail(View sqlstate, View text, bool fatal) {
  Bytes body;
  for (const auto& [field, value] : {std::pair<char, View>{'S', fatal ? "FATAL" : "ERROR"},
                                     {'V', fatal ? "FATAL" : "ERROR"},
                                     {'C', sqlstate},
                                     {'M', text}}) {
    body.push_back(field);
    body.append(value);
    body.push_back('\0');
  }
  body.push_back('\0');
  say('E', body);
  host_.world().note("server {} says {} {}", process_, sqlstate, text);
  step_failed_ = true;
  if (fatal) {
    end_->send_all(out_);
    return close();
  }
  if (status_ == 'I') settings_settle(false);
  if (status_ == 'T') status_ = 'E';
  // What remains of the simple query is not run; a batch is skipped up to its Sync.
  const bool simple = copying_ ? copy_simple_ : !implicit_;
  copying_.reset();
  if (simple) {
    while (!steps_.empty() && steps_.front().simple) {
      const bool last = steps_.front().last;
      steps_.pop_front();
      if (last) break;
    }
    ready();
  } else {
    skipping_ = true;
  }
}

void Backend::answer_rows(const Statement& statement) {
  const bool copy = statement.kind == Statement::Kind::copy_out;
  if (copy) {
    say('H', Bytes(3, '\0'));
  } else if (statement.rows > 0 && !implicit_) {
    say('T', signature(statement));
  }
  for (int row = 0; row < statement.rows; ++row) {
    say(copy ? 'd' : 'D', model_.row(statement, row));
  }
  if (copy) say('c', {});
  complete(fmt::format("{} {}", copy ? "COPY" : "SELECT", statement.rows));
}

void Backend::ready() {
  implicit_ = exposed_ = false;
  if (status_ == 'I') {
    settings_settle(true);
    owner_ = 0;
    tell_notified();
  }
  tell_promotion();
  say('Z', View(&status_, 1));
}

// --- notifications

void Backend::notify(int client, int number) {
  if (!model_.keeps("listen", client)) return;
  notified_.push_back({client, fmt::format("n{}", client), std::to_string(number)});
  hear();
}

void Backend::notify_crossing(const std::string& channel, const std::string& payload) {
  if (meets_ != channel) return;
  notified_.push_back({0, channel, payload});
  hear();
}

// PostgreSQL begins to listen before it looks at what was notified, its own as well.
void Backend::crossing_settles(bool committed) {
  const auto listens = std::exchange(to_meet_, std::nullopt);
  const auto payload = std::exchange(crossing_, std::nullopt);
  if (!committed) return;
  if (listens) meets_ = listens;
  if (!payload) return;
  notified_.push_back({0, *meets_, *payload});
  const std::string channel = *meets_;
  host_.notify_crossing(channel, *payload, *this);
}

void Backend::tell_notified() {
  const bool busy = status_ != 'I' || implicit_ || working_ || copying_ || !steps_.empty();
  if (busy || !started_) return;
  for (const auto& [client, channel, payload] : std::exchange(notified_, {})) {
    const bool listens = client == 0 ? meets_ == channel : model_.keeps("listen", client);
    if (!listens) continue;
    Bytes body(4, '\0');
    body.append(channel).push_back('\0');
    body.append(payload).push_back('\0');
    say('A', body);
  }
}

}  // namespace headgate::sim
