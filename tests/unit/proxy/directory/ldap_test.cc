#include "proxy/directory/ldap.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

using namespace headgate;

namespace {

/// A directory that refuses connections: nothing listens on the first port of the loopback.
DirectoryQuestion question() {
  DirectoryQuestion question;
  question.method = AuthMethod::ldap;
  question.user = "somebody";
  question.password = "secret";
  question.ldap.servers = "127.0.0.1";
  question.ldap.port = 1;
  question.ldap.prefix = "uid=";
  return question;
}

}  // namespace

// The first question makes the library read its files: for all of them before any is asked. (What
// goes wrong otherwise, only ThreadSanitizer sees each time.)
TEST_CASE("ldap: the first questions may come at the same time") {
  std::atomic<int> refused = 0;
  std::thread threads[16];
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      if (!ldap_accepts(question())) ++refused;
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(refused == 16);
}
