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

constexpr size_t max_user_name = 127;
constexpr std::string_view console_name = "pgbouncer";

bool in_word_list(std::string_view list, std::string_view word) {
  constexpr std::string_view separators = ", \t\n\r";
  while (true) {
    const size_t begin = list.find_first_not_of(separators);
    if (begin == list.npos) return false;
    list.remove_prefix(begin);
    const size_t end = std::min(list.find_first_of(separators), list.size());
    if (list.substr(0, end) == word) return true;
    list.remove_prefix(end);
  }
}

Error with_name(ErrorCode code, const std::string& name) {
  return Error(code, fmt::format("{}: {}", error_row(code).text, name));
}

}  // namespace

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

// --- packets without a tag

// Takes bytes up to the end of one packet, and deals with it if it is whole.
size_t ClientLogin::packet_bytes(View in) {
  size_t taken = 0;
  const auto fill = [&](size_t wanted) {
    if (packet_.size() >= wanted) return true;
    const size_t part = std::min(wanted - packet_.size(), in.size() - taken);
    packet_.append(in.substr(taken, part));
    taken += part;
    return packet_.size() >= wanted;
  };
  if (!fill(length_size)) return taken;
  const auto size = startup_packet_size(packet_.view());
  if (!size) {
    refuse(Error(size.error()));
    return in.size();
  }
  if (!fill(*size)) return taken;
  Buffer whole;
  std::swap(whole, packet_);
  auto decoded = decode_startup(whole.view());
  const bool more = taken < in.size();
  if (!decoded) {
    refuse(Error(decoded.error()));
  } else if (auto* message = std::get_if<StartupMessage>(&*decoded)) {
    started_ = true;
    startup(std::move(*message));
  } else if (auto* cancel = std::get_if<CancelRequest>(&*decoded)) {
    cancel_ = std::move(*cancel);
    progress_ = Progress::cancel;
  } else {
    encryption_request(std::holds_alternative<SslRequest>(*decoded), more);
  }
  return taken;
}

// Neither is to be had yet. Bytes sent behind the request in clear would be trusted later: refused.
void ClientLogin::encryption_request(bool ssl, bool more) {
  bool& asked = ssl ? ssl_asked_ : gss_asked_;
  if (more) {
    return refuse(
        Error(ssl ? ErrorCode::data_after_ssl_request : ErrorCode::data_after_gss_request));
  }
  if (std::exchange(asked, true)) return refuse(Error(ErrorCode::protocol_violation));
  client_.link().send("N");
}

// --- the StartupMessage

void ClientLogin::startup(StartupMessage message) {
  startup_ = std::move(message);
  if (const auto error = take_parameters()) return refuse(Error(*error));
  if (startup_.version > protocol_3_0 || !startup_.unknown_options.empty()) {
    Bytes out;
    encode_negotiate_version(out, protocol_3_0, startup_.unknown_options);
    client_.link().send(out);
  }
  if (const auto error = find_target()) return refuse(Error(*error));
  if (const auto error = take_permits()) return refuse(Error(*error));
  begin_auth();
}

std::optional<Error> ClientLogin::take_parameters() {
  if (startup_.user.size() > max_user_name) return Error(ErrorCode::username_too_long);
  if (!startup_.replication.empty() && startup_.replication != "false" &&
      startup_.replication != "0" && startup_.replication != "off" &&
      startup_.replication != "no") {
    return with_name(ErrorCode::unsupported_parameter, "replication");
  }
  for (const auto& [name, value] : startup_.parameters) {
    if (auto error = take_parameter(name, value, ErrorCode::unsupported_parameter)) return error;
  }
  if (startup_.options.empty()) return std::nullopt;
  const auto options = parse_options(startup_.options);
  if (!options) return options.error();
  for (const auto& [name, value] : *options) {
    if (ignored("options")) {
      Tracked tracked;
      if (!find_tracked(name, tracked)) continue;
    }
    if (auto error = take_parameter(name, value, ErrorCode::unsupported_parameter_in_options)) {
      return error;
    }
  }
  return std::nullopt;
}

std::optional<Error> ClientLogin::take_parameter(const std::string& name, const std::string& value,
                                                 ErrorCode unsupported) {
  Tracked tracked;
  if (find_tracked(name, tracked)) {
    values_.set(tracked, intern(value));
    return std::nullopt;
  }
  if (ignored(name)) return std::nullopt;
  return with_name(unsupported, name);
}

bool ClientLogin::ignored(const std::string& name) const {
  return in_word_list(client_.worker().config().settings.ignore_startup_parameters, name);
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
    log(LogLevel::log, "{}login attempt: db={} user={} tls=no replication=no", client_.log_name(),
        startup_.database, startup_.user);
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
  if (!entry_) return refuse(with_name(ErrorCode::no_such_database, startup_.database));
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
