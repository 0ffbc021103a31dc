#include "auth/hba.h"

#include <algorithm>
#include <charconv>

namespace headgate {

namespace {

using Problem = std::optional<std::string>;
using Connection = HbaRule::Connection;

struct ConnectionWord {
  View word;
  Connection connection;
};
constexpr ConnectionWord connection_words[] = {
    {"local", Connection::local},
    {"host", Connection::host},
    {"hostssl", Connection::hostssl},
    {"hostnossl", Connection::hostnossl},
};

struct MethodWord {
  View word;
  AuthMethod method;
};
constexpr MethodWord method_words[] = {
    {"trust", AuthMethod::trust},
    {"reject", AuthMethod::reject},
    {"md5", AuthMethod::md5},
    {"password", AuthMethod::plain},
    {"scram-sha-256", AuthMethod::scram_sha_256},
    {"peer", AuthMethod::peer},
    {"cert", AuthMethod::cert},
    {"ldap", AuthMethod::ldap},
};

std::string beside(const std::string& file, const std::string& name) {
  if (name.starts_with('/')) return name;
  return file.substr(0, file.rfind('/') + 1) + name;  // without a slash: npos + 1 is 0
}

/// Reads the columns of one line into a rule; each step says what is wrong, if anything is.
class RuleReader {
 public:
  RuleReader(View line, const std::vector<LineToken>& tokens, const std::string& file,
             const IdentMaps& maps, const HbaRules::ReadFile& read, size_t& names_left)
      : line_(line),
        tokens_(tokens),
        file_(file),
        maps_(maps),
        read_(read),
        names_left_(names_left) {}

  Problem read(HbaRule& rule) {
    if (auto problem = take_connection(rule)) return problem;
    if (auto problem = take_names(rule.databases, "a database")) return problem;
    if (auto problem = take_names(rule.users, "a user")) return problem;
    if (rule.connection != Connection::local) {
      if (auto problem = take_address(rule)) return problem;
    }
    if (auto problem = take_method(rule)) return problem;
    return take_options(rule);
  }

 private:
  const LineToken* peek() const { return at_ < tokens_.size() ? &tokens_[at_] : nullptr; }
  const LineToken* take() { return at_ < tokens_.size() ? &tokens_[at_++] : nullptr; }

  Problem take_connection(HbaRule& rule);
  Problem take_names(HbaNames& names, View what);
  Problem add_name(HbaNames& names, const LineToken& token, View what, const std::string& from,
                   int depth);
  Problem add_file(HbaNames& names, const std::string& path, View what, int depth);
  Problem take_address(HbaRule& rule);
  Problem take_method(HbaRule& rule);
  Problem take_options(HbaRule& rule);

  const View line_;
  const std::vector<LineToken>& tokens_;
  const std::string& file_;
  const IdentMaps& maps_;
  const HbaRules::ReadFile& read_;
  size_t& names_left_;
  size_t at_ = 0;
};

Problem RuleReader::take_connection(HbaRule& rule) {
  const LineToken* token = take();
  for (const auto& [word, connection] : connection_words) {
    if (!token || !token->is_word(word)) continue;
    rule.connection = connection;
    return std::nullopt;
  }
  return expected_instead("local, host, hostssl or hostnossl", token);
}

Problem RuleReader::take_names(HbaNames& names, View what) {
  do {
    const LineToken* token = take();
    if (!token || token->is_comma) return expected_instead(what, token);
    if (auto problem = add_name(names, *token, what, file_, 0)) return problem;
  } while (peek() && peek()->is_comma && take());
  return std::nullopt;
}

Problem RuleReader::add_name(HbaNames& names, const LineToken& token, View what,
                             const std::string& from, int depth) {
  if (names_left_ == 0) return "too many names";
  --names_left_;
  if (!token.quoted) {
    if (token.text.starts_with('@') && token.text.size() > 1) {
      return add_file(names, beside(from, token.text.substr(1)), what, depth + 1);
    }
    const bool of_group =
        token.text.starts_with('+') || token.text == "samerole" || token.text == "samegroup";
    if (of_group) return expected_instead(Bytes(what) + " (groups are not known here)", &token);
    if (token.text == "all") return names.all = true, std::nullopt;
    if (token.text == "sameuser") return names.same_user = true, std::nullopt;
    if (token.text == "replication") return names.replication = true, std::nullopt;
  }
  names.names.insert(token.text);
  return std::nullopt;
}

Problem RuleReader::add_file(HbaNames& names, const std::string& path, View what, int depth) {
  if (depth > HbaRules::deepest_include) return "files include each other too deep: " + path;
  const auto text = read_(path);
  if (!text) return "cannot read \"" + path + "\": " + text.error().message;
  Problem problem;
  for_each_line(*text, [&](size_t, View line) {
    const auto tokens = tokens_of_line(line);
    if (!tokens && !problem) problem = tokens.error().message + " in " + path;
    for (size_t i = 0; tokens && i < tokens->size() && !problem; ++i) {
      if (!(*tokens)[i].is_comma) problem = add_name(names, (*tokens)[i], what, path, depth);
    }
  });
  return problem;
}

Problem RuleReader::take_address(HbaRule& rule) {
  constexpr View what = "an address: all, or a number with /bits or a mask";
  const LineToken* token = take();
  if (!token || token->is_comma) return expected_instead(what, token);
  if (token->is_word("all")) return std::nullopt;
  const View text = token->text;
  const size_t slash = text.find('/');
  const auto network = IpNumber::parse(text.substr(0, slash));
  if (!network) return expected_instead(what, token);
  std::optional<IpNumber> mask;
  if (slash != View::npos) {
    int bits = -1;
    const auto [end, bad] = std::from_chars(text.begin() + slash + 1, text.end(), bits);
    const bool whole = bad == std::errc() && end == text.end();
    mask = whole ? IpRange::mask_of(network->is_v6, bits) : std::nullopt;
    if (!mask) return expected_instead(what, token);
  } else {
    token = take();
    mask = token ? IpNumber::parse(token->text) : std::nullopt;
    if (!mask || mask->is_v6 != network->is_v6) {
      return expected_instead("the mask of the address", token);
    }
  }
  rule.range = IpRange{*network, *mask};
  return std::nullopt;
}

Problem RuleReader::take_method(HbaRule& rule) {
  const LineToken* token = take();
  for (const auto& [word, method] : method_words) {
    if (!token || !token->is_word(word)) continue;
    rule.method = method;
    return std::nullopt;
  }
  return expected_instead(
      "trust, reject, md5, password, scram-sha-256, peer, cert or ldap as the method", token);
}

Problem RuleReader::take_options(HbaRule& rule) {
  const LineToken* token = take();
  if (rule.method == AuthMethod::ldap) {
    const View options =
        token ? line_.substr(token->begin, tokens_.back().end - token->begin) : View();
    auto parsed = LdapOptions::parse(options);
    if (!parsed) return parsed.error().message;
    rule.ldap = *std::move(parsed);
    return std::nullopt;
  }
  if (!token) return std::nullopt;
  const bool mapped = rule.method == AuthMethod::peer || rule.method == AuthMethod::cert;
  constexpr View prefix = "map=";
  if (!mapped || !token->text.starts_with(prefix)) {
    return expected_instead(mapped ? View("map=NAME") : View("the end of the line"), token);
  }
  rule.map = token->text.substr(prefix.size());
  if (!maps_.has(rule.map)) return expected_instead("a map of auth_ident_file", token);
  if (peek()) return expected_instead("the end of the line", peek());
  return std::nullopt;
}

bool fits_connection(Connection connection, const HbaLogin& login) {
  switch (connection) {
    case Connection::local:
      return login.is_local;
    case Connection::host:
      return !login.is_local;
    case Connection::hostssl:
      return !login.is_local && login.has_tls;
    case Connection::hostnossl:
      return !login.is_local && !login.has_tls;
  }
  return false;
}

}  // namespace

bool HbaRule::fits(const HbaLogin& login) const {
  if (!fits_connection(connection, login)) return false;
  if (range && (!login.address || !range->contains(*login.address))) return false;
  const bool same = login.database == login.user;
  const bool database = login.replication == Replication::physical
                            ? databases.replication
                            : databases.fits(login.database, same);
  return database && users.fits(login.user, same);
}

const HbaRule* HbaRules::find(const HbaLogin& login) const {
  const auto found = std::find_if(rules_.begin(), rules_.end(),
                                  [&](const HbaRule& rule) { return rule.fits(login); });
  return found == rules_.end() ? nullptr : &*found;
}

HbaRules HbaRules::parse(View text, const std::string& file, const IdentMaps& maps,
                         const ReadFile& read, std::vector<LineProblem>& problems,
                         std::vector<LineProblem>& doubts) {
  HbaRules rules;
  size_t names_left = max_names;
  for_each_line(text, [&](size_t number, View line) {
    const auto tokens = tokens_of_line(line);
    if (tokens && tokens->empty()) return;
    HbaRule rule;
    rule.line = number;
    Problem problem = tokens ? RuleReader(line, *tokens, file, maps, read, names_left).read(rule)
                             : tokens.error().message;
    if (problem) return problems.push_back({file, number, *std::move(problem)});
    if (rule.range && rule.range->is_empty()) {
      doubts.push_back({file, number, "bits of the address lie outside of its mask: never fits"});
    }
    rules.rules_.push_back(std::move(rule));
  });
  return rules;
}

}  // namespace headgate
