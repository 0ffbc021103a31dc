// The HBA file: which client may come in from where, to what, and how it has to prove who it is.
// The first rule that fits decides. A line is one of
//
//   local                      database user         method [option]
//   host|hostssl|hostnossl     database user address method [option]
//
//   database, user   comma lists of names; `all`, `sameuser`, `replication`; @file holds more names
//   address          `all`, a number with /bits, or a number and a mask in two columns
//   method           trust reject md5 password scram-sha-256 peer cert ldap
//   option           map=NAME for peer and cert; the options of auth/ldap_options.h for ldap
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "auth/ident.h"
#include "auth/ip_range.h"
#include "auth/ldap_options.h"
#include "auth/line_tokens.h"
#include "auth/method.h"
#include "base/bytes.h"
#include "base/result.h"
#include "protocol/startup.h"

namespace headgate {

/// A log-in as the rules see it.
struct HbaLogin {
  bool is_local = false;            // over a unix socket
  bool has_tls = false;             // over TCP and encrypted
  std::optional<IpNumber> address;  // over TCP
  View database, user;
  Replication replication = Replication::none;
};

/// The names of one column.
struct HbaNames {
  bool all = false, same_user = false, replication = false;
  std::set<std::string, std::less<>> names;

  bool fits(View name, bool is_same_user) const {
    return all || (same_user && is_same_user) || names.find(name) != names.end();
  }
};

struct HbaRule {
  enum class Connection : uint8_t { local, host, hostssl, hostnossl };
  Connection connection = Connection::local;
  HbaNames databases, users;
  std::optional<IpRange> range;  // nothing: from everywhere
  AuthMethod method = AuthMethod::reject;
  std::string map;  // empty: the names must be equal
  LdapOptions ldap;
  size_t line = 0;

  bool fits(const HbaLogin& login) const;
};

class HbaRules {
 public:
  /// Reads a whole file, or says why it cannot be read.
  using ReadFile = std::function<Result<std::string>(const std::string& path)>;
  /// The most names that one file and what it includes may hold, and how deep they may include.
  static constexpr size_t max_names = 100'000;
  static constexpr int deepest_include = 10;

  /// Bad lines are skipped and described in `problems`; `doubts` gets what can be no intention.
  static HbaRules parse(View text, const std::string& file, const IdentMaps& maps,
                        const ReadFile& read, std::vector<LineProblem>& problems,
                        std::vector<LineProblem>& doubts);

  /// The first rule that fits, or null.
  const HbaRule* find(const HbaLogin& login) const;
  const std::vector<HbaRule>& all() const { return rules_; }

 private:
  std::vector<HbaRule> rules_;
};

}  // namespace headgate
