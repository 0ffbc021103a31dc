// One place that the log goes to: stderr, a file, or the system's log. Its reader may be slow or
// stopped (a full pipe, a full disk, a syslog daemon that hangs), and a loop must not stop with it:
// waiting draws on a small budget, then what does not fit is lost. Whoever owns an outlet counts
// that.
//
// Used under the log's lock. Never throws, never logs.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace headgate {

class LogOutlet {
 public:
  /// The budget for waiting; each delivery that needs no waiting gives a millisecond back.
  static constexpr int most_patience_ms = 20;

  /// Goes nowhere.
  LogOutlet() = default;
  /// Somebody else's descriptor, such as stderr.
  static LogOutlet to_borrowed(int descriptor);
  /// Takes over the descriptor, which does not block.
  static LogOutlet to_file(int descriptor);
  /// Each delivery is a datagram to the unix socket at `path`, connected anew as often as needed.
  static LogOutlet to_socket(std::string path);
  LogOutlet(LogOutlet&& other) noexcept { *this = std::move(other); }
  LogOutlet& operator=(LogOutlet&& other) noexcept;
  ~LogOutlet();

  bool goes_somewhere() const { return kind_ != Kind::nowhere; }
  /// False: some or all of it is lost. The next delivery begins on a new line.
  bool deliver(std::string_view text);

 private:
  enum class Kind : uint8_t { nowhere, file, pipe, stream, datagrams };

  bool write_all(std::string_view text);
  ssize_t write_some(std::string_view text);
  bool wait();
  bool reconnect();

  Kind kind_ = Kind::nowhere;
  bool owned_ = false;
  bool cut_ = false;  // the last line has no end
  int descriptor_ = -1;
  int patience_ms_ = most_patience_ms;
  std::string path_;
};

}  // namespace headgate
