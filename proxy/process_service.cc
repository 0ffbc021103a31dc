#include "proxy/process_service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace headgate {

namespace {

constexpr int first_passed = 3;

// Nobody waits longer than that for a service manager that does not read.
constexpr timeval longest_wait{0, 200'000};

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::string_view(value) : std::string_view();
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc() || stop != end) return std::nullopt;
  return number;
}

int option_of(int descriptor, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return getsockopt(descriptor, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool listens(int descriptor) {
  const int family = option_of(descriptor, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6 || family == AF_UNIX) &&
         option_of(descriptor, SO_TYPE) == SOCK_STREAM && option_of(descriptor, SO_ACCEPTCONN) == 1;
}

}  // namespace

Result<std::vector<int>> passed_sockets() {
  std::vector<int> passed;
  if (number_in<pid_t>(environment("LISTEN_PID")) != getpid()) return passed;
  const int count = number_in<int>(environment("LISTEN_FDS")).value_or(0);
  for (int number = 0; number < count; ++number) {  // ends at the first that is not there
    const int descriptor = first_passed + number;
    if (!listens(descriptor)) {
      return Error(ErrorCode::config,
                   fmt::format("descriptor {}, passed by the service manager, is no listening TCP "
                               "or unix stream socket",
                               descriptor));
    }
    fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    passed.push_back(descriptor);
  }
  return passed;
}

void notify_service_manager(std::string_view news) {
  const std::string_view path = environment("NOTIFY_SOCKET");
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof to.sun_path) return;
  if (path[0] != '/' && path[0] != '@') return;
  std::memcpy(to.sun_path, path.data(), path.size());
  if (path[0] == '@') to.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return;
  setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &longest_wait, sizeof longest_wait);
  const int flags = MSG_NOSIGNAL | (news.starts_with("STATUS=") ? MSG_DONTWAIT : 0);
  sendto(descriptor, news.data(), news.size(), flags, reinterpret_cast<sockaddr*>(&to), size);
  close(descriptor);
}

bool stderr_is_journal() {
  const std::string_view stream = environment("JOURNAL_STREAM");
  const size_t colon = stream.find(':');
  if (colon == stream.npos) return false;
  struct stat status {};
  if (fstat(STDERR_FILENO, &status) != 0) return false;
  return number_in<dev_t>(stream.substr(0, colon)) == status.st_dev &&
         number_in<ino_t>(stream.substr(colon + 1)) == status.st_ino;
}

}  // namespace headgate
