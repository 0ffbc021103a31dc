#include "proxy/tls/context.h"

#include <fmt/format.h>
#include <openssl/pem.h>

#include <array>

#include "conf/check.h"
#include "conf/values.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/openssl.h"

namespace headgate {

namespace {

constexpr std::array<int, 4> version_numbers = {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION,
                                                TLS1_3_VERSION};
constexpr std::array<uint64_t, 4> version_bans = {SSL_OP_NO_TLSv1, SSL_OP_NO_TLSv1_1,
                                                  SSL_OP_NO_TLSv1_2, SSL_OP_NO_TLSv1_3};

/// A key with a passphrase is refused: nobody is there to ask.
int no_passphrase(char*, int, int, void*) { return -1; }

/// Reads the certificates of a PEM text one by one; the end of the text is no error.
X509Ptr next_certificate(BIO* text) {
  X509Ptr one(PEM_read_bio_X509_AUX(text, nullptr, no_passphrase, nullptr));
  if (!one && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) ERR_clear_error();
  return one;
}

/// ALPN: a client that names protocols must name ours. One that names none is welcome.
int select_protocol(SSL*, const unsigned char** out, unsigned char* size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  static constexpr unsigned char ours[] = "\x0apostgresql";
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, size, ours, sizeof ours - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

TlsRules client_rules(const Settings& settings) {
  return {TlsRules::Side::clients,       settings.client_tls_sslmode,
          settings.client_tls_key_file,  settings.client_tls_cert_file,
          settings.client_tls_ca_file,   settings.client_tls_protocols,
          settings.client_tls_ciphers,   settings.client_tls13_ciphers.value_or(""),
          settings.client_tls_dheparams, settings.client_tls_ecdhcurve};
}

TlsRules server_rules(const Settings& settings) {
  return {TlsRules::Side::servers,
          settings.server_tls_sslmode,
          settings.server_tls_key_file,
          settings.server_tls_cert_file,
          settings.server_tls_ca_file,
          settings.server_tls_protocols,
          settings.server_tls_ciphers,
          settings.server_tls13_ciphers.value_or(""),
          "auto",
          "auto"};
}

Error unusable_file(const std::string& setting, const std::string& file, const std::string& why) {
  return Error(ErrorCode::config, fmt::format("cannot use {} \"{}\": {}", setting, file, why));
}

Result<TlsContextPtr> make_side(const TlsRules& rules, const FileReader& read,
                                const TlsContextPtr& before) {
  if (rules.mode == SslMode::disable) return TlsContextPtr();
  TlsContext::Files files;
  for (const auto& [name, path, content] :
       {std::tuple<View, const std::string&, std::string&>{"key_file", rules.key_file, files.key},
        {"cert_file", rules.cert_file, files.certificate},
        {"ca_file", rules.ca_file, files.ca}}) {
    if (path.empty()) continue;
    auto text = read(path);
    if (!text) return unusable_file(rules.setting(name), path, text.error().message);
    content = std::move(*text);
  }
  if (before && before->is_made_of(rules, files)) return before;
  return TlsContext::make(rules, files);
}

}  // namespace

std::string TlsRules::setting(View name) const {
  return fmt::format("{}_{}{}", side == Side::clients ? "client" : "server",
                     name == "tls13_ciphers" ? "" : "tls_", name);
}

void TlsContext::Free::operator()(ssl_ctx_st* handle) const { SSL_CTX_free(handle); }

Result<TlsContextPtr> TlsContext::make(TlsRules rules, const Files& files) {
  const std::shared_ptr<TlsContext> context(new TlsContext(std::move(rules), files));
  ERR_clear_error();
  if (auto result = context->set_up(); !result) {
    ERR_clear_error();
    return std::move(result).error();
  }
  return TlsContextPtr(context);
}

Result<Done> TlsContext::set_up() {
  handle_.reset(SSL_CTX_new(rules_.side == TlsRules::Side::clients ? TLS_server_method()
                                                                   : TLS_client_method()));
  if (!handle_) return Error(ErrorCode::config, "TLS setup failed: " + take_openssl_error());
  SSL_CTX* ctx = handle_.get();
  SSL_CTX_set_options(
      ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  // An idle connection keeps no buffers, and nobody but the ticket remembers a session.
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx, 0);  // of TLS 1.3: TlsSession::let_in() sees to that
  SSL_CTX_set_timeout(ctx, std::chrono::duration_cast<std::chrono::seconds>(ticket_life).count());
  static constexpr unsigned char id[] = "headgate";
  SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
  if (rules_.side == TlsRules::Side::clients) {
    SSL_CTX_set_alpn_select_cb(ctx, select_protocol, nullptr);
    SSL_CTX_set_dh_auto(ctx, equal_ignoring_case(rules_.dheparams, "none") ? 0 : 1);
  }
  for (const auto step : {&TlsContext::set_versions, &TlsContext::set_ciphers,
                          &TlsContext::use_certificate, &TlsContext::use_ca}) {
    if (auto result = (this->*step)(); !result) return result;
  }
  set_verification();
  return Done{};
}

Result<Done> TlsContext::set_versions() {
  const auto versions = parse_tls_versions(rules_.protocols);
  if (!versions) return invalid(rules_.setting("protocols"), rules_.protocols);
  // Explicit: the system's configuration of OpenSSL may have other limits.
  int lowest = 0;
  int highest = 0;
  for (size_t i = 0; i < version_numbers.size(); ++i) {
    if ((*versions >> i & 1) == 0) {
      SSL_CTX_set_options(handle(), version_bans[i]);
      continue;
    }
    if (lowest == 0) lowest = version_numbers[i];
    highest = version_numbers[i];
  }
  SSL_CTX_set_min_proto_version(handle(), lowest);
  SSL_CTX_set_max_proto_version(handle(), highest);
  return Done{};
}

Result<Done> TlsContext::set_ciphers() {
  bool library_default = false;
  for (const View word : {"default", "secure", "normal", "fast"}) {
    library_default |= equal_ignoring_case(rules_.ciphers, word);
  }
  if (!library_default && !SSL_CTX_set_cipher_list(handle(), rules_.ciphers.c_str())) {
    return invalid(rules_.setting("ciphers"), rules_.ciphers);
  }
  if (!rules_.tls13_ciphers.empty() &&
      !SSL_CTX_set_ciphersuites(handle(), rules_.tls13_ciphers.c_str())) {
    return invalid(rules_.setting("tls13_ciphers"), rules_.tls13_ciphers);
  }
  const std::string& curve = rules_.ecdhcurve;
  if (equal_ignoring_case(curve, "auto") || equal_ignoring_case(curve, "none")) return Done{};
  if (!SSL_CTX_set1_groups_list(handle(), curve.c_str())) {
    return invalid(rules_.setting("ecdhcurve"), curve);
  }
  return Done{};
}

Result<Done> TlsContext::use_certificate() {
  if (rules_.cert_file.empty() && rules_.key_file.empty()) return Done{};
  const BioPtr chain = bio_of(files_.certificate);
  const X509Ptr own = next_certificate(chain.get());
  if (!own) return unusable("cert_file", rules_.cert_file, "it holds no certificate in PEM form");
  if (!SSL_CTX_use_certificate(handle(), own.get())) {
    return unusable("cert_file", rules_.cert_file, take_openssl_error());
  }
  own_end_point_ = end_point_hash(own.get());
  while (X509Ptr issuer = next_certificate(chain.get())) {
    if (SSL_CTX_add0_chain_cert(handle(), issuer.get())) static_cast<void>(issuer.release());
  }
  if (ERR_peek_error() != 0) return unusable("cert_file", rules_.cert_file, take_openssl_error());

  const BioPtr text = bio_of(files_.key);
  const KeyPtr key(PEM_read_bio_PrivateKey(text.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    const bool locked = View(files_.key).find("ENCRYPTED") != View::npos;
    return unusable("key_file", rules_.key_file,
                    locked ? "it is locked by a passphrase" : "it holds no key in PEM form");
  }
  if (!SSL_CTX_use_PrivateKey(handle(), key.get())) {
    return unusable("key_file", rules_.key_file,
                    "it does not fit " + rules_.setting("cert_file") + ": " + take_openssl_error());
  }
  return Done{};
}

Result<Done> TlsContext::use_ca() {
  const bool needed = rules_.side == TlsRules::Side::servers && rules_.mode >= SslMode::verify_ca;
  if (rules_.ca_file.empty()) {
    if (needed) SSL_CTX_set_default_verify_paths(handle());
    return Done{};
  }
  const BioPtr text = bio_of(files_.ca);
  X509_STORE* trusted = SSL_CTX_get_cert_store(handle());
  size_t count = 0;
  while (const X509Ptr one = next_certificate(text.get())) {
    if (!X509_STORE_add_cert(trusted, one.get())) break;
    // Clients learn which of their certificates are of use.
    if (rules_.side == TlsRules::Side::clients) SSL_CTX_add_client_CA(handle(), one.get());
    ++count;
  }
  if (ERR_peek_error() != 0) return unusable("ca_file", rules_.ca_file, take_openssl_error());
  if (count == 0) {
    return unusable("ca_file", rules_.ca_file, "it holds no certificate in PEM form");
  }
  return Done{};
}

void TlsContext::set_verification() {
  int wanted = SSL_VERIFY_NONE;
  if (rules_.side == TlsRules::Side::clients) {
    if (!rules_.ca_file.empty()) wanted = SSL_VERIFY_PEER;
    if (rules_.mode >= SslMode::verify_ca) wanted |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  } else if (rules_.mode >= SslMode::verify_ca) {
    wanted = SSL_VERIFY_PEER;
  }
  SSL_CTX_set_verify(handle(), wanted, nullptr);
}

Error TlsContext::unusable(View setting, const std::string& file, const std::string& why) const {
  return unusable_file(rules_.setting(setting), file, why);
}

Error TlsContext::invalid(const std::string& setting, const std::string& value) const {
  return Error(ErrorCode::config,
               fmt::format("invalid value \"{}\" for parameter {}", printable(value), setting));
}

Result<Tls> make_tls(const Settings& settings, const FileReader& read, const Tls& before) {
  if (auto error = check_tls(settings)) return std::move(*error);
  auto clients = make_side(client_rules(settings), read, before.clients);
  if (!clients) return std::move(clients).error();
  auto servers = make_side(server_rules(settings), read, before.servers);
  if (!servers) return std::move(servers).error();
  return Tls{std::move(*clients), std::move(*servers)};
}

bool same_rules(const TlsContextPtr& one, const TlsContextPtr& other) {
  if (!one || !other) return one == other;
  return one->rules() == other->rules();
}

}  // namespace headgate
