#include "proxy/server_login.h"

#include <fmt/format.h>

#include "protocol/messages.h"
#include "protocol/startup.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/tls_facts.h"
#include "proxy/worker.h"

namespace headgate {

struct ServerLogin::Input {
  ServerLogin& login;
  Treat on_header(char, uint32_t body_size) {
    return body_size <= max_message ? Treat::gather : Treat::bad;
  }
  void on_pass(View, bool) {}
  bool on_message(char tag, View body, bool) {
    login.message(tag, body);
    return login.progress_ == Progress::goes_on;
  }
};

ServerLogin::ServerLogin(Server& server)
    : server_(server), learning_(std::make_unique<Welcome>()) {}

void ServerLogin::start() {
  Worker& worker = server_.worker();
  const PoolSettings& settings = server_.pool().settings();
  const DatabaseEntry& entry = settings.entry;
  const auto port = static_cast<uint16_t>(entry.port);
  host_ = server_.pool().entry().database.hosts.pick(entry.host, entry.load_balance_hosts,
                                                     worker.now());
  std::string where = host_.empty() ? settings.unix_socket_dir : host_;
  if (where.starts_with('/') || where.starts_with('@')) {
    where += fmt::format("/.s.PGSQL.{}", port);
  }
  worker.pooler().find_host(worker, where, port,
                            [this, alive = std::weak_ptr(alive_)](const KnownHost& known) {
                              if (alive.expired()) return;
                              found(known);
                              server_.login_progressed(progress_);
                            });
}

void ServerLogin::found(const KnownHost& known) {
  server_.set_host(known.use);
  addresses_.assign(known.addresses.rbegin(), known.addresses.rend());
  if (!try_next_address()) {
    fail(Error(ErrorCode::server_connect_failed, "server DNS lookup failed"));
  }
}

bool ServerLogin::try_next_address() {
  if (addresses_.empty()) return false;
  const Address address = std::move(addresses_.back());
  addresses_.pop_back();
  server_.connect_to(address, addresses_.size());
  return true;
}

void ServerLogin::connected() {
  if (!server_.address().is_unix()) tls_ = server_.pool().settings().tls;
  if (!tls_) return introduce();
  Bytes request;
  encode_ssl_request(request);
  server_.link().send(request);
}

// What is behind the answer came from somebody on the way; an error in its place, too, for all that
// is known: it is not shown to anybody.
void ServerLogin::take_tls_answer(View in) {
  const TlsContextPtr tls = std::exchange(tls_, nullptr);
  if (in == "S") {
    return server_.link().start_tls(TlsSession::connect(tls, host_));
  }
  if (in == "N") {
    if (tls->mode() < SslMode::require) return introduce();
    return fail(Error(ErrorCode::server_tls_failed, "server refused SSL"));
  }
  fail(Error(ErrorCode::server_tls_failed,
             in[0] == 'S' ? "received unencrypted data after SSL response" : "bad sslreq answer"));
}

void ServerLogin::introduce() {
  const DatabaseEntry& entry = server_.pool().settings().entry;
  const std::string& user = server_.pool().entry().user.name;
  std::vector<std::pair<std::string, std::string>> parameters = {{"user", user},
                                                                 {"database", entry.real_name()}};
  for (const auto& parameter : entry.startup_parameters) parameters.push_back(parameter);
  if (const Client* owner = server_.owner()) owner->add_startup_parameters(parameters);
  Bytes packet;
  encode_startup(packet, parameters);
  server_.link().send(packet);

  ServerAuth::Who who;
  who.user = user;
  who.secret = secret_for(user);
  who.keys = server_.pool().entry().keys();
  if (const TlsFacts* tls = server_.link().tls()) who.server_end_point = tls->server_end_point;
  who.random.resize(24);
  server_.worker().outside().random(std::span(who.random.data(), who.random.size()));
  auth_ = std::make_unique<ServerAuth>(std::move(who), server_.worker().pooler().key_cache());
}

// The entry's password belongs to the entry's user and nobody else, as in PgBouncer; the secret of
// any other is in auth_file, or was proved by a client.
std::optional<Secret> ServerLogin::secret_for(const std::string& user) const {
  const DatabaseEntry& entry = server_.pool().settings().entry;
  if (entry.password && entry.user == user) return Secret(*entry.password);
  const Secret* known = server_.worker().config().user_list.find(user);
  if (known && known->kind() != SecretKind::none) return *known;
  return server_.pool().entry().secret();
}

size_t ServerLogin::bytes(View in) {
  if (tls_) {
    take_tls_answer(in);
    return in.size();
  }
  Input input{*this};
  const size_t taken = framer_.feed(in, input);
  if (framer_.broken() && progress_ == Progress::goes_on) fail(Error(ErrorCode::server_protocol));
  return taken;
}

void ServerLogin::message(char tag, View body) {
  switch (tag) {
    case backend::authentication:
      return authentication(body);
    case backend::parameter_status:
      return take_parameter(body);
    case backend::backend_key_data:
      return take_key(body);
    case backend::error_response:
      return take_error(body);
    case backend::notice_response:
    case backend::negotiate_protocol_version:
      return;
    case backend::ready_for_query:
      return finish(body);
    default:
      return fail(Error(ErrorCode::server_protocol));
  }
}

void ServerLogin::authentication(View body) {
  if (authenticated_) return fail(Error(ErrorCode::server_protocol));
  if (decode<backend::AuthenticationOk>(body)) {
    authenticated_ = true;
    return take_step(auth_->ok());
  }
  take_step(auth_->request(body));
}

void ServerLogin::take_step(AuthStep step) {
  if (!step.out.empty()) server_.link().send(step.out);
  wipe(step.out);  // it may hold the password
  if (step.next == AuthStep::Next::failed) return fail(std::move(*step.error));
  if (step.next != AuthStep::Next::work) return;
  server_.link().pause(Link::Pause::not_now);
  Worker& worker = server_.worker();
  worker.outside().aside(std::move(step.work), [this, alive = std::weak_ptr(alive_), &worker] {
    if (alive.expired() || server_.state() == ServerState::closing) return;
    worker.begin_event();
    server_.link().resume(Link::Pause::not_now);
    take_step(auth_->worked());
    server_.login_progressed(progress_);  // may be the end of this object
    worker.outbox().flush();
  });
}

void ServerLogin::take_parameter(View body) {
  const auto status = decode<backend::ParameterStatus>(body);
  if (!status || learning_->parameters.size() >= max_parameters) {
    return fail(Error(ErrorCode::server_protocol));
  }
  learning_->parameters.emplace_back(status->parameter, status->value);
  if (const auto tracked = server_.worker().pooler().tracked().find(status->parameter)) {
    learning_->tracked.set(*tracked, intern(status->value));
  }
}

void ServerLogin::take_key(View body) {
  const auto key = decode<backend::BackendKeyData>(body);
  if (!key) return fail(Error(ErrorCode::server_protocol));
  process_ = key->process;
  secret_ = key->secret.bytes;
}

// Waiting clients get the server's own message and SQLSTATE.
void ServerLogin::take_error(View body) {
  Error error(ErrorCode::server_login_failed);
  if (const auto fields = decode_error_fields(body)) {
    if (!fields->message.empty()) error.message = fields->message;
    error.detail = fields->detail;
    error.hint = fields->hint;
    if (fields->sqlstate.size() == 5) error.sqlstate_override = fields->sqlstate;
  }
  fail(std::move(error));
}

void ServerLogin::finish(View status) {
  if (!authenticated_ || status != "I") return fail(Error(ErrorCode::server_protocol));
  welcome_ = std::move(learning_);
  progress_ = Progress::done;
}

void ServerLogin::fail(Error error) {
  error_ = std::move(error);
  progress_ = Progress::failed;
}

}  // namespace headgate
