// One HTTP connection, as the library reads and writes it: bounded in bytes and in time as a whole,
// so that a peer which sends or takes one byte now and then holds a thread no longer than any
// other.
#pragma once

#include <httplib.h>

#include <array>
#include <chrono>

#include "proxy/descriptor.h"

namespace headgate {

/// What one connection may cost.
struct HttpLimits {
  size_t request_bytes = 16 * 1024;
  std::chrono::milliseconds request_time{5'000};  // until the request is there
  std::chrono::milliseconds answer_time{15'000};  // until the answer is taken
};

class HttpConnection final : public httplib::Stream {
 public:
  HttpConnection(Descriptor socket, const HttpLimits& limits);

  bool is_readable() const override;
  bool is_writable() const override;
  /// As recv(): 0 at the end, -1 where a limit is crossed or the connection fails.
  ssize_t read(char* into, size_t size) override;
  ssize_t write(const char* bytes, size_t size) override;
  /// Of an IPv6 address the network alone (/64): a machine may use all that are in it.
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_.number(); }

  /// The answer is complete: says so, and reads what the peer still sends for a moment. Closing
  /// with bytes unread would take the answer away from a peer that has not read it.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  bool fill();
  void begin_answer();

  const Descriptor socket_;
  const HttpLimits limits_;
  Clock::time_point until_;
  bool answering_ = false;
  size_t received_ = 0;
  std::array<char, 4096> buffer_;
  size_t next_ = 0, end_ = 0;  // in buffer_: read by us, not yet by the library
};

}  // namespace headgate
