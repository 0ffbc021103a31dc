// A session between memory, with another one or with OpenSSL itself at the other end.
#include "proxy/tls/session.h"

#include <algorithm>
#include <random>

#include "proxy/tls/certificate.h"
#include "tests/unit/proxy/tls/rig.h"

using namespace headgate;
using test::Conversation;
using test::Files;
using test::Pair;
using test::with_certificate;

namespace {

Settings servers(SslMode mode, const std::string& ca = "/ca") {
  Settings settings;
  settings.server_tls_sslmode = mode;
  settings.server_tls_ca_file = ca;
  return settings;
}

/// A client that is OpenSSL alone, for what a session of ours never does.
struct RawClient {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL* ssl = SSL_new(context);
  RawClient() {
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_set_connect_state(ssl);
  }
  ~RawClient() {
    SSL_free(ssl);
    SSL_CTX_free(context);
  }
  Bytes said() {
    Bytes bytes(BIO_ctrl_pending(SSL_get_wbio(ssl)), '\0');
    if (!bytes.empty()) BIO_read(SSL_get_wbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  void hears(const Bytes& bytes) {
    BIO_write(SSL_get_rbio(ssl), bytes.data(), static_cast<int>(bytes.size()));
  }
  /// What it understands of that.
  Bytes understands(const Bytes& bytes) {
    hears(bytes);
    char buffer[100];
    const int got = SSL_read(ssl, buffer, sizeof buffer);
    return {buffer, static_cast<size_t>(std::max(got, 0))};
  }
  void shake_hands(TlsSession& server, TlsMemory& memory) {
    for (int flight = 0; flight < 3; ++flight) {
      SSL_do_handshake(ssl);
      server.receive(said(), memory);
      hears(std::exchange(memory.records, {}));
    }
  }
};

}  // namespace

TEST_CASE("tls session: a handshake comes through in pieces of any size") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{5}, size_t{100}, SIZE_MAX}) {
    CAPTURE(piece);
    Conversation talk(tls, files.make(servers(SslMode::verify_full)));
    CHECK_FALSE(talk.server->facts());
    talk.shake_hands(piece);
    REQUIRE(talk.open());
    CHECK(talk.server->facts()->description == "TLSv1.3/TLS_AES_256_GCM_SHA384");
    CHECK(talk.client->facts()->description == talk.server->facts()->description);
    CHECK(talk.server->facts()->server_end_point.size() == 32);
    CHECK(talk.client->facts()->server_end_point == talk.server->facts()->server_end_point);
    CHECK(talk.server->facts()->peer_names.empty());
  }
}

TEST_CASE("tls session: equal facts are one, others are told apart") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  TlsMemory memory;
  const auto facts_with = [&](const char* ciphers) {
    RawClient client;
    SSL_set_ciphersuites(client.ssl, ciphers);
    auto server = TlsSession::accept(tls.clients, memory);
    client.shake_hands(*server, memory);
    REQUIRE(server->open());
    return server;
  };
  const auto one = facts_with("TLS_AES_256_GCM_SHA384");
  const auto other = facts_with("TLS_AES_128_GCM_SHA256");
  const auto another = facts_with("TLS_AES_256_GCM_SHA384");
  CHECK(one->facts() == another->facts());
  CHECK(other->facts()->description == "TLSv1.3/TLS_AES_128_GCM_SHA256");
}

TEST_CASE("tls session: each shows the certificate of the context that it was made with") {
  Files files;
  const Tls before = files.make(with_certificate());
  const Pair renewed = test::make_pair({"renewed", "DNS:localhost", &files.authority});
  files.texts["/own.key"] = renewed.key_text;
  files.texts["/own.crt"] = renewed.certificate_text;
  const Tls after = files.make(with_certificate(), before);
  TlsMemory memory;
  const auto begun = TlsSession::accept(before.clients, memory);
  const auto shown_by = [&](TlsSession& server) {
    RawClient client;
    client.shake_hands(server, memory);
    REQUIRE(server.open());
    const X509Ptr shown(SSL_get1_peer_certificate(client.ssl));
    CHECK(server.facts()->server_end_point == end_point_hash(shown.get()));
    return names_in(shown.get()).at(0);
  };
  CHECK(shown_by(*TlsSession::accept(before.clients, memory)) == "pooler");
  CHECK(shown_by(*TlsSession::accept(after.clients, memory)) == "renewed");
  CHECK(shown_by(*begun) == "pooler");
  CHECK(shown_by(*TlsSession::accept(before.clients, memory)) == "pooler");
}

TEST_CASE("tls session: a session may go on in the memory of another thread") {
  const Files files;
  auto first = std::make_unique<TlsMemory>();
  const auto server = TlsSession::accept(files.make(with_certificate()).clients, *first);
  RawClient client;
  client.shake_hands(*server, *first);
  REQUIRE(server->open());
  first.reset();
  TlsMemory second;
  SSL_write(client.ssl, "hello", 5);
  const auto heard = server->receive(client.said(), second);
  CHECK(View(second.plain).substr(0, heard.plain) == "hello");
  const View said = "world";
  REQUIRE(server->send({&said, 1}, second));
  CHECK(client.understands(second.records) == said);
}

TEST_CASE("tls session: a flight of the handshake may leave as soon as it is whole") {
  const Files files;
  TlsMemory memory;
  const auto server = TlsSession::accept(files.make(with_certificate()).clients, memory);
  RawClient client;
  size_t flights = 0;
  memory.on_flight = [&] {
    ++flights;
    client.hears(std::exchange(memory.records, {}));
  };
  REQUIRE(SSL_do_handshake(client.ssl) == -1);
  server->receive(client.said(), memory);
  CHECK(flights == 1);
  CHECK(memory.records.empty());
  REQUIRE(SSL_do_handshake(client.ssl) == 1);
  CHECK(server->receive(client.said(), memory).opened);
}

TEST_CASE("tls session: tickets are for as many as may use them") {
  const Files files;
  const TlsContextPtr context = files.make(with_certificate()).clients;
  TlsMemory memory;
  const auto comes = [&](SSL_SESSION* ticket) {
    const auto server = TlsSession::accept(context, memory);
    RawClient client;
    if (ticket) SSL_set_session(client.ssl, ticket);
    client.shake_hands(*server, memory);
    REQUIRE(server->open());
    CHECK(SSL_session_reused(client.ssl) == (ticket ? 1 : 0));
    server->let_in(memory);
    for (const View said : {"welcome", "answer"}) {
      REQUIRE(server->send({&said, 1}, memory));
      CHECK(client.understands(std::exchange(memory.records, {})) == said);
    }
    SSL_shutdown(client.ssl);  // or OpenSSL voids the ticket of what looks broken
    SSL_SESSION* own = SSL_get1_session(client.ssl);
    if (SSL_SESSION_has_ticket(own) == 1) return own;
    SSL_SESSION_free(own);
    return static_cast<SSL_SESSION*>(nullptr);
  };
  const auto given_to = [&](uint32_t clients) {
    uint32_t given = 0;
    for (uint32_t i = 0; i < clients; ++i) {
      SSL_SESSION* ticket = comes(nullptr);
      given += ticket != nullptr;
      SSL_SESSION_free(ticket);
    }
    return given;
  };
  CHECK(given_to(TlsMemory::tickets_on_trial) == TlsMemory::tickets_on_trial);
  CHECK(given_to(2 * TlsMemory::clients_per_trial) == 2);
  SSL_SESSION* ticket = comes(nullptr);
  REQUIRE(ticket);
  SSL_SESSION_free(comes(ticket));
  SSL_SESSION_free(ticket);
  CHECK(given_to(TlsMemory::tickets_on_trial - 1) == TlsMemory::tickets_on_trial - 1);
}

TEST_CASE("tls session: a client gets its ticket in front of the first answer to one that is in") {
  const Files files;
  TlsMemory memory;
  const auto server = TlsSession::accept(files.make(with_certificate()).clients, memory);
  RawClient client;
  client.shake_hands(*server, memory);
  REQUIRE(server->open());
  const auto has_ticket = [&] { return SSL_SESSION_has_ticket(SSL_get0_session(client.ssl)) == 1; };
  const auto records_of = [&](View said) {
    REQUIRE(server->send({&said, 1}, memory));
    const size_t records = test::count_records(memory.records);
    CHECK(client.understands(std::exchange(memory.records, {})) == said);
    return records;
  };
  CHECK(records_of("who are you") == 1);
  server->let_in(memory);
  CHECK(records_of("welcome") == 1);
  CHECK_FALSE(has_ticket());
  CHECK(records_of("answer") == 2);
  CHECK(has_ticket());
  CHECK(records_of("another") == 1);
}

TEST_CASE("tls session: what is said arrives, in pieces of any size") {
  const Files files;
  Conversation talk(files.make(with_certificate()), files.make(servers(SslMode::require)));
  talk.shake_hands();
  std::mt19937 dice(7);
  std::string said;
  std::vector<std::string> parts;
  for (int i = 0; i < 200; ++i) {
    parts.emplace_back(dice() % (i % 10 == 0 ? 60000 : 300), static_cast<char>('a' + i % 26));
    said += parts.back();
  }
  std::vector<View> slices(parts.begin(), parts.end());
  CHECK(talk.hear(talk.records_of(slices), 1) == said);
  for (const size_t piece : {size_t{7}, size_t{16384}, size_t{131072}, SIZE_MAX}) {
    CAPTURE(piece);
    CHECK(talk.hear(talk.records_of(slices), piece) == said);
  }
}

TEST_CASE("tls session: small slices share a record, large ones fill theirs") {
  const Files files;
  Conversation talk(files.make(with_certificate()), files.make(servers(SslMode::require)));
  talk.shake_hands();
  const std::string small(100, 's');
  const std::string large(5 * TlsSession::record_size, 'l');
  const std::vector<View> many(16, small);
  CHECK(test::count_records(talk.records_of(many)) == 1);
  const std::vector<View> mixed = {small, large, small};
  CHECK(test::count_records(talk.records_of(mixed)) == 6);
  CHECK(test::count_records(talk.records_of(std::vector<View>{View(large), View()})) == 5);
}

TEST_CASE("tls session: a verified client is known by its names") {
  const Files files;
  Settings settings = with_certificate(SslMode::verify_full);
  settings.client_tls_ca_file = "/ca";
  Settings other = servers(SslMode::require);
  other.server_tls_key_file = "/client.key";
  other.server_tls_cert_file = "/client.crt";
  Conversation talk(files.make(settings), files.make(other));
  talk.shake_hands();
  REQUIRE(talk.open());
  CHECK(talk.server->facts()->peer_names == std::vector<std::string>{"app", "app.example"});
  CHECK(talk.client->facts()->peer_names.empty());

  Conversation nameless(files.make(settings), files.make(servers(SslMode::require)));
  nameless.shake_hands();
  CHECK(nameless.server->failed());
  CHECK(nameless.server->error() == "peer did not return a certificate");
  CHECK(nameless.client->failed());
}

TEST_CASE("tls session: a server of another name or authority is not trusted") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  const auto outcome = [&](SslMode mode, const std::string& host, const Files& authority) {
    Conversation talk(tls, authority.make(servers(mode)), host);
    talk.shake_hands();
    return talk.client->open() ? "open" : std::string(talk.client->error());
  };
  const Files strangers;
  CHECK(outcome(SslMode::require, "elsewhere", strangers) == "open");
  CHECK(outcome(SslMode::verify_ca, "elsewhere", files) == "open");
  CHECK(outcome(SslMode::verify_ca, "localhost", strangers)
            .starts_with("certificate verify failed: "));
  CHECK(outcome(SslMode::verify_full, "localhost", files) == "open");
  CHECK(outcome(SslMode::verify_full, "127.0.0.1", files) == "open");
  CHECK(outcome(SslMode::verify_full, "127.0.0.2", files) ==
        "the server's certificate is not for \"127.0.0.2\"");
  CHECK(outcome(SslMode::verify_full, "pooler", files) ==  // its common name, beside others
        "the server's certificate is not for \"pooler\"");
}

TEST_CASE("tls session: where a server is verified, it has to show a certificate") {
  constexpr const char* anonymous = "ALL:@SECLEVEL=0";  // as some need for servers of old
  const Files files;
  Settings nobody = with_certificate();
  nobody.client_tls_protocols = "tlsv1.2";
  nobody.client_tls_ciphers = "aNULL:@SECLEVEL=0";
  for (const auto& [mode, outcome] :
       {std::pair<SslMode, View>{SslMode::require, ""}, {SslMode::verify_ca, "no certificate"}}) {
    Settings rules = servers(mode);
    rules.server_tls_ciphers = anonymous;
    Conversation talk(files.make(nobody), files.make(rules));
    talk.shake_hands();
    CHECK(talk.client->error() == outcome);
  }
}

TEST_CASE("tls session: another one to the same server is by the same rules") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  Conversation talk(tls, files.make(servers(SslMode::verify_full)), "elsewhere");
  talk.client = talk.client->again();
  talk.begin();
  talk.shake_hands();
  CHECK(talk.client->error() == "the server's certificate is not for \"elsewhere\"");
}

TEST_CASE("tls session: a goodbye is heard behind what was said before, and said once") {
  const Files files;
  Conversation talk(files.make(with_certificate()), files.make(servers(SslMode::require)));
  talk.shake_hands();
  const View last = "last words";
  Bytes records = talk.records_of({&last, 1});
  talk.client->say_goodbye(talk.memory);
  records += talk.take_records();
  talk.client->say_goodbye(talk.memory);
  CHECK(talk.take_records().empty());
  CHECK(talk.hear(records) == last);
  CHECK(talk.server_heard.goodbye);
  CHECK_FALSE(talk.server_heard.failed);
}

TEST_CASE("tls session: one wrong bit fails it, and it stays so") {
  const Files files;
  Conversation talk(files.make(with_certificate()), files.make(servers(SslMode::require)));
  talk.shake_hands();
  const View said = "a message";
  Bytes records = talk.records_of({&said, 1});
  const Bytes more = talk.records_of({&said, 1});
  records.back() ^= 1;
  CHECK(talk.hear(records).empty());
  CHECK(talk.server_heard.failed);
  CHECK_FALSE(talk.to_client.empty());  // an alert
  CHECK(talk.hear(more).empty());
  CHECK(talk.server_heard.failed);
  talk.server->say_goodbye(talk.memory);
  CHECK(talk.take_records().empty());
  CHECK_FALSE(talk.server->open());
}

TEST_CASE("tls session: a handshake without end is ended") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  TlsMemory memory;
  const auto server = TlsSession::accept(tls.clients, memory);
  // A ClientHello that is announced as 16 MB is refused at once; empty ones may be repeated.
  Bytes hello("\x16\x03\x01\x00\x04\x01\xff\xff\xff", 9);
  size_t sent = 0;
  while (!server->receive(hello, memory).failed) {
    sent += hello.size();
    REQUIRE(sent < 2 * TlsSession::max_handshake);
  }
  CHECK_FALSE(server->error().empty());
}

TEST_CASE("tls session: a new key is answered with a new key") {
  const Files files;
  TlsMemory memory;
  const auto server = TlsSession::accept(files.make(with_certificate()).clients, memory);
  RawClient client;
  client.shake_hands(*server, memory);
  REQUIRE(server->open());
  for (int turn = 0; turn < 100; ++turn) {
    SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED);
    SSL_write(client.ssl, "x", 1);
    const auto heard = server->receive(client.said(), memory);
    CHECK(heard.plain == 1);
    CHECK_FALSE(heard.failed);
  }
  CHECK(test::count_records(memory.records) >= 99);  // the last may wait for the next occasion
  const View said = "still here";
  server->send({&said, 1}, memory);
  CHECK(client.understands(memory.records) == said);
}

TEST_CASE("tls session: a client that names other protocols only is refused") {
  const Files files;
  const auto outcome = [&](const char* offered) {
    TlsMemory memory;
    const auto server = TlsSession::accept(files.make(with_certificate()).clients, memory);
    RawClient client;
    SSL_set_alpn_protos(client.ssl, reinterpret_cast<const unsigned char*>(offered),
                        static_cast<unsigned>(std::strlen(offered)));
    client.shake_hands(*server, memory);
    return server->open();
  };
  CHECK(outcome("\x0apostgresql"));
  CHECK(outcome("\x02h2\x0apostgresql"));
  CHECK_FALSE(outcome("\x02h2"));
}

TEST_CASE("tls session: a handshake with any bit changed ends in peace") {
  const Files files;
  const Tls tls = files.make(with_certificate());
  std::mt19937 dice(11);
  int refused = 0;
  for (int round = 0; round < 400; ++round) {
    Conversation talk(tls, files.make(servers(SslMode::require)));
    Bytes& target = talk.to_server;
    target[dice() % target.size()] ^= static_cast<char>(1 << dice() % 8);
    talk.shake_hands(1 + dice() % 600);
    refused += !talk.open();
    CHECK(talk.client->open() <= (talk.client->facts() != nullptr));
  }
  CHECK(refused > 100);
}
