#include "proxy/client_login.h"

#include <fmt/format.h>

#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr std::string_view console_name = "pgbouncer";

}  // namespace

Error error_naming(ErrorCode code, const std::string& name) {
  return Error(code, fmt::format("{}: {}", error_row(code).text, name));
}

struct ClientLogin::Input {
  ClientLogin& login;
  Treat on_header(char tag, uint32_t body_size) {
    if (tag == frontend::terminate) {
      login.progress_ = Progress::leaves;
      return Treat::stop;
    }
    if (tag != frontend::password || body_size > max_message || login.working_) return Treat::bad;
    return Treat::gather;
  }
  void on_pass(View, bool) {}
  bool on_message(char tag, View body, bool) {
    login.message(tag, body);
    return login.progress_ == Progress::goes_on;
  }
};

ClientLogin::ClientLogin(Client& client) : client_(client) {}
ClientLogin::~ClientLogin() = default;

size_t ClientLogin::bytes(View in) {
  heard_anything_ = true;
  size_t taken = 0;
  while (taken < in.size() && progress_ == Progress::goes_on) {
    const View rest = in.substr(taken);
    taken += started_ ? message_bytes(rest) : packet_bytes(rest);
  }
  return taken;
}

// --- who it is and where it wants to go

std::optional<Error> ClientLogin::find_target() {
  const Config& config = client_.worker().config();
  to_console_ = startup_.database == console_name;
  if (to_console_) {
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
  user_state_ = &pooler.registry().user(known_user() ? startup_.user : std::string());
  if (to_console_) return std::nullopt;
  if (!pooler.client_permits().try_take()) return Error(ErrorCode::max_client_conn);
  holds_client_permit_ = true;
  if (entry_) {
    DatabaseState& database = pooler.registry().database(entry_->name);
    if (!database.clients.try_take()) return Error(ErrorCode::max_db_client_connections);
    counted_database_ = &database;
  }
  if (known_user()) {
    if (!user_state_->clients.try_take()) return Error(ErrorCode::max_user_client_connections);
    counted_user_ = user_state_;
  }
  return std::nullopt;
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
    log(LogLevel::log, "{}login attempt: db={} user={} tls={} replication=no", client_.log_name(),
        startup_.database, startup_.user,
        client_.link().tls() ? client_.link().tls()->description : "no");
  }
  const bool owner = to_console_ && is_owner();
  if (owner || config.settings.auth_type == AuthMethod::any) return authenticated();

  ClientAuth::Who who;
  who.method = config.settings.auth_type;
  who.user = startup_.user;
  if (const Secret* secret = config.user_list.find(startup_.user)) {
    who.secret = *secret;
  } else if (config.users.contains(startup_.user)) {
    who.secret = Secret();
  }
  who.scram_iterations = config.settings.scram_iterations;
  who.random.resize(32);
  client_.worker().outside().random(std::span(who.random.data(), who.random.size()));
  who.mock_key = client_.worker().pooler().mock_key();
  auth_ = std::make_unique<ClientAuth>(std::move(who), client_.worker().pooler().key_cache());
  take_step(auth_->start());
}

size_t ClientLogin::message_bytes(View in) {
  Input input{*this};
  const size_t taken = framer_.feed(in, input);
  if (framer_.broken()) refuse(Error(ErrorCode::bad_packet));
  return progress_ == Progress::goes_on ? in.size() : taken;
}

void ClientLogin::message(char, View body) { take_step(auth_->answer(body)); }

void ClientLogin::take_step(AuthStep step) {
  if (!step.out.empty()) client_.link().send(step.out);
  switch (step.next) {
    case AuthStep::Next::read:
      return;
    case AuthStep::Next::failed:
      return refuse(std::move(*step.error));
    case AuthStep::Next::done:
      return authenticated();
    case AuthStep::Next::work:
      break;
  }
  working_ = true;  // a client that talks on before it has our answer is refused
  client_.link().pause(Link::Pause::not_now);
  Worker& worker = client_.worker();
  worker.outside().aside(std::move(step.work), [this, alive = std::weak_ptr(alive_), &worker] {
    if (alive.expired()) return;
    worker.begin_event();
    working_ = false;
    client_.link().resume(Link::Pause::not_now);
    take_step(auth_->worked());
    client_.login_progressed();
    worker.outbox().flush();
  });
}

void ClientLogin::authenticated() {
  const Pooler& pooler = client_.worker().pooler();
  if (to_console_) {
    progress_ = Progress::admin;
    return;
  }
  if (!entry_) return refuse(error_naming(ErrorCode::no_such_database, startup_.database));
  Registry& registry = client_.worker().pooler().registry();
  if (registry.database(entry_->name).disabled.load()) {
    return refuse(Error(ErrorCode::database_disabled,
                        fmt::format("database \"{}\" is disabled", entry_->name)));
  }
  if (pooler.shutting_down()) return refuse(Error(ErrorCode::shutting_down));
  const bool any = client_.worker().config().settings.auth_type == AuthMethod::any;
  if (any && !entry_->user) return refuse(Error(ErrorCode::bouncer_config));
  pool_ = &registry.pool(entry_->name, entry_->user.value_or(startup_.user));
  if (auth_ && auth_->keys() && !entry_->user) pool_->set_keys(*auth_->keys());
  progress_ = Progress::awaits_welcome;
}

// --- the welcome

void ClientLogin::welcome(const Welcome& welcome, int32_t key_process, int32_t key_secret,
                          TrackedValues& values) {
  Bytes out;
  encode(out, backend::AuthenticationOk{});
  for (const auto& [name, value] : welcome.parameters) {
    Tracked tracked;
    const bool own = find_tracked(name, tracked) && values_.get(tracked);
    encode(out, backend::ParameterStatus{name, own ? View(*values_.get(tracked)) : View(value)});
  }
  values_.fill_from(welcome.tracked);
  values = values_;
  finish_welcome(out, key_process, key_secret);
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
}

void ClientLogin::refuse(Error error) {
  if (progress_ != Progress::goes_on) return;
  error_ = std::move(error);
  progress_ = Progress::refused;
}

}  // namespace headgate
