#include "conf/database_url.h"

#include <algorithm>
#include <optional>

namespace headgate {
namespace {

Error malformed(std::string what) {
  Error error(ErrorCode::config, "not a database URL: " + std::move(what));
  error.hint = "expected postgres://user:password@host:port/name?sslmode=...";
  return error;
}

std::optional<int> hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

/// `%41` is A. Nothing for a `%` without two digits, and for a zero byte.
std::optional<std::string> decoded(View text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    if (at + 2 >= text.size()) return std::nullopt;
    const auto high = hexadecimal(text[at + 1]), low = hexadecimal(text[at + 2]);
    if (!high || !low || (*high == 0 && *low == 0)) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    at += 2;
  }
  return out;
}

/// Takes what is in front of the first of `ends`, which stays.
View take_until(View& text, View ends) {
  const View taken = text.substr(0, text.find_first_of(ends));
  text.remove_prefix(taken.size());
  return taken;
}

class UrlReader {
 public:
  Result<DatabaseUrl> read(View text);

 private:
  bool take(View text, std::string& into) {
    auto plain = decoded(text);
    if (plain) into = std::move(*plain);
    return plain.has_value();
  }
  bool take_login(View login);
  std::optional<Error> take_hosts(View hosts);
  std::optional<Error> take_host(View host);
  bool take_parameters(View text);

  DatabaseUrl url_;
};

bool UrlReader::take_login(View login) {
  const View user = take_until(login, ":");
  if (!login.empty()) login.remove_prefix(1);
  return take(user, url_.user) && take(login, url_.password);
}

std::optional<Error> UrlReader::take_host(View host) {
  View name = host;
  if (host.starts_with('[')) {  // the colons of an IPv6 number
    const size_t end = host.find(']');
    if (end == View::npos) return malformed("a [ is not closed");
    name = host.substr(1, end - 1);
    host.remove_prefix(end + 1);
    if (!host.empty() && host[0] != ':') return malformed("there is something behind the ]");
  } else {
    name = take_until(host, ":");
  }
  std::string plain, port;
  if (!take(name, plain) || !take(host.empty() ? host : host.substr(1), port)) {
    return malformed("a % is not followed by two digits");
  }
  if (!url_.host.empty() && port != url_.port) {
    return malformed("its hosts must have the same port");
  }
  url_.port = port;
  url_.host += (url_.host.empty() ? "" : ",") + plain;
  return std::nullopt;
}

std::optional<Error> UrlReader::take_hosts(View hosts) {
  while (!hosts.empty()) {
    if (auto error = take_host(take_until(hosts, ","))) return error;
    if (!hosts.empty()) hosts.remove_prefix(1);
  }
  return std::nullopt;
}

bool UrlReader::take_parameters(View text) {
  while (!text.empty()) {
    View pair = take_until(text, "&");
    if (!text.empty()) text.remove_prefix(1);
    const View key = take_until(pair, "=");
    if (!pair.empty()) pair.remove_prefix(1);
    KeyValue parameter;
    if (!take(key, parameter.key) || !take(pair, parameter.value)) return false;
    url_.parameters.push_back(std::move(parameter));
  }
  return true;
}

Result<DatabaseUrl> UrlReader::read(View text) {
  const View scheme = text.substr(0, text.find("://"));
  if (scheme != "postgres" && scheme != "postgresql") {
    return malformed("it does not begin with postgres://");
  }
  text.remove_prefix(scheme.size() + 3);
  View place = take_until(text, "/?");
  if (const size_t at = place.rfind('@'); at != View::npos) {
    if (!take_login(place.substr(0, at))) return malformed("a % is not followed by two digits");
    place.remove_prefix(at + 1);
  }
  if (auto error = take_hosts(place)) return *std::move(error);
  if (text.starts_with('/')) text.remove_prefix(1);
  const bool name_taken = take(take_until(text, "?"), url_.name);
  if (text.starts_with('?')) text.remove_prefix(1);
  if (!name_taken || !take_parameters(text)) {
    return malformed("a % is not followed by two digits");
  }
  return std::move(url_);
}

}  // namespace

Result<DatabaseUrl> parse_database_url(View text) { return UrlReader().read(text); }

}  // namespace headgate
