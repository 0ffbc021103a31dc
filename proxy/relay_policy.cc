// What an operator lets clients leave in their sessions (session_policy, max_pinned_servers). A
// text that would leave more never reaches the server. In its place goes one that no server
// understands, so that the error comes where PostgreSQL would raise it, and ends the batch or the
// transaction that it would end; the client hears it in words that help.
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <array>

#include "protocol/error_fields.h"
#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "protocol/sql_scanner.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/relay.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr View refused_prefix = "headgate_refused_";
constexpr View refused_limit = "limit";

/// What a client can do instead, for each kind.
constexpr std::array<View, pin_count> advice = {
    "Use pg_advisory_xact_lock() and its like, which end with the transaction.",
    "Use an ordinary or unlogged table, or a pool in session mode.",
    "Use a cursor without WITH HOLD, within a transaction.",
    "Use the prepared statements of the protocol.",
    "Use a pool in session mode.",
    "Use session_preload_libraries or shared_preload_libraries.",
    "Use SET LOCAL, or set_config() with is_local, within a transaction."};

/// What a statement looks like, whatever its constants are.
uint64_t shape_of(View sql) {
  uint64_t shape = 0;
  SqlScanner scanner(sql);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    const bool constant = token.kind == TokenKind::string || token.kind == TokenKind::number;
    const View text = constant ? View("?") : token.text;
    shape = XXH3_64bits_withSeed(text.data(), text.size(), shape);
  }
  return shape;
}

std::optional<Pin> first_of(Pins kinds) {
  for (size_t i = 0; i < pin_count; ++i) {
    if (kinds.has(static_cast<Pin>(i))) return static_cast<Pin>(i);
  }
  return std::nullopt;
}

}  // namespace

bool Relay::is_governed() const {
  return !settings().policies.are_default() || settings().max_pinned_servers > 0;
}

/// What a text may leave. Settings that the server reports follow every client in any pooler, and
/// to reset one leaves nothing.
Pins Relay::kinds_of(const SessionMarks& marks) const {
  Pins kinds = marks.begins;
  if (marks.loads) kinds.add(Pin::load);
  if (marks.prepares) kinds.add(Pin::prepared);
  const auto leaves = [&](const std::string& name) {
    const bool resets = std::ranges::find(marks.settings_reset, name) != marks.settings_reset.end();
    return !resets && !client_.worker().pooler().tracked().find(name);
  };
  if (!marks.named_by.empty() || std::ranges::any_of(marks.settings, leaves)) {
    kinds.add(Pin::setting);
  }
  return kinds;
}

/// A message of the client is about to be sent. What is to be sent instead, header included;
/// nothing: it can go as it is.
std::optional<Bytes> Relay::instead_of(char tag, View body) {
  if (tag != frontend::query && tag != frontend::parse) return std::nullopt;
  const size_t name = tag == frontend::parse ? body.find('\0') : 0;
  if (name == View::npos) return std::nullopt;
  View sql = tag == frontend::parse ? body.substr(name + 1) : body;
  sql = sql.substr(0, sql.find('\0'));
  const SessionMarksPtr marks = marks_of(sql);
  if (!marks) return std::nullopt;
  const Pins kinds = kinds_of(*marks);
  const StatePolicies& policies = settings().policies;
  std::string refusal(refused_prefix);
  if (const auto refused = first_of(kinds.common(policies.with(StatePolicy::refuse)))) {
    refusal += word_of(*refused);
  } else if (!may_pin(kinds, marks->begins)) {
    refusal += refused_limit;
  } else {
    warn(kinds.common(policies.with(StatePolicy::warn)), sql);
    return std::nullopt;
  }
  Bytes message;
  if (tag == frontend::query) {
    encode(message, frontend::Query{refusal});
  } else {
    encode(message, frontend::Parse{body.substr(0, name), refusal, {}});
  }
  return message;
}

/// Whether the server may stay with this client for what is begun. The place that it takes is kept
/// until the server goes back.
bool Relay::may_pin(Pins kinds, Pins begins) {
  const StatePolicies& policies = settings().policies;
  Pins pins = kinds.common(policies.with(StatePolicy::pin));
  const Pins warned = kinds.common(policies.with(StatePolicy::warn));
  for (size_t i = 0; i < pin_count; ++i) {
    const auto kind = static_cast<Pin>(i);
    if (warned.has(kind) && !StatePolicies::can_follow(kind)) pins.add(kind);
  }
  pins.add(begins.common(Pin::setting));  // one of unknown name
  if (!pins.any() || pinned_) return true;
  pinned_ = server_.pool().entry().pinned.try_take();
  return pinned_;
}

Relay::~Relay() {
  if (pinned_) server_.pool().entry().pinned.give_back();
}

void Relay::warn(Pins kinds, View sql) {
  const auto kind = first_of(kinds);
  if (!kind || !client_.warns_first_of(shape_of(sql))) return;
  const View fate = StatePolicies::can_follow(*kind) ? "is remembered by Headgate"
                                                     : "keeps the server for this client alone";
  encode_notice(notices_, fmt::format("{} {}", name_of(Pins(*kind)), fate), {},
                advice[static_cast<size_t>(*kind)]);
  if (server_.exchange().over() && !server_.mid_answer()) tell_notices();
}

void Relay::tell_notices() {
  if (!notices_.empty()) client_.link().send(std::exchange(notices_, {}));
}

/// True: this error stands for what was refused, and the client was told.
bool Relay::tell_refusal(const ErrorFields& fields) {
  const size_t at = fields.sqlstate == "42601" ? fields.message.find(refused_prefix) : View::npos;
  if (at == View::npos) return false;
  const View word = fields.message.substr(at + refused_prefix.size());
  std::optional<Error> error;
  for (size_t i = 0; i < pin_count; ++i) {
    const auto kind = static_cast<Pin>(i);
    if (!word.starts_with(word_of(kind))) continue;
    error.emplace(ErrorCode::state_refused,
                  fmt::format("{} is not allowed by session_policy", name_of(Pins(kind))));
    error->hint = advice[i];
  }
  if (word.starts_with(refused_limit)) {
    error.emplace(ErrorCode::too_many_pinned);
    error->detail = fmt::format("{} servers of this pool belong to one client each.",
                                settings().max_pinned_servers);
    error->hint =
        "SHOW HOLDERS on the admin console names them and what they have left in their "
        "sessions; docs/sessions.md tells what pins a server and what does not.";
  }
  if (!error) return false;
  Bytes out;
  encode_error(out, *error);
  tell(out);
  return true;
}

}  // namespace headgate
