// OpenSSL's objects with owners, and its errors as text. For the files of this room alone.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

#include "base/bytes.h"

namespace headgate {

template <auto release>
struct OpenSslDelete {
  template <class T>
  void operator()(T* object) const {
    release(object);
  }
};
using BioPtr = std::unique_ptr<BIO, OpenSslDelete<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, OpenSslDelete<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslDelete<EVP_PKEY_free>>;

/// The reason of the first error in this thread's queue, which is empty then.
std::string take_openssl_error();

/// A BIO that reads these bytes; they must outlive it.
inline BioPtr bio_of(View bytes) {
  return BioPtr(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

}  // namespace headgate
