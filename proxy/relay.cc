#include "proxy/relay.h"

#include <fmt/format.h>

#include <array>

#include "admin/explain_wait.h"
#include "protocol/frontend.h"
#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// How long a server has to answer a cancel of ours before both connections are closed.
constexpr Duration cancel_grace = seconds(5);

enum class Meaning : uint8_t { unknown, request, copy_data, copy_end, flush, goodbye };

struct FrontendRow {
  char tag;
  Meaning meaning;
  Asked asked;
};

// What a client may say while it is linked; all else breaks the protocol.
constexpr FrontendRow frontend_rows[] = {
    {'Q', Meaning::request, Asked::query},
    {'F', Meaning::request, Asked::function_call},
    {'P', Meaning::request, Asked::parse},
    {'B', Meaning::request, Asked::bind},
    {'D', Meaning::request, Asked::describe_statement},  // or a portal: allows more answers
    {'E', Meaning::request, Asked::execute},
    {'C', Meaning::request, Asked::close},
    {'S', Meaning::request, Asked::sync},
    {'H', Meaning::flush, Asked::sync},
    {'d', Meaning::copy_data, Asked::sync},
    {'c', Meaning::copy_end, Asked::copy_end},
    {'f', Meaning::copy_end, Asked::copy_end},
    {'X', Meaning::goodbye, Asked::sync},
};

constexpr auto frontend_table = [] {
  std::array<FrontendRow, 128> table{};
  for (const FrontendRow& row : frontend_rows) table[static_cast<unsigned char>(row.tag)] = row;
  return table;
}();

FrontendRow row_of(char tag) {
  const auto index = static_cast<unsigned char>(tag);
  return index < frontend_table.size() ? frontend_table[index] : FrontendRow{};
}

}  // namespace

struct Relay::Input {
  Relay& relay;
  View in;

  Treat on_header(char tag, uint32_t body_size) {
    if (relay.client_.packet_too_large(body_size)) return broken(ErrorCode::packet_too_large);
    switch (row_of(tag).meaning) {
      case Meaning::request:
        if (tag == frontend::query && relay.settings().disable_pqexec) {
          return broken(ErrorCode::pqexec_disallowed);
        }
        if (relay.must_wait(tag)) {
          relay.full_ = true;
          return Treat::stop;
        }
        break;
      case Meaning::flush:
        relay.tell_parse_due();
        break;
      case Meaning::copy_end:
        break;
      case Meaning::copy_data:
        return Treat::pass;
      case Meaning::goodbye:
        relay.goodbye_ = true;
        return Treat::stop;
      case Meaning::unknown:
        return broken(ErrorCode::unknown_packet);
    }
    // A server gets a message only when it is there, so that a client which stalls or vanishes in
    // the middle of one spoils nothing; but for large ones, which nobody wants to keep.
    if (body_size <= max_whole) return Treat::gather;
    if (relay.tracks_statements_ && is_about_statements(tag)) {
      return treat_statement(tag, body_size);
    }
    if (relay.tracks_session_ && is_text(tag, body_size)) return Treat::gather;
    if (tag == frontend::query || tag == frontend::parse || tag == frontend::bind ||
        tag == frontend::function_call) {
      relay.unread_is_sent();
    }
    relay.database_request_.reset();
    relay.asked(tag);
    return Treat::pass;
  }

  void on_pass(View bytes, bool lent) {
    relay.keep_for_replay(bytes);
    Link& to = relay.server_.link();
    lent ? to.lend(bytes) : to.send(bytes);
  }

  bool on_message(char tag, View body, bool) {
    const auto other = relay.governed_ ? relay.instead_of(tag, body) : std::nullopt;
    return take(tag, other ? View(*other).substr(header_size) : body);
  }

  bool take(char tag, View body) {
    const View whole(body.data() - header_size, body.size() + header_size);
    const bool lent = whole.data() >= in.data() && whole.data() < in.data() + in.size();
    relay.note_database_request(tag, body);
    if (relay.notes_statements_) relay.note_statement(tag, body);
    if (ServerAudit* audit = relay.server_.audit()) {
      audit->hear(tag, body, relay.client_.statements());
    }
    if (relay.tracks_statements_ && is_about_statements(tag)) {
      const size_t kept = relay.server_.replay_memory().size();
      relay.keep_for_replay(whole);
      const uint32_t missing = load_u32(whole.data() + 1) - length_size - body.size();
      relay.statement_message({tag, body, lent, missing});
      if (!relay.holds_) return !relay.client_error_;
      relay.server_.replay_memory().resize(kept);
      relay.hold(whole);
      return false;
    }
    const bool looks = relay.tracks_session_ || relay.restores_;
    const bool forgets = looks && relay.look_at(tag, body);
    if (relay.holds_) {
      relay.hold(whole);
      return false;
    }
    relay.asked(tag, body);
    relay.forgetting_ |= forgets;
    on_pass(whole, lent);
    if (!relay.restoring_.empty()) relay.request_is_sent(tag);
    return true;
  }

  Treat broken(ErrorCode code) {
    relay.client_error_.emplace(code);
    return Treat::bad;
  }
};

bool Relay::is_text(char tag, uint32_t body_size) {
  return (tag == frontend::query || tag == frontend::parse) && body_size <= max_text;
}

bool Relay::is_request(char tag) { return row_of(tag).meaning != Meaning::unknown; }

size_t Relay::bytes_to_begin(char tag, uint32_t body_size, const PoolSettings& settings) {
  const size_t whole = header_size + size_t{body_size};
  if (body_size <= max_whole) return whole;
  if (settings.prepared_statements == 0 || !is_about_statements(tag)) {
    return settings.tracks_sessions() && is_text(tag, body_size) ? whole : header_size;
  }
  return treat_statement(tag, body_size) == Treat::gather ? whole
                                                          : header_size + Framer::peek_bytes;
}

Relay::Relay(Client& client, Server& server, Instant now)
    : client_(client),
      server_(server),
      linked_(now),
      transaction_since_(now),
      written_before_(server.link().stream().written()),
      writes_nothing_(client.read_request().writes_nothing),
      alone_(client.read_request().for_replica),
      withholds_(server.pool().entry().is_reader()),
      withholds_all_(client.read_request().withheld),
      begin_(client.deferred_begin() ? Begin::due : Begin::none),
      tracks_statements_(server.replication() == Replication::none &&
                         server.pool().settings().prepared_statements > 0),
      tracks_session_(server.replication() == Replication::none &&
                      server.pool().settings().tracks_sessions()),
      strict_(server.pool().settings().session_state == SessionPolicy::strict),
      restores_(server.replication() == Replication::none && client.session().has_start()),
      notes_statements_(server.pool().settings().log_min_duration.count() >= 0),
      governed_(tracks_session_ && is_governed()) {
  server.session().ignore(settings().policies.with(StatePolicy::ignore));
  server.replay_memory().clear();
  server.withheld().clear();
  if (client.has_channels()) client.channels().forget_unlistens();  // of a server that was lost
}

const PoolSettings& Relay::settings() const { return server_.pool().settings(); }

size_t Relay::from_client(View in) {
  full_ = false;
  Input input{*this, in};
  if (begin_ == Begin::due && !send_begin()) return 0;
  if (!held_.empty() && !send_held(input)) return 0;
  const size_t taken = client_.framer().feed(in, input);
  if (client_.framer().broken() && !client_error_) client_error_.emplace(ErrorCode::bad_packet);
  client_.worker().outbox().flush();
  return taken;
}

// False: not yet.
bool Relay::send_held(Input& input) {
  full_ = !room_again();
  if (full_) return false;
  const Bytes held = std::exchange(held_, {});
  input.on_message(held[0], View(held).substr(header_size), false);
  client_.worker().outbox().flush();  // it was lent, maybe
  return true;
}

// The message is about to be sent; `body` is empty where it is not kept.
void Relay::asked(char tag, View body) {
  const FrontendRow row = row_of(tag);
  Exchange& exchange = server_.exchange();
  if (row.meaning == Meaning::copy_end) exchange.sent(Asked::copy_end);
  if (row.meaning != Meaning::request) return;
  begin_request();
  is_followed_ |= request_ended_;
  request_ended_ =
      row.asked == Asked::query || row.asked == Asked::function_call || row.asked == Asked::sync;
  send_other_request(row.asked, body);
  PoolStats& stats = server_.pool().stats();
  if (row.asked == Asked::parse) ++stats.client_parse_count, ++stats.server_parse_count;
  if (row.asked == Asked::bind) ++stats.bind_count;
}

// Something is about to be asked of the server.
void Relay::begin_request() {
  const Instant now = client_.worker().now();
  if (server_.exchange().over()) forgetting_ = false;
  if (!in_transaction_ && server_.exchange().over()) transaction_since_ = now;
  if (!query_since_) query_since_ = now;
  idle_since_.reset();
  if (tracks_session_) server_.session().request_is_sent(client_.session());
  if (settings().has_timeouts()) server_.arm_for_relay();
}

bool Relay::must_wait(char tag) const {
  if (server_.exchange().owed() >= max_owed || server_.cancels() > 0 || repeats_) return true;
  if (one_at_a_time()) return true;
  if (server_.may_refuse_values() || awaits_end() || server_.session().unlistening()) return true;
  if (awaits_begin()) return true;
  const bool by_name = is_about_statements(tag) || (tag == frontend::query && tracks_session_);
  if (!tracks_statements_ || !by_name) return false;
  const ServerStatements& statements = server_.statements();
  if (statements.unsettled()) return true;
  const bool uses = tag == frontend::bind || tag == frontend::describe;
  return uses && statements.unnamed_is_unsettled();
}

// The copy is made only until the first answer, and costs no allocation in the long run: the memory
// belongs to the server and is kept.
void Relay::keep_for_replay(View bytes) {
  Bytes& kept = server_.replay_memory();
  replayable_ = replayable_ && kept.size() + bytes.size() <= max_replay;
  if (replayable_) kept.append(bytes);
}

bool Relay::room_again() const {
  return server_.exchange().owed() < max_owed / 2 && server_.cancels() == 0 && !repeats_ &&
         !server_.may_refuse_values() && !awaits_end() && !awaits_begin() && !one_at_a_time() &&
         !server_.session().unlistening() && !server_.statements().unsettled() &&
         !server_.statements().unnamed_is_unsettled();
}

void Relay::query_ended(TransactionStatus status) {
  const Instant now = client_.worker().now();
  PoolStats& stats = server_.pool().stats();
  ++stats.query_count;
  PoolMeters& meters = server_.pool().meters();
  if (query_since_) {
    const Duration taken = now - *query_since_;
    stats.query_time += static_cast<uint64_t>(taken.count());
    meters.query.add(taken);
    const Duration least = settings().log_min_duration;
    if (least.count() >= 0 && taken >= least) log_slow(taken);
    if (notes_statements_) server_.noted_statement().clear();
  }
  query_since_.reset();
  canceled_ = false;
  grace_until_.reset();
  // A cancel of ours may strike the next query of a pipeline instead.
  if (server_.exchange().over() && server_.cancels() == 0) overdue_error_.reset();
  if (!server_.exchange().over()) query_since_ = now;
  // Before Headgate asks something itself, for which nothing of the client's need wait.
  if (server_.exchange().over()) forgetting_ = false;
  in_transaction_ = status != TransactionStatus::idle;
  restore_settings(std::exchange(request_failed_, false));
  if (in_transaction_) {
    if (!query_since_) idle_since_ = now;
    return;
  }
  if (!server_.in_recovery() && (!writes_nothing_ || is_followed_)) client_.has_written();
  ++stats.xact_count;
  stats.xact_time += static_cast<uint64_t>((now - transaction_since_).count());
  meters.transaction.add(now - transaction_since_);
  transaction_since_ = now;
  deferred_for_ = {};
}

// In words of ours.
void Relay::tell(View message) {
  told();
  client_.link().send(message);
}

bool Relay::rewrite_error(View body) {
  request_failed_ = true;
  const auto fields = decode_error_fields(body);
  if (!fields) return false;
  if (makes_room(*fields)) return true;
  if (governed_ && tell_refusal(*fields)) return true;
  if (is_for_primary(*fields)) return true;
  if (!overdue_error_ || fields->sqlstate != "57014") {
    return tracks_statements_ && (renew_statements(*fields) || restore_names(*fields, body));
  }
  Bytes out;
  encode_error_with_detail(out, body, overdue_error_->detail);
  tell(out);
  return true;
}

bool Relay::complete() const {
  const ServerSession& session = server_.session();
  const bool restores = restore_due_ && !restoring_.empty();
  return between_transactions() && !session.must_ask() && !session.pins().any() && !restores;
}

bool Relay::between_transactions() const {
  // A message that the client has sent in part belongs to this server.
  return settings().mode != PoolMode::session && !server_.owner() && server_.exchange().clean() &&
         client_.framer().remaining() == 0 && held_.empty();
}

bool Relay::untouched() const {
  if (parses_told_ > 0) return false;
  if (never_read_) return replayable_;
  if (!untouched_ || !replayable_) return false;
  const auto confirmed = server_.link().stream().confirmed();
  return confirmed && *confirmed <= written_before_;
}

View Relay::replay() const { return server_.replay_memory(); }

Unanswered Relay::unanswered() const {
  return {Bytes(replay()).append(held_), canceled_,
          grace_until_ ? overdue_error_->detail : std::string()};
}

void Relay::repeat() {
  repeats_ = false;
  parse_due_ = false;
  request_failed_ = false;
  server_.withheld().clear();
  if (database_request_ && database_request_->again) return repeat_database_request();
  repeated_ = true;
  restore_due_ = false;
  restoring_.clear();
  const Bytes request = std::exchange(server_.replay_memory(), Bytes());
  Framer framer;
  Input input{*this, request};
  framer.feed(request, input);
  client_.worker().outbox().flush();
}

std::optional<Instant> Relay::deadline() const {
  if (grace_until_) return grace_until_;
  std::optional<Instant> first;
  const auto consider = [&](std::optional<Instant> since, Duration limit) {
    if (since && limit.count() > 0 && (!first || *since + limit < *first)) first = *since + limit;
  };
  consider(query_since_, settings().query_timeout);
  consider(idle_since_, settings().idle_transaction_timeout);
  const bool open = in_transaction_ || query_since_;
  consider(open ? std::optional(begun()) : std::nullopt, settings().transaction_timeout);
  return first;
}

void Relay::set_overdue(ErrorCode timeout, std::optional<Instant> since, Duration limit,
                        Instant now) {
  overdue_error_.emplace(timeout);
  explain(*overdue_error_, explain_overdue(timeout, since ? now - *since : limit, limit));
}

Relay::Overdue Relay::overdue(Instant now) {
  const auto passed = [&](std::optional<Instant> since, Duration limit) {
    return since && limit.count() > 0 && *since + limit <= now;
  };
  if (grace_until_) {
    if (*grace_until_ > now) return Overdue::nothing;
    set_overdue(ErrorCode::query_timeout, query_since_, settings().query_timeout, now);
    return Overdue::close;
  }
  if (passed(idle_since_, settings().idle_transaction_timeout)) {
    set_overdue(ErrorCode::idle_transaction_timeout, idle_since_,
                settings().idle_transaction_timeout, now);
    return Overdue::close;
  }
  if ((in_transaction_ || query_since_) && passed(begun(), settings().transaction_timeout)) {
    set_overdue(ErrorCode::transaction_timeout, begun(), settings().transaction_timeout, now);
    return Overdue::close;
  }
  if (!passed(query_since_, settings().query_timeout)) return Overdue::nothing;
  set_overdue(ErrorCode::query_timeout, query_since_, settings().query_timeout, now);
  if (settings().timeout_action == TimeoutAction::close) return Overdue::close;
  overdue_error_->detail = fmt::format("query_timeout: the query ran longer than {:g} s.",
                                       static_cast<double>(settings().query_timeout.count()) / 1e6);
  grace_until_ = now + cancel_grace;
  return Overdue::cancel;
}

}  // namespace headgate
