// What a certificate says, and for whom it is.
#include "proxy/tls/certificate.h"

#include "tests/unit/proxy/tls/rig.h"

using namespace headgate;
using test::make_pair;
using test::Pair;
using Names = std::vector<std::string>;

TEST_CASE("certificate: the common name stands first, then all others") {
  const Pair pair = make_pair({"app", "DNS:a.example,IP:10.0.0.1,IP:::1,email:a@b.c,URI:x://y"});
  CHECK(names_in(pair.certificate.get()) ==
        Names{"app", "a.example", "10.0.0.1", "::1", "a@b.c", "x://y"});
  CHECK(names_in(make_pair({"app"}).certificate.get()) == Names{"app"});
}

TEST_CASE("certificate: a name with a zero byte is none") {
  const Pair pair = make_pair({.name = "", .others = "DNS:b", .raw_common_name = {"admin\0x", 7}});
  CHECK(names_in(pair.certificate.get()) == Names{"b"});
}

TEST_CASE("certificate: no more names than the limit are looked at") {
  std::string others = "DNS:n0";
  for (size_t i = 1; i < 2 * max_certificate_names; ++i) others += ",DNS:n" + std::to_string(i);
  CHECK(names_in(make_pair({"app", others}).certificate.get()).size() == max_certificate_names);
}

TEST_CASE("certificate: the hash that binds a channel is the signature's, SHA-256 for weak ones") {
  const Pair authority = make_pair({"authority"});
  const auto size = [&](const EVP_MD* hash) {
    const Pair pair = make_pair({.name = "x", .issuer = &authority, .hash = hash});
    return end_point_hash(pair.certificate.get()).size();
  };
  CHECK(size(EVP_sha1()) == 32);
  CHECK(size(EVP_sha256()) == 32);
  CHECK(size(EVP_sha384()) == 48);
  CHECK(size(EVP_sha512()) == 64);
  const Pair pair = make_pair({.name = "x", .issuer = &authority, .hash = EVP_sha256()});
  std::array<unsigned char, 32> expected{};
  unsigned length = 0;
  X509_digest(pair.certificate.get(), EVP_sha256(), expected.data(), &length);
  CHECK(end_point_hash(pair.certificate.get()) ==
        Bytes(reinterpret_cast<char*>(expected.data()), expected.size()));
}

TEST_CASE("certificate: for which host it is") {
  const auto fits = [](const std::string& name, const std::string& others,
                       const std::string& host) {
    return is_for_host(make_pair({name, others}).certificate.get(), host);
  };
  CHECK(fits("db.example", "", "db.example"));
  CHECK(fits("db.example", "", "DB.Example"));
  CHECK_FALSE(fits("db.example", "", "db.example.com"));
  CHECK_FALSE(fits("db.example", "DNS:other.example", "db.example"));
  CHECK(fits("x", "DNS:*.example.com", "db.example.com"));
  CHECK_FALSE(fits("x", "DNS:*.example.com", "a.b.example.com"));
  CHECK_FALSE(fits("x", "DNS:d*.example.com", "db.example.com"));
  CHECK(fits("x", "IP:10.0.0.1", "10.0.0.1"));
  CHECK_FALSE(fits("x", "IP:10.0.0.1", "10.0.0.2"));
  CHECK_FALSE(fits("10.0.0.2", "IP:10.0.0.1", "10.0.0.2"));
  CHECK(fits("10.0.0.2", "", "10.0.0.2"));
  CHECK_FALSE(fits("*.0.0.2", "", "10.0.0.2"));
  CHECK(fits("x", "IP:::1", "::1"));
  CHECK(fits("x", "IP:::1", "0:0:0:0:0:0:0:1"));
}
