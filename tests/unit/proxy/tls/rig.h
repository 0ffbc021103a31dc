// Keys and certificates made for a test, and a peer that is OpenSSL alone.
#pragma once

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <map>
#include <string>

#include "proxy/tls/openssl.h"
#include "proxy/tls/session.h"

namespace headgate::test {

/// A key and a certificate, as the text of PEM files too.
struct Pair {
  KeyPtr key;
  X509Ptr certificate;
  std::string key_text, certificate_text;
};

inline std::string text_of(const BioPtr& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

struct Wanted {
  std::string name;
  std::string others = {};            // "DNS:a,IP:127.0.0.1"
  const Pair* issuer = nullptr;       // null: signs itself, and may sign others
  const EVP_MD* hash = EVP_sha256();  // null: Ed25519, which brings its own
  std::string raw_common_name = {};   // with a zero byte, say
};

inline Pair make_pair(const Wanted& wanted) {
  Pair pair;
  pair.key.reset(wanted.hash ? EVP_EC_gen("P-256")
                             : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  pair.certificate.reset(X509_new());
  X509* one = pair.certificate.get();
  X509_set_version(one, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(one), 1);
  X509_gmtime_adj(X509_getm_notBefore(one), -3600);
  X509_gmtime_adj(X509_getm_notAfter(one), 3600);
  X509_set_pubkey(one, pair.key.get());
  const std::string& name = wanted.raw_common_name.empty() ? wanted.name : wanted.raw_common_name;
  X509_NAME_add_entry_by_txt(X509_get_subject_name(one), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(name.size()), -1, 0);
  const Pair& issuer = wanted.issuer ? *wanted.issuer : pair;
  X509_set_issuer_name(one, X509_get_subject_name(issuer.certificate.get()));
  const auto add = [&](int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer.certificate.get(), one, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    REQUIRE(extension);
    X509_add_ext(one, extension, -1);
    X509_EXTENSION_free(extension);
  };
  add(NID_basic_constraints, wanted.issuer ? "CA:FALSE" : "CA:TRUE");
  if (!wanted.others.empty()) add(NID_subject_alt_name, wanted.others);
  REQUIRE(X509_sign(one, issuer.key.get(), wanted.issuer ? wanted.hash : EVP_sha256()) > 0);

  const BioPtr key(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(key.get(), pair.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  pair.key_text = text_of(key);
  const BioPtr certificate(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate.get(), one);
  pair.certificate_text = text_of(certificate);
  return pair;
}

/// Files of a test: an authority, a pair for the pooler and one for a client.
struct Files {
  Pair authority = make_pair({"the authority"});
  Pair own = make_pair({"pooler", "DNS:localhost,IP:127.0.0.1", &authority});
  Pair client = make_pair({"app", "DNS:app.example", &authority});
  std::map<std::string, std::string> texts = {{"/ca", authority.certificate_text},
                                              {"/own.key", own.key_text},
                                              {"/own.crt", own.certificate_text},
                                              {"/client.key", client.key_text},
                                              {"/client.crt", client.certificate_text}};

  FileReader reader() const {
    return [this](const std::string& path) -> Result<std::string> {
      const auto found = texts.find(path);
      if (found == texts.end()) return Error(ErrorCode::io, "No such file or directory");
      return found->second;
    };
  }
  Tls make(const Settings& settings, const Tls& before = {}) const {
    auto made = make_tls(settings, reader(), before);
    REQUIRE_MESSAGE(made.ok(), made.error().message);
    return std::move(*made);
  }
  std::string refusal(const Settings& settings) const {
    const auto made = make_tls(settings, reader());
    return made ? "made" : made.error().message;
  }
};

inline Settings with_certificate(SslMode mode = SslMode::require) {
  Settings settings;
  settings.client_tls_sslmode = mode;
  settings.client_tls_key_file = "/own.key";
  settings.client_tls_cert_file = "/own.crt";
  return settings;
}

/// Two sessions of one thread, and what is on its way between them.
struct Conversation {
  TlsMemory memory;
  std::unique_ptr<TlsSession> client, server;
  Bytes to_server, to_client;
  TlsSession::Heard client_heard, server_heard;

  Conversation(const Tls& tls, const Tls& other, const std::string& host = "localhost")
      : client(TlsSession::connect(other.servers, host)),
        server(TlsSession::accept(tls.clients, memory)) {
    begin();
  }

  void begin() {
    client->begin(memory);
    to_server = take_records();
  }

  /// Carries bytes to and fro, so many at a time, until nobody has more to say.
  void shake_hands(size_t piece = SIZE_MAX) {
    while (!to_server.empty() || !to_client.empty()) {
      deliver(*server, server_heard, to_server, to_client, piece);
      deliver(*client, client_heard, to_client, to_server, piece);
    }
  }
  bool open() const { return client->open() && server->open(); }

  /// These, as the client's records.
  Bytes records_of(std::span<const View> slices) {
    REQUIRE(client->send(slices, memory));
    return take_records();
  }
  Bytes take_records() { return std::exchange(memory.records, {}); }

  /// What the server hears when these bytes come, so many at a time.
  std::string hear(View records, size_t piece = SIZE_MAX) {
    std::string heard;
    for (; !records.empty(); records.remove_prefix(std::min(piece, records.size()))) {
      server_heard = server->receive(records.substr(0, piece), memory);
      to_client += take_records();
      heard.append(memory.plain, 0, server_heard.plain);
    }
    return heard;
  }

 private:
  void deliver(TlsSession& to, TlsSession::Heard& heard, Bytes& bytes, Bytes& answer,
               size_t piece) {
    const Bytes all = std::exchange(bytes, {});
    for (View rest = all; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
      heard = to.receive(rest.substr(0, piece), memory);
      answer += take_records();
    }
  }
};

/// How many records there are, if they are whole.
inline size_t count_records(View bytes) {
  size_t count = 0;
  while (bytes.size() >= 5) {
    const size_t size = 5 + size_t{load_u16(bytes.data() + 3)};
    REQUIRE(bytes.size() >= size);
    bytes.remove_prefix(size);
    ++count;
  }
  REQUIRE(bytes.empty());
  return count;
}

}  // namespace headgate::test
