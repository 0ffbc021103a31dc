#include "proxy/host_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/check.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// A primary tells where the next commit will be, those included that are not on disk yet, and on
// which timeline (the first eight digits of the name of its log file); a standby how far it has
// replayed. Each function fails in the other role. A standby's timeline is the one that it receives
// (known to members of pg_monitor), or that its control file names, which may be an earlier one.
constexpr char question[] =
    "SELECT r, CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn() "
    "ELSE pg_catalog.pg_current_wal_insert_lsn() END, CASE WHEN NOT r THEN pg_catalog.left("
    "pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8) {} END "
    "FROM (SELECT pg_catalog.pg_is_in_recovery() AS r OFFSET 0) AS roles";
constexpr View timeline_of_standby =
    "ELSE pg_catalog.to_hex(GREATEST("
    "(SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver()), "
    "(SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()), "
    "(SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())))";

// It may not ask for the control file, or there is none (a service that only looks like
// PostgreSQL).
bool is_refused(View sqlstate) { return sqlstate == "42501" || sqlstate == "42883"; }

std::optional<uint64_t> parse_hex(View text) {
  uint64_t number = 0;
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number, 16);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return number;
}

/// A position in the log, as PostgreSQL writes it: two hexadecimal numbers around a slash.
std::optional<uint64_t> parse_lsn(View text) {
  const size_t slash = text.find('/');
  if (slash == View::npos) return std::nullopt;
  const auto high = parse_hex(text.substr(0, slash)), low = parse_hex(text.substr(slash + 1));
  if (!high || !low || *high > UINT32_MAX || *low > UINT32_MAX) return std::nullopt;
  return *high << 32 | *low;
}

/// Where a primary writes next may be behind the header of a page that nothing stands on yet: what
/// is replayed then ends in front of that. (xlog_internal.h: pages of 8 KB, headers of 24 bytes, of
/// 40 at the beginning of a file)
uint64_t end_of_records(uint64_t lsn) {
  constexpr uint64_t page = 8192, header = 24, long_header = 40;
  const uint64_t in_page = lsn % page;
  return in_page == header || in_page == long_header ? lsn - in_page : lsn;
}

}  // namespace

HostProbe::HostProbe(Worker& worker, HostProbeUser& user, size_t host, std::string name,
                     PoolSettingsPtr settings, std::string role_name)
    : worker_(worker),
      user_(user),
      host_(host),
      name_(std::move(name)),
      role_name_(std::move(role_name)),
      settings_(std::move(settings)),
      deadline_(
          worker.deadlines(),
          [](void* self, Instant) { static_cast<HostProbe*>(self)->on_deadline(); }, this) {}

HostProbe::~HostProbe() = default;

void HostProbe::start(Duration interval, Duration timeout) {
  interval_ = interval;
  timeout_ = timeout;
  connect();
}

void HostProbe::on_deadline() {
  switch (state_) {
    case State::waiting:
      return connect();
    case State::login:
      return failed("no answer to the log-in", false);
    case State::idle:
      return ask();
    case State::asking:
    case State::asking_functions:
      return failed("no answer", false);
  }
}

// --- the connection

void HostProbe::connect() {
  state_ = State::login;
  link_ = std::make_unique<Link>(worker_, *this);
  framer_ = Framer();
  login_ = std::make_unique<ServerLogin>(*this, worker_, *link_);
  deadline_.arm(worker_.now() + 2 * timeout_);
  login_->start();
}

void HostProbe::connect_to(const Address& address, size_t) {
  address_ = address;
  link_->connect(address, settings_->socket);
}

void HostProbe::addresses_vanished(const HostUse& host, const std::vector<Address>& addresses) {
  if (host != use_ || state_ == State::waiting) return;
  const bool there = std::ranges::any_of(
      addresses, [&](const Address& address) { return address.host == address_.host; });
  if (there) failed("its name leads to another address", true);
}

LoginUser::Identity HostProbe::identity() const {
  Identity identity;
  identity.user = role_name_;
  identity.secret = secret_for_server(worker_.config(), settings_->entry, role_name_);
  identity.parameters = {{"application_name", "headgate: monitor"}};
  return identity;
}

void HostProbe::on_link_connected() { login_->connected(); }

void HostProbe::on_link_unsafe(const std::string& why) { failed("TLS: " + why, false); }

void HostProbe::on_link_end(int error) {
  if (state_ == State::login && login_->try_next_address()) return;
  failed(error == 0 ? "the connection was closed" : worker_.pooler().describe_error(error), true);
}

void HostProbe::login_went_on() {
  if (state_ != State::login) return;
  if (login_->progress() == ServerLogin::Progress::failed) {
    const Error error = login_->error();
    return failed(error.message, error.code == ErrorCode::server_connect_failed);
  }
  if (login_->progress() == ServerLogin::Progress::done) ask();
}

void HostProbe::on_link_bytes(View bytes) {
  if (state_ == State::login) {
    const size_t taken = login_->bytes(bytes);
    login_went_on();
    if (state_ == State::waiting || taken == bytes.size()) return;
    bytes.remove_prefix(taken);
  }
  WholeMessages input{max_message, [this](char tag, View body) {
                        answer(tag, body);
                        return state_ != State::waiting;
                      }};
  framer_.feed(bytes, input);
  if (framer_.broken()) failed("protocol violation by the server", false);
}

// What was asked of it is not answered; it is tried again.
void HostProbe::failed(std::string why, bool unreachable) {
  state_ = State::waiting;
  link_->close(false);
  deadline_.arm(worker_.now() + interval_);
  user_.host_failed(host_, std::move(why), unreachable);
}

// --- the question

void HostProbe::ask() {
  state_ = State::asking;
  asked_ = worker_.now();
  answer_.reset();
  error_.clear();
  refused_ = false;
  Bytes message;
  const View timeline = tells_timeline_ ? timeline_of_standby : View();
  encode(message, frontend::Query{fmt::format(question, timeline)});
  link_->send(message);
  deadline_.arm(asked_ + timeout_);
}

void HostProbe::answer(char tag, View body) {
  switch (tag) {
    case backend::data_row:
      return state_ == State::asking_functions ? take_function(body) : take_row(body);
    case backend::error_response: {
      const auto fields = decode_error_fields(body);
      error_ = fields ? std::string(fields->message) : "an error that cannot be read";
      refused_ = fields && is_refused(fields->sqlstate);
      return;
    }
    case backend::ready_for_query:
      break;
    default:
      return;
  }
  if (state_ == State::asking_functions) return functions_told();
  if (state_ != State::asking) return;
  state_ = State::idle;
  deadline_.arm(std::max(asked_ + interval_, worker_.now() + interval_ / 4));
  if (answer_) {
    user_.host_answered(host_, *answer_, asked_);
    return ask_functions_if_due();
  }
  if (refused_ && std::exchange(tells_timeline_, false)) return ask();
  if (error_.empty()) error_ = "an answer that cannot be read";
  user_.host_failed(host_, error_, false);
}

void HostProbe::take_row(View body) {
  const auto row = decode<backend::DataRow>(body);
  if (!row || row->values.size() != 3 || !row->values[0]) return;
  const auto &position = row->values[1], &timeline = row->values[2];
  HostAnswer answer{*row->values[0] == "t"};
  if (position) answer.lsn = parse_lsn(*position).value_or(0);
  if (!answer.in_recovery) answer.lsn = end_of_records(answer.lsn);
  if (timeline) answer.timeline = static_cast<uint32_t>(parse_hex(*timeline).value_or(0));
  answer_ = answer;
}

// --- the functions of the database

void HostProbe::functions_wanted() {
  functions_due_ = worker_.now();
  ask_functions_if_due();
}

void HostProbe::ask_functions_if_due() {
  if (state_ != State::idle || functions_due_ > worker_.now()) return;
  if (user_.wants_functions(host_)) ask_functions();
}

void HostProbe::ask_functions() {
  MUST(state_ == State::idle);
  state_ = State::asking_functions;
  error_.clear();
  functions_ = std::make_shared<UserFunctions>();
  Bytes message;
  encode(message, frontend::Query{UserFunctions::question()});
  link_->send(message);
  deadline_.arm(worker_.now() + 2 * timeout_);
}

void HostProbe::take_function(View body) {
  const auto row = decode<backend::DataRow>(body);
  if (!row || row->values.size() != 3) return;
  const auto &schema = row->values[0], &name = row->values[1], &reads = row->values[2];
  if (schema && name && functions_) functions_->add(*schema, *name, reads && *reads == "t");
  if (functions_ && functions_->size() > UserFunctions::most) functions_.reset();
}

// An error is no reason to doubt the host: nothing is known of its functions, then.
void HostProbe::functions_told() {
  state_ = State::idle;
  deadline_.arm(worker_.now() + interval_ / 4);
  functions_due_ = worker_.now() + functions_interval;
  if (!error_.empty()) functions_.reset();
  user_.host_functions(host_, std::exchange(functions_, nullptr));
}

}  // namespace headgate
