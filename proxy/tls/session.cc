#include "proxy/tls/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/openssl.h"

namespace headgate {

TlsSession::TlsSession(TlsContextPtr context)
    : context_(std::move(context)), ssl_(SSL_new(context_->handle())) {
  MUST(ssl_);  // out of memory
}

TlsSession::~TlsSession() = default;

void TlsSession::Free::operator()(ssl_st* handle) const { SSL_free(handle); }

std::unique_ptr<TlsSession> TlsSession::accept(TlsContextPtr context, TlsMemory& memory) {
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context)));
  memory.share_certificates(session->ssl_.get());
  SSL_set_accept_state(session->ssl_.get());
  return session;
}

std::unique_ptr<TlsSession> TlsSession::connect(TlsContextPtr context, std::string host) {
  MUST(!host.empty());
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context)));
  session->host_ = std::make_unique<const std::string>(std::move(host));
  SSL_set_connect_state(session->ssl_.get());
  if (!is_ip_address(*session->host_)) {
    SSL_set_tlsext_host_name(session->ssl_.get(), session->host_->c_str());
  }
  return session;
}

// --- hearing

void TlsSession::work_in(TlsMemory& memory) {
  memory.work_on(ssl_.get());
  ERR_clear_error();
}

void TlsSession::begin(TlsMemory& memory) {
  work_in(memory);
  shake_hands(memory);
}

TlsSession::Heard TlsSession::receive(View in, TlsMemory& memory) {
  Heard heard;
  Bytes& plain = memory.plain;
  memory.unread = in;
  work_in(memory);
  const bool was_open = open();
  if (!facts_ && !failed()) {
    handshake_bytes_ += in.size();
    shake_hands(memory);
    if (!facts_ && handshake_bytes_ > max_handshake) fail("the handshake is too long");
  }
  // At most a record that was begun before, and what is in these.
  const size_t room = in.size() + 2 * record_size;
  if (plain.size() < room) plain.resize(room);
  while (open() && heard.plain < plain.size() &&
         (!memory.unread.empty() || SSL_has_pending(ssl_.get()))) {
    size_t got = 0;
    const int result =
        SSL_read_ex(ssl_.get(), plain.data() + heard.plain, plain.size() - heard.plain, &got);
    heard.plain += got;
    if (result == 1) continue;
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_ZERO_RETURN) heard.goodbye = true;
    if (error != SSL_ERROR_ZERO_RETURN && error != SSL_ERROR_WANT_READ) fail(result);
    break;
  }
  memory.unread = {};
  heard.opened = open() && !was_open;
  heard.failed = failed();
  return heard;
}

bool TlsSession::shake_hands(TlsMemory& memory) {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    learn_facts(memory);
    return open();
  }
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) fail(result);
  return false;
}

void TlsSession::learn_facts(TlsMemory& memory) {
  SSL* ssl = ssl_.get();
  X509* peer = SSL_get0_peer_certificate(ssl);
  if (!answers() && context_->mode() >= SslMode::verify_ca && !peer) {
    return fail("no certificate");  // the ciphers that are allowed do without
  }
  if (!answers() && context_->mode() == SslMode::verify_full && !is_for_host(peer, *host_)) {
    return fail(fmt::format("the server's certificate is not for \"{}\"", *host_));
  }
  TlsFacts facts;
  facts.description = fmt::format("{}/{}", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
  if (SSL_CIPHER_get_kx_nid(SSL_get_current_cipher(ssl)) == NID_kx_ecdhe) {
    facts.description += "/ECDH=";
    facts.description += OBJ_nid2sn(SSL_get_negotiated_group(ssl));
  }
  if (answers() && peer && SSL_get_verify_result(ssl) == X509_V_OK) {
    facts.peer_names = names_in(peer);
  }
  if (answers()) {
    facts.server_end_point = context_->own_end_point();
  } else if (peer) {
    facts.server_end_point = end_point_hash(peer);
  }
  facts_ = memory.share(std::move(facts));
  if (answers() && SSL_session_reused(ssl) == 1) memory.ticket_used();
}

void TlsSession::fail(int result) {
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_SSL) {
    // The first error is the nearest to the reason, but for certificates.
    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
      ERR_clear_error();
      return fail(fmt::format("certificate verify failed: {}",
                              X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()))));
    }
    return fail(take_openssl_error());
  }
  fail("unexpected end");
}

void TlsSession::fail(std::string why) {
  error_ = std::make_unique<const std::string>(std::move(why));
}

// --- saying

bool TlsSession::put(View piece) {
  size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &written);
  if (result == 1) return true;
  fail(result);
  return false;
}

bool TlsSession::send(std::span<const View> slices, TlsMemory& memory) {
  work_in(memory);
  if (sends_until_ticket_ > 0 && --sends_until_ticket_ == 0) SSL_new_session_ticket(ssl_.get());
  char gathered[record_size];  // of slices that do not fill a record
  size_t size = 0;
  for (View slice : slices) {
    while (!slice.empty()) {
      View piece = slice.substr(0, record_size - size);
      slice.remove_prefix(piece.size());
      if (piece.size() < record_size) {
        std::memcpy(gathered + size, piece.data(), piece.size());
        size += piece.size();
        if (size < record_size) continue;
        piece = View(gathered, size);
        size = 0;
      }
      if (!put(piece)) return false;
    }
  }
  return size == 0 || put(View(gathered, size));
}

// Not with the welcome, for which the client waits; and not alone, which would wake it for nothing.
void TlsSession::let_in(TlsMemory& memory) {
  if (memory.is_worth_a_ticket()) sends_until_ticket_ = 2;
}

void TlsSession::say_goodbye(TlsMemory& memory) {
  if (!open() || (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0) return;
  work_in(memory);
  SSL_shutdown(ssl_.get());
}

}  // namespace headgate
