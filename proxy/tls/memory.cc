#include "proxy/tls/memory.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "proxy/tls/openssl.h"

namespace headgate {

namespace {

// OpenSSL reads from the lent bytes and writes behind what is to be sent: no buffers in between.
TlsMemory& memory_of(BIO* bio) { return *static_cast<TlsMemory*>(BIO_get_data(bio)); }

int read(BIO* bio, char* into, size_t size, size_t* taken) {
  View& in = memory_of(bio).unread;
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

int write(BIO* bio, const char* from, size_t size, size_t* taken) {
  memory_of(bio).records.append(from, size);
  *taken = size;
  return 1;
}

long control(BIO* bio, int command, long, void*) {
  if (command != BIO_CTRL_FLUSH) return 0;
  if (const auto& on_flight = memory_of(bio).on_flight) on_flight();
  return 1;
}

int create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

const BIO_METHOD* method() {
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

}  // namespace

void TlsMemory::Free::operator()(bio_st* bio) const { BIO_free(bio); }
void TlsMemory::Free::operator()(ssl_st* connection) const { SSL_free(connection); }

TlsMemory::TlsMemory() : bio_(BIO_new(method())) {
  MUST(bio_);  // out of memory
  BIO_set_data(bio_.get(), this);
}

// One BIO serves all: it has no state but for the time of a call.
void TlsMemory::work_on(ssl_st* connection) {
  if (SSL_get_rbio(connection) == bio_.get()) return;
  MUST(BIO_up_ref(bio_.get()) && BIO_up_ref(bio_.get()));
  SSL_set0_rbio(connection, bio_.get());
  SSL_set0_wbio(connection, bio_.get());
}

// OpenSSL gives each connection a copy of its context's list, so that it may have certificates of
// its own. None has here, so all that is ever written to the list is which of the certificates a
// handshake took, and a context has but one. The function takes over what else its name says as
// well: from a model that never was connected, nothing.
void TlsMemory::share_certificates(ssl_st* connection) {
  SSL_CTX* context = SSL_get_SSL_CTX(connection);
  if (!model_ || SSL_get_SSL_CTX(model_.get()) != context) model_.reset(SSL_new(context));
  MUST(model_ && SSL_copy_session_id(connection, model_.get()));
}

TlsFactsPtr TlsMemory::share(TlsFacts facts) {
  for (const TlsFactsPtr& one : known_) {
    if (one && *one == facts) return one;
  }
  TlsFactsPtr& place = known_[oldest_];
  oldest_ = (oldest_ + 1) % max_known;
  place = std::make_shared<const TlsFacts>(std::move(facts));
  return place;
}

bool TlsMemory::is_worth_a_ticket() {
  const uint32_t clients = clients_since_use_++;
  return clients < tickets_on_trial || clients % clients_per_trial == 0;
}

}  // namespace headgate
