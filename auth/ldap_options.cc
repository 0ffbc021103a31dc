#include "auth/ldap_options.h"

#include <charconv>
#include <utility>

namespace headgate {

namespace {

using Problem = std::optional<Error>;

Problem refusal(std::string text) { return Error(ErrorCode::config, std::move(text)); }

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decoded(View text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      plain += text[at];
      continue;
    }
    const int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
    const int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
    if (high < 0 || low < 0 || (high == 0 && low == 0)) return std::nullopt;
    plain += static_cast<char>(high * 16 + low);
    at += 2;
  }
  return plain;
}

/// The next `key=value`; nothing at the end. `bad` is set where a quote is not closed.
std::optional<std::pair<std::string, std::string>> take_option(View& text, bool& bad) {
  while (!text.empty() && is_blank(text[0])) text.remove_prefix(1);
  if (text.empty()) return std::nullopt;
  std::string whole;
  bool inside = false;
  size_t at = 0;
  for (; at < text.size() && (inside || !is_blank(text[at])); ++at) {
    if (text[at] != '"') {
      whole += text[at];
    } else if (inside && text.substr(at + 1).starts_with('"')) {
      whole += text[at++];
    } else {
      inside = !inside;
    }
  }
  text.remove_prefix(at);
  bad = inside;
  const size_t equals = whole.find('=');
  if (equals == std::string::npos) return std::pair(whole, std::string());
  return std::pair(whole.substr(0, equals), whole.substr(equals + 1));
}

Problem set_port(int& into, View text) {
  const auto [end, bad] = std::from_chars(text.begin(), text.end(), into);
  if (bad == std::errc() && end == text.end() && into > 0 && into < 65536) return std::nullopt;
  return refusal("expected a port, found ldapport \"" + std::string(text) + "\"");
}

Problem set_scheme(LdapOptions& options, View text) {
  options.ldaps = text == "ldaps";
  if (options.ldaps || text == "ldap") return std::nullopt;
  return refusal("expected ldap or ldaps, found ldapscheme \"" + std::string(text) + "\"");
}

Problem set_scope(LdapOptions& options, View text) {
  if (text == "base") options.scope = LdapOptions::Scope::base;
  if (text == "one") options.scope = LdapOptions::Scope::one;
  if (text.empty() || text == "base" || text == "one" || text == "sub") return std::nullopt;
  return refusal("expected base, one or sub as the scope of ldapurl, found \"" + std::string(text) +
                 "\"");
}

View take_until(View& text, char end) {
  const View part = text.substr(0, text.find(end));
  text.remove_prefix(part.size() < text.size() ? part.size() + 1 : part.size());
  return part;
}

Problem set_server(LdapOptions& options, View host_and_port) {
  if (host_and_port.empty()) return std::nullopt;
  const size_t colon = host_and_port.rfind(':');
  const bool has_port = colon != View::npos && host_and_port.find(']', colon) == View::npos;
  options.servers = host_and_port.substr(0, has_port ? colon : View::npos);
  return has_port ? set_port(options.port, host_and_port.substr(colon + 1)) : std::nullopt;
}

Problem set_url(LdapOptions& options, View url) {
  const size_t slashes = url.find("://");
  if (slashes == View::npos) {
    return refusal("expected ldap://host/basedn, found ldapurl \"" + std::string(url) + "\"");
  }
  if (auto problem = set_scheme(options, url.substr(0, slashes))) return problem;
  View rest = url.substr(slashes + 3);
  if (auto problem = set_server(options, take_until(rest, '/'))) return problem;
  const auto base = percent_decoded(take_until(rest, '?'));
  const auto attribute = percent_decoded(take_until(rest, '?'));
  const View scope = take_until(rest, '?');
  const auto filter = percent_decoded(rest);
  if (!base || !attribute || !filter) {
    return refusal("expected two hexadecimal digits behind each % of ldapurl");
  }
  options.base_dn = *base;
  options.search_attribute = *attribute;
  options.search_filter = *filter;
  return set_scope(options, scope);
}

struct TextOption {
  View key;
  std::string LdapOptions::*member;
};
constexpr TextOption text_options[] = {
    {"ldapserver", &LdapOptions::servers},
    {"ldapprefix", &LdapOptions::prefix},
    {"ldapsuffix", &LdapOptions::suffix},
    {"ldapbasedn", &LdapOptions::base_dn},
    {"ldapbinddn", &LdapOptions::bind_dn},
    {"ldapbindpasswd", &LdapOptions::bind_password},
    {"ldapsearchattribute", &LdapOptions::search_attribute},
    {"ldapsearchfilter", &LdapOptions::search_filter},
};

Problem set_option(LdapOptions& options, View key, const std::string& value) {
  for (const TextOption& option : text_options) {
    if (option.key == key) return options.*option.member = value, std::nullopt;
  }
  if (key == "ldapport") return set_port(options.port, value);
  if (key == "ldapscheme") return set_scheme(options, value);
  if (key == "ldapurl") return set_url(options, value);
  if (key == "ldaptls" && (value == "0" || value == "1")) {
    return options.start_tls = value == "1", std::nullopt;
  }
  if (key == "ldaptls") return refusal("expected 0 or 1, found ldaptls \"" + value + "\"");
  return refusal("expected an LDAP option, found \"" + std::string(key) + "\"");
}

Problem check(const LdapOptions& options) {
  const bool simple = !options.prefix.empty() || !options.suffix.empty();
  const bool search = !options.base_dn.empty() || !options.bind_dn.empty() ||
                      !options.bind_password.empty() || !options.search_attribute.empty() ||
                      !options.search_filter.empty();
  if (simple && search) {
    return refusal("expected ldapprefix and ldapsuffix or the options of a search, found both");
  }
  if (search && options.base_dn.empty()) {
    return refusal("expected ldapbasedn for a search, found none");
  }
  if (!options.search_attribute.empty() && !options.search_filter.empty()) {
    return refusal("expected ldapsearchattribute or ldapsearchfilter, found both");
  }
  if (options.servers.empty() && !search) return refusal("expected ldapserver, found none");
  if (options.ldaps && options.start_tls) {
    return refusal("expected ldaptls or ldapscheme=ldaps, found both");
  }
  return std::nullopt;
}

}  // namespace

Result<LdapOptions> LdapOptions::parse(View text) {
  if (text.size() > max_size) return Error(ErrorCode::config, "the LDAP options are too long");
  if (text.find('\0') != View::npos) return Error(ErrorCode::config, "a zero byte in the options");
  LdapOptions options;
  bool bad = false;
  while (const auto option = take_option(text, bad)) {
    if (bad) return Error(ErrorCode::config, "a quote that is not closed");
    if (auto problem = set_option(options, option->first, option->second)) return *problem;
  }
  if (auto problem = check(options)) return *problem;
  return options;
}

std::string LdapOptions::without_password(View text) {
  std::string shown;
  bool bad = false;
  while (!text.empty()) {
    const View before = text;
    const auto option = take_option(text, bad);
    const View whole = before.substr(0, before.size() - text.size());
    const bool secret = option && option->first == "ldapbindpasswd";
    const size_t blanks = std::min(whole.find_first_not_of(" \t\r\n"), whole.size());
    shown.append(secret ? whole.substr(0, blanks) : whole);
    if (secret) shown += "ldapbindpasswd=***";
  }
  return shown;
}

std::string LdapOptions::uris() const {
  const int number = port != 0 ? port : ldaps ? 636 : 389;
  std::string uris;
  for (View rest = servers; !rest.empty();) {
    const View host = take_until(rest, ' ');
    if (host.empty()) continue;
    if (!uris.empty()) uris += ' ';
    uris.append(ldaps ? "ldaps://" : "ldap://").append(host);
    uris.append(":").append(std::to_string(number));
  }
  return uris;
}

std::string LdapOptions::bind_name(View user) const {
  return std::string(prefix).append(user).append(suffix);
}

std::optional<std::string> LdapOptions::filter_for(View user) const {
  if (user.find_first_of("*()\\/") != View::npos) return std::nullopt;
  if (search_filter.empty()) {
    const View attribute = search_attribute.empty() ? View("uid") : View(search_attribute);
    return std::string("(").append(attribute).append("=").append(user).append(")");
  }
  constexpr View placeholder = "$username";
  std::string filter = search_filter;
  for (size_t at = 0; (at = filter.find(placeholder, at)) != std::string::npos;) {
    filter.replace(at, placeholder.size(), user);
    at += user.size();
  }
  return filter;
}

}  // namespace headgate
