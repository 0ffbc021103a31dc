// Settings and files become rules, or an error that says which of them is wrong.
#include "proxy/tls/context.h"

#include "tests/unit/proxy/tls/rig.h"

using namespace headgate;
using test::Files;
using test::with_certificate;

TEST_CASE("tls context: what is disabled is not there") {
  const Files files;
  Settings settings;
  settings.server_tls_sslmode = SslMode::disable;
  const Tls tls = files.make(settings);
  CHECK_FALSE(tls.clients);
  CHECK_FALSE(tls.servers);
  CHECK(files.make(Settings{}).servers->mode() == SslMode::prefer);
}

TEST_CASE("tls context: bad files are named with their setting and the reason") {
  Files files;
  const auto refusal = [&](const std::string& path, const std::string& text) {
    Files damaged;
    damaged.texts[path] = text;
    Settings settings = with_certificate();
    settings.client_tls_ca_file = "/ca";
    return damaged.refusal(settings);
  };
  CHECK(refusal("/own.key", "") ==
        "cannot use client_tls_key_file \"/own.key\": it holds no key in PEM form");
  CHECK(refusal("/own.key", files.own.certificate_text) ==
        "cannot use client_tls_key_file \"/own.key\": it holds no key in PEM form");
  CHECK(refusal("/own.key", files.own.key_text)
            .starts_with("cannot use client_tls_key_file \"/own.key\": it does not fit "
                         "client_tls_cert_file"));
  CHECK(refusal("/own.crt", "hello") ==
        "cannot use client_tls_cert_file \"/own.crt\": it holds no certificate in PEM form");
  CHECK(refusal("/own.crt", files.own.certificate_text.substr(0, 200))
            .starts_with("cannot use client_tls_cert_file \"/own.crt\": "));
  CHECK(refusal("/ca", "hello") ==
        "cannot use client_tls_ca_file \"/ca\": it holds no certificate in PEM form");
  CHECK(refusal("/ca", files.authority.certificate_text + "-----BEGIN CERTIFICATE-----\nxx\n")
            .starts_with("cannot use client_tls_ca_file \"/ca\": "));
  files.texts.erase("/own.crt");
  CHECK(files.refusal(with_certificate()) ==
        "cannot use client_tls_cert_file \"/own.crt\": No such file or directory");
}

TEST_CASE("tls context: a key with a passphrase is refused, not asked for") {
  Files files;
  const BioPtr locked(BIO_new(BIO_s_mem()));
  char passphrase[] = "secret";
  PEM_write_bio_PrivateKey(locked.get(), files.own.key.get(), EVP_aes_128_cbc(),
                           reinterpret_cast<unsigned char*>(passphrase), 6, nullptr, nullptr);
  files.texts["/own.key"] = test::text_of(locked);
  CHECK(files.refusal(with_certificate()) ==
        "cannot use client_tls_key_file \"/own.key\": it is locked by a passphrase");
}

TEST_CASE("tls context: unknown words are named with their setting") {
  const Files files;
  const auto refusal = [&](auto member, const std::string& value) {
    Settings settings = with_certificate();
    settings.*member = value;
    return files.refusal(settings);
  };
  using S = Settings;
  CHECK(refusal(&S::client_tls_ciphers, "NONE-SUCH") ==
        "invalid value \"NONE-SUCH\" for parameter client_tls_ciphers");
  CHECK(refusal(&S::client_tls13_ciphers, "NONE_SUCH") ==
        "invalid value \"NONE_SUCH\" for parameter client_tls13_ciphers");
  CHECK(refusal(&S::client_tls_ecdhcurve, "secp1") ==
        "invalid value \"secp1\" for parameter client_tls_ecdhcurve");
  CHECK(refusal(&S::server_tls13_ciphers, "x") ==
        "invalid value \"x\" for parameter server_tls13_ciphers");
  CHECK(refusal(&S::client_tls_protocols, "ssl") ==
        "invalid value \"ssl\" for parameter client_tls_protocols");
  for (const std::string word : {"default", "secure", "normal", "fast", "HIGH:!aNULL"}) {
    CHECK(refusal(&S::client_tls_ciphers, word) == "made");
  }
  for (const std::string curve : {"auto", "none", "prime256v1", "secp384r1", "X25519"}) {
    CHECK(refusal(&S::client_tls_ecdhcurve, curve) == "made");
  }
}

TEST_CASE("tls context: what has not changed is kept, what has changed is new") {
  Files files;
  Settings settings = with_certificate();
  const Tls first = files.make(settings);
  const Tls same = files.make(settings, first);
  CHECK(same.clients == first.clients);
  CHECK(same.servers == first.servers);

  settings.client_tls_ciphers = "HIGH";
  const Tls other_rules = files.make(settings, first);
  CHECK(other_rules.clients != first.clients);
  CHECK(other_rules.servers == first.servers);
  CHECK_FALSE(same_rules(other_rules.clients, first.clients));

  files.texts["/own.crt"] = files.own.certificate_text + files.authority.certificate_text;
  const Tls other_files = files.make(settings, other_rules);
  CHECK(other_files.clients != other_rules.clients);
  CHECK(same_rules(other_files.clients, other_rules.clients));
  CHECK_FALSE(same_rules(other_files.clients, nullptr));
  CHECK(same_rules(nullptr, nullptr));

  const auto renewed = other_files.clients->with_new_ticket_key();
  REQUIRE(renewed.ok());
  CHECK(*renewed != other_files.clients);
  CHECK(same_rules(*renewed, other_files.clients));
}
