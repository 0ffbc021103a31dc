// What a certificate says: whose it is, for which host, and the hash that stands for it.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "proxy/tls/openssl.h"

namespace headgate {

/// More names than these are not looked at.
constexpr size_t max_certificate_names = 256;

/// The common name, then every subject alternative name as text. Names with a zero byte in them are
/// left out: whoever compares them as text would see the beginning only.
std::vector<std::string> names_in(X509* certificate);

/// The hash of RFC 5929, tls-server-end-point: by the hash of its signature, SHA-256 for MD5 and
/// SHA-1; empty where the signature has no hash of its own (Ed25519).
Bytes end_point_hash(X509* certificate);

bool is_ip_address(const std::string& host);

/// Whether the certificate is for this name or IP address. A common name that is the address in
/// text counts where there are no alternative names, as it does for libpq.
bool is_for_host(X509* certificate, const std::string& host);

}  // namespace headgate
