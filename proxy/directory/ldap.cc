#include "proxy/directory/ldap.h"

#include <ldap.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "proxy/directory/pam.h"
#include "proxy/directory/threads.h"
#include "proxy/log.h"

namespace headgate {

namespace {

constexpr int steps = 4;  // connect, bind, search, bind: each gets its part of the patience

struct EndSession {
  void operator()(LDAP* session) const { ldap_unbind_ext_s(session, nullptr, nullptr); }
};
using Session = std::unique_ptr<LDAP, EndSession>;

struct FreeResult {
  void operator()(LDAPMessage* result) const { ldap_msgfree(result); }
};

bool worked(int result, const DirectoryQuestion& question, const char* what) {
  if (result == LDAP_SUCCESS) return true;
  log(LogLevel::warning, "LDAP: {} for user \"{}\": {}", what, question.user,
      ldap_err2string(result));
  return false;
}

timeval time_of_a_step(const DirectoryQuestion& question) {
  const auto whole = std::chrono::duration_cast<seconds>(question.patience / steps).count();
  timeval time{};
  time.tv_sec = std::max<decltype(whole)>(whole, 1);
  return time;
}

// Without a server the base DN tells the domain (dc=example,dc=net), and DNS its servers (SRV).
std::string uris_by_dns(const LdapOptions& options) {
  char* domain = nullptr;
  char* hosts = nullptr;
  std::string uris;
  if (ldap_dn2domain(options.base_dn.c_str(), &domain) == 0 && domain &&
      ldap_domain2hostlist(domain, &hosts) == 0 && hosts) {
    // The list has the ports: host:port host:port.
    for (std::string_view rest = hosts; !rest.empty();) {
      const auto host = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(host.size() + 1, rest.size()));
      if (host.empty()) continue;
      uris.append(uris.empty() ? "" : " ").append(options.ldaps ? "ldaps://" : "ldap://");
      uris.append(host);
    }
  }
  ldap_memfree(domain);
  ldap_memfree(hosts);
  return uris;
}

// At its first use the library reads its files, and lets another thread go on with half of what
// they say: without the certificates to trust, perhaps.
void read_files_once() {
  static std::once_flag once;
  std::call_once(once, [] {
    int version = 0;
    ldap_get_option(nullptr, LDAP_OPT_PROTOCOL_VERSION, &version);
  });
}

Session connect(const DirectoryQuestion& question) {
  read_files_once();
  const LdapOptions& options = question.ldap;
  const std::string uris = options.servers.empty() ? uris_by_dns(options) : options.uris();
  LDAP* handle = nullptr;
  if (!worked(ldap_initialize(&handle, uris.c_str()), question, "cannot use the servers")) {
    return nullptr;
  }
  Session session(handle);
  const int version = LDAP_VERSION3;
  const timeval limit = time_of_a_step(question);
  ldap_set_option(handle, LDAP_OPT_PROTOCOL_VERSION, &version);
  ldap_set_option(handle, LDAP_OPT_NETWORK_TIMEOUT, &limit);
  ldap_set_option(handle, LDAP_OPT_TIMEOUT, &limit);
  // A referral would take the password to a server that nobody has configured.
  ldap_set_option(handle, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
  if (options.start_tls &&
      !worked(ldap_start_tls_s(handle, nullptr, nullptr), question, "cannot start TLS")) {
    return nullptr;
  }
  return session;
}

int bind(LDAP* session, const std::string& name, const Bytes& password) {
  berval credentials{};
  credentials.bv_val = const_cast<char*>(password.data());
  credentials.bv_len = password.size();
  return ldap_sasl_bind_s(session, name.c_str(), LDAP_SASL_SIMPLE, &credentials, nullptr, nullptr,
                          nullptr);
}

int scope_of(LdapOptions::Scope scope) {
  switch (scope) {
    case LdapOptions::Scope::base:
      return LDAP_SCOPE_BASE;
    case LdapOptions::Scope::one:
      return LDAP_SCOPE_ONELEVEL;
    case LdapOptions::Scope::subtree:
      break;
  }
  return LDAP_SCOPE_SUBTREE;
}

// The one name below the base that the filter finds; of none, or of several, nothing is known.
std::optional<std::string> find_name(const DirectoryQuestion& question) {
  const LdapOptions& options = question.ldap;
  const auto filter = options.filter_for(question.user);
  if (!filter) {
    log(LogLevel::warning, "LDAP: the name of the user has a character that means something");
    return std::nullopt;
  }
  const Session session = connect(question);
  if (!session) return std::nullopt;
  const int bound = bind(session.get(), options.bind_dn, options.bind_password);
  if (!worked(bound, question, "cannot bind to search")) return std::nullopt;
  char nothing[] = LDAP_NO_ATTRS;
  char* attributes[] = {nothing, nullptr};
  timeval limit = time_of_a_step(question);
  constexpr int most = 2;
  LDAPMessage* result = nullptr;
  const int searched =
      ldap_search_ext_s(session.get(), options.base_dn.c_str(), scope_of(options.scope),
                        filter->c_str(), attributes, 0, nullptr, nullptr, &limit, most, &result);
  const std::unique_ptr<LDAPMessage, FreeResult> owner(result);
  if (!worked(searched, question, "cannot search")) return std::nullopt;
  if (ldap_count_entries(session.get(), result) != 1) {
    log(LogLevel::warning, "LDAP: user \"{}\" was not found just once", question.user);
    return std::nullopt;
  }
  char* name = ldap_get_dn(session.get(), ldap_first_entry(session.get(), result));
  if (!name) return std::nullopt;
  std::string copy(name);
  ldap_memfree(name);
  return copy;
}

}  // namespace

// An empty name or password would be a bind as nobody, which succeeds.
bool ldap_accepts(const DirectoryQuestion& question) {
  const auto name =
      question.ldap.searches() ? find_name(question) : question.ldap.bind_name(question.user);
  if (!name || name->empty() || question.password.empty()) return false;
  const Session session = connect(question);
  if (!session) return false;
  return worked(bind(session.get(), *name, question.password), question, "cannot bind");
}

bool directory_accepts(const DirectoryQuestion& question) {
  return question.method == AuthMethod::pam ? pam_accepts(question) : ldap_accepts(question);
}

}  // namespace headgate
