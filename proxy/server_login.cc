#include "proxy/server_login.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "conf/values.h"
#include "protocol/messages.h"
#include "protocol/startup.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/tls_facts.h"
#include "proxy/worker.h"

namespace headgate {

ServerLogin::ServerLogin(LoginUser& user, Worker& worker, Link& link)
    : user_(user), worker_(worker), link_(link), learning_(std::make_unique<Welcome>()) {}

void ServerLogin::start() {
  const PoolSettings& settings = user_.login_settings();
  const auto port = static_cast<uint16_t>(settings.entry.port);
  const auto host = user_.pick_host();
  if (!host) {
    fail(Error(ErrorCode::no_host_of_role,
               fmt::format("none of the hosts {} is known to be {}", settings.entry.host,
                           name_of(settings.entry.target))));
    return user_.login_went_on();
  }
  host_ = *host;
  std::string where = host_.empty() ? settings.unix_socket_dir : host_;
  if (where.starts_with('/') || where.starts_with('@')) {
    where += fmt::format("/.s.PGSQL.{}", port);
  }
  worker_.pooler().find_host(worker_, where, port,
                             [this, alive = std::weak_ptr(alive_)](const KnownHost& known) {
                               if (alive.expired()) return;
                               found(known);
                               user_.login_went_on();
                             });
}

void ServerLogin::found(const KnownHost& known) {
  user_.set_host(known.use);
  addresses_.assign(known.addresses.rbegin(), known.addresses.rend());
  if (!try_next_address()) {
    fail(Error(ErrorCode::server_connect_failed, "server DNS lookup failed"));
  }
}

bool ServerLogin::try_next_address() {
  if (addresses_.empty()) return false;
  const Address address = std::move(addresses_.back());
  addresses_.pop_back();
  on_unix_socket_ = address.is_unix();
  user_.connect_to(address, addresses_.size());
  return true;
}

void ServerLogin::connected() {
  if (!on_unix_socket_) tls_ = user_.login_settings().tls;
  if (!tls_) return introduce();
  Bytes request;
  encode_ssl_request(request);
  link_.send(request);
}

// What is behind the answer came from somebody on the way; an error in its place, too, for all that
// is known: it is not shown to anybody.
void ServerLogin::take_tls_answer(View in) {
  const TlsContextPtr tls = std::exchange(tls_, nullptr);
  if (in == "S") return link_.call_tls(TlsSession::connect(tls, host_));
  if (in == "N") {
    if (tls->mode() < SslMode::require) return introduce();
    return fail(Error(ErrorCode::server_tls_failed, "server refused SSL"));
  }
  fail(Error(ErrorCode::server_tls_failed,
             in[0] == 'S' ? "received unencrypted data after SSL response" : "bad sslreq answer"));
}

void ServerLogin::introduce() {
  LoginUser::Identity identity = user_.identity();
  std::vector<std::pair<std::string, std::string>> parameters = {
      {"user", identity.user}, {"database", user_.login_settings().entry.real_name()}};
  std::ranges::move(identity.parameters, std::back_inserter(parameters));
  Bytes packet;
  encode_startup(packet, parameters);
  link_.send(packet);

  ServerAuth::Who who;
  who.user = identity.user;
  who.secret = std::move(identity.secret);
  who.keys = std::move(identity.keys);
  if (const TlsFacts* tls = link_.tls()) who.server_end_point = tls->server_end_point;
  who.random.resize(24);
  worker_.outside().random(std::span(who.random.data(), who.random.size()));
  auth_ = std::make_unique<ServerAuth>(std::move(who), worker_.pooler().key_cache());
}

size_t ServerLogin::bytes(View in) {
  if (tls_) {
    take_tls_answer(in);
    return in.size();
  }
  WholeMessages input{max_message, [this](char tag, View body) {
                        message(tag, body);
                        return progress_ == Progress::goes_on;
                      }};
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
  if (!step.out.empty()) link_.send(step.out);
  wipe(step.out);  // it may hold the password
  if (step.next == AuthStep::Next::failed) return fail(std::move(*step.error));
  if (step.next != AuthStep::Next::work) return;
  link_.pause(Link::Pause::not_now);
  worker_.outside().aside(std::move(step.work), [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired() || user_.gives_up_login()) return;
    Worker& worker = worker_;
    worker.begin_event();
    link_.resume(Link::Pause::not_now);
    take_step(auth_->worked());
    user_.login_went_on();  // may be the end of this object
    worker.outbox().flush();
  });
}

void ServerLogin::take_parameter(View body) {
  const auto status = decode<backend::ParameterStatus>(body);
  if (!status || learning_->parameters.size() >= max_parameters) {
    return fail(Error(ErrorCode::server_protocol));
  }
  learning_->learn(status->parameter, status->value,
                   worker_.pooler().tracked().find(status->parameter));
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
  if (has_another_role()) {
    return fail(
        Error(ErrorCode::no_host_of_role,
              fmt::format("{} is not a {}", host_, name_of(user_.login_settings().entry.target))));
  }
  welcome_ = std::move(learning_);
  progress_ = Progress::done;
}

// What was known of the host is older than this. (PostgreSQL tells it since version 14.)
bool ServerLogin::has_another_role() const {
  const TargetRole target = user_.login_settings().entry.target;
  if (target != TargetRole::primary && target != TargetRole::standby) return false;
  const View other = target == TargetRole::primary ? "on" : "off";
  return learning_->value_of("in_hot_standby") == other;
}

void ServerLogin::fail(Error error) {
  error_ = std::move(error);
  progress_ = Progress::failed;
}

}  // namespace headgate
