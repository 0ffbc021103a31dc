#include "proxy/client_login.h"

#include <fmt/format.h>

#include "admin/explain_wait.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/auth_query.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr std::string_view console_name = "pgbouncer";

const char* logged_as(Replication kind) {
  return kind == Replication::none ? "no" : kind == Replication::logical ? "database" : "yes";
}

Error too_many(ErrorCode limit, View name, const Permits& permits) {
  Error error(limit);
  explain(error, explain_full(limit, name, permits.limit()));
  return error;
}

}  // namespace

Error error_naming(ErrorCode code, const std::string& name) {
  return Error(code, fmt::format("{}: {}", error_row(code).text, name));
}

ClientLogin::ClientLogin(Client& client) : client_(client) {}
ClientLogin::~ClientLogin() = default;

void ClientLogin::abandon() {
  if (auth_query_) auth_query_->abandon();
}

void ClientLogin::drop() {
  if (auth_query_) auth_query_->drop();
}

size_t ClientLogin::bytes(View in) {
  heard_anything_ = true;
  size_t taken = 0;
  while (taken < in.size() && progress_ == Progress::goes_on) {
    const View rest = in.substr(taken);
    taken += started_ ? message_bytes(rest) : packet_bytes(rest);
  }
  return taken;
}

View ClientLogin::awaits() const {
  if (!started_) return "the client's start-up packet";
  if (!working_) return "the client to prove who it is";
  if (by_directory()) return "PAM or LDAP to check the password";
  return auth_query_ && !auth_ ? "the look-up of the client's secret (auth_query)"
                               : "the check of what the client has said";
}

// --- who it is and where it wants to go

std::optional<Error> ClientLogin::find_target() {
  const Config& config = client_.worker().config();
  to_console_ = startup_.database == console_name;
  if (to_console_) {
    replication_ = Replication::none;  // or rules for replication would open the console
    rights_ = console_rights(config.settings, startup_.user);
    if (is_owner()) rights_ = ConsoleRights::admin;
    if (rights_ == ConsoleRights::none) return Error(ErrorCode::not_allowed);
    return std::nullopt;
  }
  entry_ = config.find_database(startup_.database);
  return std::nullopt;
}

std::optional<Error> ClientLogin::take_permits() {
  Pooler& pooler = client_.worker().pooler();
  user_state_ = pooler.registry().user(known_user() ? startup_.user : std::string());
  if (to_console_) return std::nullopt;
  if (!pooler.client_permits().try_take()) {
    return too_many(ErrorCode::max_client_conn, {}, pooler.client_permits());
  }
  holds_client_permit_ = true;
  if (entry_) {
    auto database = pooler.registry().database(entry_->name);
    if (!database->clients.try_take()) {
      return too_many(ErrorCode::max_db_client_connections, database->name, database->clients);
    }
    counted_database_ = std::move(database);
  }
  if (known_user()) {
    if (!user_state_->clients.try_take()) return too_many_of_user();
    counted_user_ = user_state_;
  }
  return std::nullopt;
}

Error ClientLogin::too_many_of_user() const {
  return too_many(ErrorCode::max_user_client_connections, user_state_->name, user_state_->clients);
}

bool ClientLogin::known_user() const {
  const Config& config = client_.worker().config();
  return config.user_list.find(startup_.user) != nullptr || config.users.contains(startup_.user);
}

// User pgbouncer on a unix socket, run by our own user: needs no password for the console.
bool ClientLogin::is_owner() const {
  const auto process = client_.link().stream().peer_process();
  return startup_.user == console_name && process &&
         process->uid == client_.worker().pooler().own_uid();
}

// --- proving it

void ClientLogin::begin_auth() {
  const Config& config = client_.worker().config();
  if (config.settings.log_connections) {
    const TlsFacts* tls = client_.link().tls();
    log(LogLevel::log, client_.log_subject(), "login attempt: db={} user={} tls={} replication={}",
        startup_.database, startup_.user, field("tls", tls ? View(tls->description) : View("no")),
        field("replication", logged_as(replication_)));
  }
  prove_who();
}

// --- the welcome

void ClientLogin::welcome(const Welcome& welcome, int32_t key_process, int32_t key_secret,
                          TrackedValues& values) {
  values_.make_canonical();
  values_.spell_as(welcome.tracked);
  Bytes out;
  encode(out, backend::AuthenticationOk{});
  // A driver's own target_session_attrs goes by this.
  const bool reads = client_.came_to_read() && client_.pool()->settings().sends_to_replicas();
  welcome.tell(out, values_, reads);
  const TrackedNames& names = tracked_names();
  for (size_t i = 0; i < names.size(); ++i) {
    const auto parameter = static_cast<Tracked>(i);
    const Text& own = values_.get(parameter);
    SettingValues& kind = welcome.tracked.get(parameter) ? reported_ : settings_;
    if (own) kind.insert_or_assign(lower_case(names.name(parameter)), *own);
  }
  values_.fill_from(welcome.tracked);
  values = values_;
  finish_welcome(out, key_process, key_secret);
}

void ClientLogin::start(ClientSession& session) {
  if (!takes_settings()) return;
  session.start_with(std::move(settings_), reported_, client_.worker().last_start());
}

void ClientLogin::welcome_admin(int32_t key_process, int32_t key_secret) {
  Bytes out;
  encode(out, backend::AuthenticationOk{});
  console_welcome(out);
  finish_welcome(out, key_process, key_secret);
}

void ClientLogin::finish_welcome(Bytes& out, int32_t key_process, int32_t key_secret) {
  Bytes secret(4, '\0');
  for (size_t i = 0; i < 4; ++i) {
    secret[i] = static_cast<char>(static_cast<uint32_t>(key_secret) >> (24 - 8 * i));
  }
  encode(out, backend::BackendKeyData{key_process, {secret}});
  const std::string& notice = client_.worker().config().settings.login_notify_message;
  if (!notice.empty()) encode_notice(out, notice);
  encode(out, backend::ReadyForQuery{'I'});
  client_.link().send(out);
  client_.link().let_in();
}

void ClientLogin::refuse(Error error) {
  if (progress_ != Progress::goes_on) return;
  error_ = std::move(error);
  progress_ = Progress::refused;
}

}  // namespace headgate
