#include "proxy/tls/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "proxy/tls/certificate.h"
#include "proxy/tls/openssl.h"

namespace headgate {

// OpenSSL reads from the lent bytes and writes behind what is to be sent: no buffers in between.
struct TlsSession::Memory {
  static TlsSession& session(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, size_t size, size_t* taken) {
    View& in = session(bio).in_;
    BIO_clear_retry_flags(bio);
    *taken = std::min(size, in.size());
    if (*taken == 0) {
      BIO_set_retry_read(bio);
      return 0;
    }
    std::memcpy(into, in.data(), *taken);
    in.remove_prefix(*taken);
    return 1;
  }
  static int write(BIO* bio, const char* from, size_t size, size_t* taken) {
    session(bio).out_->append(from, size);
    *taken = size;
    return 1;
  }
  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* one = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "headgate");
      BIO_meth_set_read_ex(one, read);
      BIO_meth_set_write_ex(one, write);
      BIO_meth_set_ctrl(one, control);
      BIO_meth_set_create(one, create);
      return one;
    }();
    return made;
  }
};

TlsSession::TlsSession(TlsContextPtr context, std::string host)
    : context_(std::move(context)), host_(std::move(host)), ssl_(SSL_new(context_->handle())) {
  MUST(ssl_);  // out of memory
  BIO* memory = BIO_new(Memory::method());
  MUST(memory);
  BIO_set_data(memory, this);
  SSL_set_bio(ssl_.get(), memory, memory);
}

TlsSession::~TlsSession() = default;

void TlsSession::Free::operator()(ssl_st* handle) const { SSL_free(handle); }

std::unique_ptr<TlsSession> TlsSession::accept(TlsContextPtr context) {
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), ""));
  SSL_set_accept_state(session->ssl_.get());
  return session;
}

std::unique_ptr<TlsSession> TlsSession::connect(TlsContextPtr context, std::string host) {
  MUST(!host.empty());
  std::unique_ptr<TlsSession> session(new TlsSession(std::move(context), std::move(host)));
  SSL_set_connect_state(session->ssl_.get());
  if (!is_ip_address(session->host_)) {
    SSL_set_tlsext_host_name(session->ssl_.get(), session->host_.c_str());
  }
  return session;
}

// --- hearing

void TlsSession::begin(Bytes& out) {
  out_ = &out;
  ERR_clear_error();
  shake_hands();
}

TlsSession::Heard TlsSession::receive(View in, Bytes& plain, Bytes& out) {
  Heard heard;
  in_ = in;
  out_ = &out;
  ERR_clear_error();
  const bool was_open = open();
  if (!facts_ && !failed_) {
    handshake_bytes_ += in.size();
    shake_hands();
    if (!facts_ && handshake_bytes_ > max_handshake) fail("the handshake is too long");
  }
  // At most a record that was begun before, and what is in these.
  const size_t room = in.size() + 2 * record_size;
  if (plain.size() < room) plain.resize(room);
  while (open() && heard.plain < plain.size() && (!in_.empty() || SSL_has_pending(ssl_.get()))) {
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
  in_ = {};
  heard.opened = open() && !was_open;
  heard.failed = failed_;
  return heard;
}

bool TlsSession::shake_hands() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    learn_facts();
    return open();
  }
  if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) fail(result);
  return false;
}

void TlsSession::learn_facts() {
  SSL* ssl = ssl_.get();
  X509* peer = SSL_get0_peer_certificate(ssl);
  if (!answers() && context_->mode() >= SslMode::verify_ca && !peer) {
    return fail("no certificate");  // the ciphers that are allowed do without
  }
  if (!answers() && context_->mode() == SslMode::verify_full && !is_for_host(peer, host_)) {
    return fail(fmt::format("the server's certificate is not for \"{}\"", host_));
  }
  facts_ = std::make_unique<TlsFacts>();
  facts_->description = fmt::format("{}/{}", SSL_get_version(ssl), SSL_get_cipher_name(ssl));
  if (SSL_CIPHER_get_kx_nid(SSL_get_current_cipher(ssl)) == NID_kx_ecdhe) {
    facts_->description += "/ECDH=";
    facts_->description += OBJ_nid2sn(SSL_get_negotiated_group(ssl));
  }
  if (answers() && peer && SSL_get_verify_result(ssl) == X509_V_OK) {
    facts_->peer_names = names_in(peer);
  }
  X509* server = answers() ? SSL_get_certificate(ssl) : peer;
  if (server) facts_->server_end_point = end_point_hash(server);
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
  failed_ = true;
  error_ = std::move(why);
}

// --- saying

bool TlsSession::put(View piece) {
  size_t written = 0;
  const int result = SSL_write_ex(ssl_.get(), piece.data(), piece.size(), &written);
  if (result == 1) return true;
  fail(result);
  return false;
}

bool TlsSession::send(std::span<const View> slices, Bytes& out) {
  out_ = &out;
  ERR_clear_error();
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

void TlsSession::say_goodbye(Bytes& out) {
  if (!open() || (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0) return;
  out_ = &out;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

}  // namespace headgate
