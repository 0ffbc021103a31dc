// The options of log-ins that an LDAP directory checks, as text and as values. Two ways:
//
//   simple bind    ldapprefix USER ldapsuffix is the name that the client's password must open
//   search + bind  the name is searched for below ldapbasedn (as ldapbinddn, or as nobody), then
//                  the client's password must open it
//
//   ldapserver=HOSTS   a list with blanks between; ldapport=N  ldapscheme=ldap|ldaps  ldaptls=0|1
//   ldapprefix=  ldapsuffix=
//   ldapbasedn=  ldapbinddn=  ldapbindpasswd=  ldapsearchattribute=  ldapsearchfilter=
//   ldapurl=ldap[s]://host[:port]/basedn[?[attribute][?[scope][?[filter]]]]
//
// Options are separated by blanks; a value (or a part of it) may stand in double quotes.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

struct LdapOptions {
  enum class Scope : uint8_t { base, one, subtree };
  static constexpr size_t max_size = 1023;

  std::string servers;  // blanks between them; empty with a base DN: found by DNS
  int port = 0;         // 0: 389, or 636 for ldaps
  bool ldaps = false, start_tls = false;
  std::string prefix, suffix;
  std::string base_dn, bind_dn, bind_password;
  std::string search_attribute, search_filter;
  Scope scope = Scope::subtree;

  bool searches() const { return !base_dn.empty(); }
  /// The servers as libldap wants them: `ldap://a:389 ldap://b:389`.
  std::string uris() const;
  /// The name of the user for a simple bind.
  std::string bind_name(View user) const;
  /// The filter that finds the user; nothing if the name has characters that mean something there.
  std::optional<std::string> filter_for(View user) const;

  static Result<LdapOptions> parse(View text);
  /// The text with *** in place of ldapbindpasswd, to be shown.
  static std::string without_password(View text);
  bool operator==(const LdapOptions&) const = default;
};

}  // namespace headgate
