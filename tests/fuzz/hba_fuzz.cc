// An HBA file, the files it includes and an ident file: whatever is in them, a rule that was read
// means what its line says, and every other line is told of.
//
// Input: pieces behind their lengths: the HBA file, the file that @names reads, the ident file.
#include "auth/hba.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

void check_rule(const HbaRule& rule, const IdentMaps& maps) {
  MUST(rule.map.empty() || maps.has(rule.map));
  MUST(rule.map.empty() || rule.method == AuthMethod::peer || rule.method == AuthMethod::cert);
  MUST((rule.connection != HbaRule::Connection::local) || !rule.range);
  MUST(rule.method != AuthMethod::any && rule.method != AuthMethod::hba);
  if (rule.method == AuthMethod::ldap) MUST(rule.ldap.searches() || !rule.ldap.uris().empty());
}

void check_log_ins(const HbaRules& rules) {
  for (const char* address : {"", "127.0.0.1", "::1"}) {
    HbaLogin login;
    login.is_local = *address == '\0';
    if (!login.is_local) login.address = IpNumber::parse(address);
    login.database = "shop";
    login.user = "bob";
    const HbaRule* found = rules.find(login);
    for (const HbaRule& rule : rules.all()) {
      if (&rule == found) break;
      MUST(!rule.fits(login));
    }
  }
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  const Bytes hba(input.piece()), names(input.piece()), ident(input.piece());
  std::vector<LineProblem> problems, doubts, ident_problems;
  const IdentMaps maps = IdentMaps::parse(fuzz::Exact(ident).view(), "/etc/ident", ident_problems);
  const auto read = [&](const std::string& path) -> Result<std::string> {
    if (path == "/etc/names") return names;
    return Error(ErrorCode::io, "No such file or directory");
  };
  const HbaRules rules =
      HbaRules::parse(fuzz::Exact(hba).view(), "/etc/hba", maps, read, problems, doubts);
  for (const HbaRule& rule : rules.all()) fuzz::check_rule(rule, maps);
  for (const LineProblem& problem : problems) MUST(problem.line > 0 && !problem.what.empty());
  fuzz::check_log_ins(rules);
  return 0;
}
