// Logging in to a server: find its address, connect, say who we are, prove it, and learn how the
// server introduces itself. The server is as hostile as any client: everything it says is bounded.
// Lives as long as the log-in.
#pragma once

#include <memory>
#include <optional>

#include "auth/login.h"
#include "base/error.h"
#include "protocol/framer.h"
#include "proxy/io.h"
#include "proxy/names.h"
#include "proxy/parameters.h"
#include "proxy/tls/context.h"

namespace headgate {

class Server;

class ServerLogin {
 public:
  enum class Progress : uint8_t { goes_on, done, failed };
  /// The largest message, and the most parameters, that a log-in may bring.
  static constexpr uint32_t max_message = 64 * 1024;
  static constexpr size_t max_parameters = 256;

  explicit ServerLogin(Server& server);

  /// Looks the host up and connects; failures are told to the server.
  void start();
  /// The address cannot be reached: connects to the next one of the host; false: there is none.
  bool try_next_address();
  const std::string& host() const { return host_; }
  /// The connection stands: asks for TLS, or sends the start-up packet.
  void connected();
  /// The connection is encrypted.
  void secured() { introduce(); }
  /// Returns how much was taken: all, unless the log-in came to its end within.
  size_t bytes(View in);
  Progress progress() const { return progress_; }

  // --- when done
  int32_t process() const { return process_; }
  const Bytes& secret() const { return secret_; }
  const WelcomePtr& welcome() const { return welcome_; }
  // --- when failed
  const Error& error() const { return *error_; }

 private:
  struct Input;

  void introduce();
  void take_tls_answer(View in);
  void found(const KnownHost& known);
  void message(char tag, View body);
  void authentication(View body);
  void take_step(AuthStep step);
  void take_key(View body);
  void take_parameter(View body);
  void take_error(View body);
  void finish(View status);
  void fail(Error error);
  std::optional<Secret> secret_for(const std::string& user) const;

  Server& server_;
  std::string host_;                // of the list, as it is written
  std::vector<Address> addresses_;  // to be tried, the next one last
  Framer framer_;
  TlsContextPtr tls_;  // TLS was asked for, by these rules, and the answer has not come yet
  std::unique_ptr<ServerAuth> auth_;
  std::unique_ptr<Welcome> learning_;
  Progress progress_ = Progress::goes_on;
  bool authenticated_ = false;
  int32_t process_ = 0;
  Bytes secret_;
  WelcomePtr welcome_;
  std::optional<Error> error_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for answers that come too late
};

}  // namespace headgate
