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

class Link;
class Worker;
struct PoolSettings;

/// Whoever logs in to a server: a connection of a pool, or the one that asks a host for its role.
class LoginUser {
 public:
  struct Identity {
    std::string user;
    std::optional<Secret> secret;
    std::optional<ScramKeys> keys;
    /// What is said at the start, behind user and database.
    std::vector<std::pair<std::string, std::string>> parameters;
  };

  /// Of now: a reload replaces them.
  virtual const PoolSettings& login_settings() const = 0;
  /// The host to try, as it is written, empty for the unix socket; nothing: there is none now.
  virtual std::optional<std::string> pick_host() = 0;
  virtual Identity identity() const = 0;
  virtual void set_host(HostUse host) = 0;
  /// To connect; `others`: how many more addresses could be tried if this one is not to be reached.
  virtual void connect_to(const Address& address, size_t others) = 0;
  /// The log-in has gone on by itself.
  virtual void login_went_on() = 0;
  /// It is given up: what comes now is too late.
  virtual bool gives_up_login() const = 0;

 protected:
  ~LoginUser() = default;
};

class ServerLogin {
 public:
  enum class Progress : uint8_t { goes_on, done, failed };
  /// The largest message, and the most parameters, that a log-in may bring.
  static constexpr size_t max_message = 64 * 1024;
  static constexpr size_t max_parameters = 256;

  ServerLogin(LoginUser& user, Worker& worker, Link& link);

  /// Looks the host up and connects; failures are told to the user.
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
  bool has_another_role() const;
  void fail(Error error);

  LoginUser& user_;
  Worker& worker_;
  Link& link_;
  std::string host_;                // of the list, as it is written
  std::vector<Address> addresses_;  // to be tried, the next one last
  Framer framer_;
  bool on_unix_socket_ = false;
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
