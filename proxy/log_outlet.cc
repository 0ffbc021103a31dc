#include "proxy/log_outlet.h"

#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace headgate {

LogOutlet LogOutlet::to_borrowed(int descriptor) {
  LogOutlet outlet;
  struct stat status {};
  const bool known = fstat(descriptor, &status) == 0;
  outlet.descriptor_ = descriptor;
  outlet.kind_ = known && S_ISSOCK(status.st_mode)                                ? Kind::stream
                 : known && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode)) ? Kind::pipe
                                                                                  : Kind::file;
  return outlet;
}

LogOutlet LogOutlet::to_file(int descriptor) {
  LogOutlet outlet;
  outlet.descriptor_ = descriptor;
  outlet.kind_ = Kind::file;
  outlet.owned_ = true;
  return outlet;
}

LogOutlet LogOutlet::to_socket(std::string path) {
  LogOutlet outlet;
  outlet.kind_ = Kind::datagrams;
  outlet.owned_ = true;
  outlet.path_ = std::move(path);
  outlet.reconnect();
  return outlet;
}

LogOutlet& LogOutlet::operator=(LogOutlet&& other) noexcept {
  std::swap(kind_, other.kind_);
  std::swap(owned_, other.owned_);
  std::swap(cut_, other.cut_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(patience_ms_, other.patience_ms_);
  std::swap(path_, other.path_);
  return *this;
}

LogOutlet::~LogOutlet() {
  if (owned_ && descriptor_ >= 0) close(descriptor_);
}

bool LogOutlet::deliver(std::string_view text) {
  const int patience_before = patience_ms_;
  if (cut_ && !write_all("\n")) return false;
  cut_ = false;
  if (!write_all(text)) return false;
  if (patience_ms_ == patience_before) patience_ms_ = std::min(patience_ms_ + 1, most_patience_ms);
  return true;
}

bool LogOutlet::write_all(std::string_view text) {
  bool connected_anew = false;
  const size_t size = text.size();
  while (!text.empty()) {
    const ssize_t written = write_some(text);
    if (written > 0) {
      text.remove_prefix(static_cast<size_t>(written));
      continue;
    }
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      if (wait()) continue;
    } else if (kind_ == Kind::datagrams && !std::exchange(connected_anew, true) && reconnect()) {
      continue;
    }
    cut_ = text.size() < size;
    return false;
  }
  return true;
}

// A borrowed descriptor is shared with other processes, so it cannot be made non-blocking.
ssize_t LogOutlet::write_some(std::string_view text) {
  switch (kind_) {
    case Kind::stream:
    case Kind::datagrams:
      return send(descriptor_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Kind::pipe: {
      pollfd writable{descriptor_, POLLOUT, 0};
      if (poll(&writable, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
      }
      // So much fits into a pipe that says it is writable.
      return write(descriptor_, text.data(), std::min<size_t>(text.size(), PIPE_BUF));
    }
    case Kind::file:
      return write(descriptor_, text.data(), text.size());
    case Kind::nowhere:
      break;
  }
  return static_cast<ssize_t>(text.size());
}

// A millisecond at a time, whatever poll() says: so it ends.
bool LogOutlet::wait() {
  if (patience_ms_ == 0) return false;
  --patience_ms_;
  pollfd writable{descriptor_, POLLOUT, 0};
  poll(&writable, 1, 1);
  return true;
}

bool LogOutlet::reconnect() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (path_.size() >= sizeof to.sun_path) return false;
  path_.copy(to.sun_path, path_.size());
  descriptor_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  return descriptor_ >= 0 &&
         connect(descriptor_, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0;
}

}  // namespace headgate
