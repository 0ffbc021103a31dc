#include "proxy/tls/certificate.h"

#include <arpa/inet.h>

#include <array>

namespace headgate {

std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  std::string text = "unknown reason";
  if (const char* reason = ERR_reason_error_string(code)) {
    text = reason;
  } else if (code != 0) {
    std::array<char, 128> buffer{};
    ERR_error_string_n(code, buffer.data(), buffer.size());
    text = buffer.data();
  }
  ERR_clear_error();
  return text;
}

namespace {

void add_name(std::vector<std::string>& names, const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, text);
  if (size < 0) return;
  const std::string name(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
  OPENSSL_free(utf8);
  if (name.empty() || name.find('\0') != name.npos || names.size() >= max_certificate_names) return;
  names.push_back(name);
}

void add_address(std::vector<std::string>& names, const ASN1_OCTET_STRING* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int size = ASN1_STRING_length(address);
  if (size != 4 && size != 16) return;
  const int family = size == 4 ? AF_INET : AF_INET6;
  if (!inet_ntop(family, ASN1_STRING_get0_data(address), text.data(), text.size())) return;
  if (names.size() < max_certificate_names) names.emplace_back(text.data());
}

}  // namespace

std::vector<std::string> names_in(X509* certificate) {
  std::vector<std::string> names;
  X509_NAME* subject = X509_get_subject_name(certificate);
  if (const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0) {
    add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  }
  const std::unique_ptr<GENERAL_NAMES, OpenSslDelete<GENERAL_NAMES_free>> others(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; i < sk_GENERAL_NAME_num(others.get()); ++i) {
    const GENERAL_NAME* other = sk_GENERAL_NAME_value(others.get(), i);
    switch (other->type) {
      case GEN_DNS:
      case GEN_EMAIL:
      case GEN_URI:
        add_name(names, other->d.ia5);
        break;
      case GEN_IPADD:
        add_address(names, other->d.iPAddress);
        break;
      default:
        break;
    }
  }
  return names;
}

Bytes end_point_hash(X509* certificate) {
  int hash = NID_undef;
  if (!X509_get_signature_info(certificate, &hash, nullptr, nullptr, nullptr)) return {};
  if (hash == NID_md5 || hash == NID_sha1) hash = NID_sha256;
  const EVP_MD* algorithm = EVP_get_digestbynid(hash);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (!algorithm || !X509_digest(certificate, algorithm, digest.data(), &size)) return {};
  return {reinterpret_cast<char*>(digest.data()), size};
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, 16> address{};
  return inet_pton(AF_INET, host.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
}

bool is_for_host(X509* certificate, const std::string& host) {
  unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;
  if (is_ip_address(host)) {
    if (X509_check_ip_asc(certificate, host.c_str(), 0) == 1) return true;
    if (X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1) >= 0) return false;
    flags = X509_CHECK_FLAG_NO_WILDCARDS;
  }
  return X509_check_host(certificate, host.data(), host.size(), flags, nullptr) == 1;
}

}  // namespace headgate
