#include "proxy/http/health_check.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>

#include "conf/values.h"
#include "protocol/wire.h"
#include "proxy/descriptor.h"

namespace headgate {

namespace {

constexpr timeval patience{3, 0};        // for each step
constexpr size_t longest_answer = 4096;  // what is behind that is not read
constexpr int most_reads = 8;

Error failure(const HealthQuestion& question, const std::string& why) {
  return Error(ErrorCode::config, fmt::format("{}: {}", question.text(), why));
}

std::string system_error() {
  return errno == EAGAIN || errno == EINPROGRESS ? "no answer in time" : std::strerror(errno);
}

// Connecting keeps to the time for sending.
bool connect(const Descriptor& socket, const sockaddr* address, socklen_t size) {
  for (const int option : {SO_SNDTIMEO, SO_RCVTIMEO}) {
    setsockopt(socket.number(), SOL_SOCKET, option, &patience, sizeof patience);
  }
  return ::connect(socket.number(), address, size) == 0;
}

Result<Descriptor> connect_to_path(const HealthQuestion& question) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (question.host.size() >= sizeof address.sun_path) return failure(question, "is too long");
  question.host.copy(address.sun_path, question.host.size());
  if (question.host[0] == '@') address.sun_path[0] = '\0';
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool abstract = question.host[0] == '@';
  const size_t size = offsetof(sockaddr_un, sun_path) + question.host.size() + (abstract ? 0 : 1);
  if (socket.valid() &&
      connect(socket, reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size))) {
    return socket;
  }
  return failure(question, system_error());
}

Result<Descriptor> connect_to(const HealthQuestion& question) {
  if (question.host.starts_with('/') || question.host.starts_with('@')) {
    return connect_to_path(question);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(question.port);
  if (const int error = getaddrinfo(question.host.c_str(), port.c_str(), &hints, &found)) {
    return failure(question, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::string why = "no address";
  for (const addrinfo* at = found; at; at = at->ai_next) {
    Descriptor socket(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (socket.valid() && connect(socket, at->ai_addr, at->ai_addrlen)) return socket;
    why = system_error();
  }
  return failure(question, why);
}

/// What is said before it closes or `enough` bytes are there.
Result<std::string> exchange(const HealthQuestion& question, View request, size_t enough) {
  auto socket = connect_to(question);
  if (!socket) return std::move(socket).error();
  if (send(socket->number(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return failure(question, system_error());
  }
  std::string answer;
  char buffer[longest_answer];
  for (int i = 0; i < most_reads && answer.size() < enough; ++i) {
    const ssize_t size = recv(socket->number(), buffer, sizeof buffer, 0);
    if (size < 0) return failure(question, system_error());
    if (size == 0) break;
    answer.append(buffer, static_cast<size_t>(size));
  }
  return answer;
}

Result<Done> ask_by_http(const HealthQuestion& question) {
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}:{}\r\nUser-Agent: headgate\r\nConnection: close\r\n\r\n",
      question.path, question.host, question.port);
  const auto answer = exchange(question, request, longest_answer);
  if (!answer) return answer.error();
  const std::string status = answer->substr(0, answer->find("\r\n"));
  const bool is_http = status.starts_with("HTTP/1.") && status.size() >= 12;
  if (!is_http) return failure(question, "answers, but not by HTTP");
  if (status.compare(8, 4, " 200") == 0) return Done{};
  const size_t body = answer->find("\r\n\r\n");
  std::string why = body == std::string::npos ? "" : answer->substr(body + 4);
  while (why.ends_with('\n')) why.pop_back();
  return failure(question, printable(status.substr(9) + (why.empty() ? "" : ": " + why)));
}

// The answer is one letter: whether there is TLS.
Result<Done> ask_by_postgres(const HealthQuestion& question) {
  constexpr uint32_t ssl_request = 80877103;
  char request[8];
  store_u32(request, sizeof request);
  store_u32(request + 4, ssl_request);
  const auto answer = exchange(question, View(request, sizeof request), 1);
  if (!answer) return answer.error();
  if (*answer == "S" || *answer == "N") return Done{};
  return failure(question, answer->empty() ? "closes the connection" : "answers otherwise");
}

/// The address to reach what listens there.
std::string reachable(std::string listened) {
  while (listened.starts_with(' ')) listened.erase(0, 1);
  while (listened.ends_with(' ')) listened.pop_back();
  if (listened == "*" || listened == "0.0.0.0") return "127.0.0.1";
  return listened == "::" ? "::1" : listened;
}

}  // namespace

std::string HealthQuestion::text() const {
  const bool is_path = host.starts_with('/') || host.starts_with('@');
  if (is_path) return host;
  const bool ip6 = host.find(':') != std::string::npos;
  const std::string where = fmt::format("{}{}{}:{}", ip6 ? "[" : "", host, ip6 ? "]" : "", port);
  return way == Way::http ? "http://" + where + path : where;
}

HealthQuestion health_question(const Settings& settings) {
  if (settings.http_port > 0) {
    return {HealthQuestion::Way::http, reachable(settings.http_addr), settings.http_port,
            "/healthz"};
  }
  const std::string first =
      reachable(settings.listen_addr.substr(0, settings.listen_addr.find(',')));
  const bool by_path = first.empty() && !settings.unix_socket_dir.empty();
  const std::string path =
      fmt::format("{}/.s.PGSQL.{}", settings.unix_socket_dir, settings.listen_port);
  return {HealthQuestion::Way::postgres, by_path ? path : first, settings.listen_port, ""};
}

Result<HealthQuestion> health_question(const std::string& url) {
  constexpr View scheme = "http://";
  const auto bad = [&] {
    return Error(ErrorCode::config, "not http://HOST:PORT/PATH: " + printable(url));
  };
  if (!url.starts_with(scheme) || url.find_first_of(" \r\n") != std::string::npos) return bad();
  const size_t slash = std::min(url.find('/', scheme.size()), url.size());
  std::string where = url.substr(scheme.size(), slash - scheme.size());
  HealthQuestion question{HealthQuestion::Way::http, "", 80, url.substr(slash)};
  if (question.path.empty()) question.path = "/healthz";
  const size_t colon = where.rfind(':');
  if (colon != std::string::npos && where.find(']', colon) == std::string::npos) {
    const auto port = parse_integer(where.substr(colon + 1));
    if (!port || *port < 1 || *port > 65535) return bad();
    question.port = static_cast<int>(*port);
    where.resize(colon);
  }
  if (where.starts_with('[') && where.ends_with(']')) where = where.substr(1, where.size() - 2);
  if (where.empty()) return bad();
  question.host = where;
  return question;
}

Result<Done> ask_health(const HealthQuestion& question) {
  return question.way == HealthQuestion::Way::http ? ask_by_http(question)
                                                   : ask_by_postgres(question);
}

}  // namespace headgate
