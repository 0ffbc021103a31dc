#include "proxy/http/connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace headgate {

namespace {

constexpr std::chrono::milliseconds farewell_time{200};

// False when the time is over.
bool wait_for(int socket, short event, std::chrono::steady_clock::time_point until) {
  while (true) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd watched{socket, event, 0};
    const int ready = poll(&watched, 1, static_cast<int>(left.count()));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

}  // namespace

HttpConnection::HttpConnection(Descriptor socket, const HttpLimits& limits)
    : socket_(std::move(socket)), limits_(limits), until_(Clock::now() + limits.request_time) {}

bool HttpConnection::is_readable() const {
  return next_ < end_ || wait_for(socket_.number(), POLLIN, until_);
}

bool HttpConnection::is_writable() const { return wait_for(socket_.number(), POLLOUT, until_); }

// The library reads headers byte by byte.
ssize_t HttpConnection::read(char* into, size_t size) {
  if (next_ == end_ && !fill()) return end_ == 0 ? 0 : -1;
  const size_t taken = std::min(size, end_ - next_);
  std::memcpy(into, buffer_.data() + next_, taken);
  next_ += taken;
  return static_cast<ssize_t>(taken);
}

// False at the end (end_ is 0 then) and when something is wrong.
bool HttpConnection::fill() {
  end_ = next_;
  const size_t room = std::min(buffer_.size(), limits_.request_bytes - received_);
  if (room == 0) return false;
  while (wait_for(socket_.number(), POLLIN, until_)) {
    const ssize_t got = recv(socket_.number(), buffer_.data(), room, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got < 0) return false;
    received_ += static_cast<size_t>(got);
    next_ = 0;
    end_ = static_cast<size_t>(got);
    return got > 0;
  }
  return false;
}

void HttpConnection::begin_answer() {
  if (answering_) return;
  answering_ = true;
  until_ = Clock::now() + limits_.answer_time;
}

ssize_t HttpConnection::write(const char* bytes, size_t size) {
  begin_answer();
  while (wait_for(socket_.number(), POLLOUT, until_)) {
    const ssize_t sent = send(socket_.number(), bytes, size, MSG_NOSIGNAL);
    if (sent >= 0 || (errno != EAGAIN && errno != EINTR)) return sent;
  }
  return -1;
}

void HttpConnection::finish() {
  shutdown(socket_.number(), SHUT_WR);
  until_ = Clock::now() + farewell_time;
  char dropped[4096];
  for (size_t left = limits_.request_bytes;
       left > 0 && wait_for(socket_.number(), POLLIN, until_);) {
    const ssize_t got = recv(socket_.number(), dropped, std::min(left, sizeof dropped), 0);
    if (got <= 0) return;
    left -= static_cast<size_t>(got);
  }
}

void HttpConnection::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  char text[INET6_ADDRSTRLEN] = "";
  if (getpeername(socket_.number(), reinterpret_cast<sockaddr*>(&peer), &size) == 0) {
    if (auto* ip4 = reinterpret_cast<sockaddr_in*>(&peer); peer.ss_family == AF_INET) {
      inet_ntop(AF_INET, &ip4->sin_addr, text, sizeof text);
    } else if (auto* ip6 = reinterpret_cast<sockaddr_in6*>(&peer); peer.ss_family == AF_INET6) {
      std::fill(ip6->sin6_addr.s6_addr + 8, ip6->sin6_addr.s6_addr + 16, uint8_t{0});
      inet_ntop(AF_INET6, &ip6->sin6_addr, text, sizeof text);
    }
  }
  ip = text;
  port = 0;
}

// Nothing here asks where it has come in.
void HttpConnection::get_local_ip_and_port(std::string& ip, int& port) const {
  ip.clear();
  port = 0;
}

}  // namespace headgate
