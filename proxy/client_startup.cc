// The first packets of a client: requests for encryption, for a cancel, and the StartupMessage with
// its parameters. (Protocol: "Start-up", "SSL session encryption".)
#include <fmt/format.h>

#include "conf/lists.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr size_t max_user_name = 127;

}  // namespace

// --- packets without a tag

// Takes bytes up to the end of one packet, and deals with it if it is whole.
size_t ClientLogin::packet_bytes(View in) {
  if (begins_with_tls(in)) {
    ssl_asked_ = true;
    client_.link().answer_tls(tls(), in);
    return in.size();
  }
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

// What holds for this client: never on a unix socket.
const TlsContextPtr& ClientLogin::tls() const {
  static const TlsContextPtr none;
  return client_.from_unix() ? none : client_.worker().tls().clients;
}

// A handshake without a request before it: its first byte is that of no packet.
bool ClientLogin::begins_with_tls(View in) const {
  constexpr char handshake = 0x16;
  return packet_.empty() && in[0] == handshake && tls() && !ssl_asked_ && !gss_asked_ &&
         !client_.link().tls_session();
}

// GSSAPI is not to be had. Bytes sent behind the request in clear would be trusted later: refused.
void ClientLogin::encryption_request(bool ssl, bool more) {
  bool& asked = ssl ? ssl_asked_ : gss_asked_;
  if (more) {
    return refuse(
        Error(ssl ? ErrorCode::data_after_ssl_request : ErrorCode::data_after_gss_request));
  }
  if (std::exchange(asked, true)) return refuse(Error(ErrorCode::protocol_violation));
  if (!ssl || !tls()) return client_.link().send("N");
  client_.link().send("S");
  client_.link().answer_tls(tls());
}

// --- the StartupMessage

void ClientLogin::startup(StartupMessage message) {
  startup_ = std::move(message);
  if (tls() && tls()->mode() >= SslMode::require && !client_.link().tls()) {
    return refuse(Error(ErrorCode::ssl_required));
  }
  if (const auto error = take_parameters()) return refuse(Error(*error));
  add_host_to_application_name();
  if (startup_.version > protocol_3_0 || !startup_.unknown_options.empty()) {
    Bytes out;
    encode_negotiate_version(out, protocol_3_0, startup_.unknown_options);
    client_.link().send(out);
  }
  if (const auto error = find_target()) return refuse(Error(*error));
  if (!to_console_ && client_.worker().pooler().drain().under_way()) {
    return refuse(Error(ErrorCode::shutting_down));
  }
  if (untracked_ && !takes_settings()) return refuse(std::move(*untracked_));
  if (const auto error = take_permits()) return refuse(Error(*error));
  begin_auth();
}

std::optional<Error> ClientLogin::take_parameters() {
  if (startup_.user.size() > max_user_name) return Error(ErrorCode::username_too_long);
  const auto replication = decode_replication(startup_.replication);
  if (!replication) return error_naming(ErrorCode::unsupported_parameter, "replication");
  replication_ = *replication;
  for (const auto& [name, value] : startup_.parameters) {
    if (auto error = take_parameter(name, value, ErrorCode::unsupported_parameter)) return error;
  }
  // A replication client's options go to its own server as they are.
  if (startup_.options.empty() || replication_ != Replication::none) return std::nullopt;
  const auto options = parse_options(startup_.options);
  if (!options) return options.error();
  for (const auto& [name, value] : *options) {
    if (ignored("options") && !tracked_names().find(name)) continue;
    if (auto error = take_parameter(name, value, ErrorCode::unsupported_parameter_in_options)) {
      return error;
    }
  }
  return std::nullopt;
}

std::optional<Error> ClientLogin::take_parameter(const std::string& name, const std::string& value,
                                                 ErrorCode unsupported) {
  if (const auto tracked = tracked_names().find(name)) {
    values_.set(*tracked, intern(value));
    return std::nullopt;
  }
  if (ignored(name)) return std::nullopt;
  const bool takes_more =
      replication_ == Replication::none && settings_.size() < ClientSession::max_settings;
  if (!takes_more) return error_naming(unsupported, name);
  if (!untracked_) untracked_ = error_naming(unsupported, name);
  settings_.insert_or_assign(lower_case(name), value);
  return std::nullopt;
}

// Other parameters are settings of the client's session, if sessions are looked after.
bool ClientLogin::takes_settings() const {
  if (to_console_ || !entry_) return false;
  const std::string& user = entry_->user.value_or(startup_.user);
  return resolve_session_state(client_.worker().config(), *entry_, user) !=
         SessionPolicy::pgbouncer;
}

// With application_name_add_host the server's administrator sees from where the client came.
void ClientLogin::add_host_to_application_name() {
  if (!client_.worker().config().settings.application_name_add_host) return;
  const Text& name = values_.get(Tracked::application_name);
  values_.set(Tracked::application_name,
              intern(fmt::format("{} - {}", name ? View(*name) : "app", client_.peer_name())));
}

const TrackedNames& ClientLogin::tracked_names() const {
  return client_.worker().pooler().tracked();
}

bool ClientLogin::ignored(const std::string& name) const {
  return list_contains(client_.worker().config().settings.ignore_startup_parameters, name);
}

}  // namespace headgate
