// One host of a database, asked again and again for its role and its position in the log, over a
// connection that is there for nothing else and counts in no limit. What it hears it tells; who is
// primary, and who can be read, is decided elsewhere (pool/host_roles.h).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/deadlines.h"
#include "pool/host_roles.h"
#include "protocol/framer.h"
#include "protocol/user_functions.h"
#include "proxy/link.h"
#include "proxy/pool_settings.h"
#include "proxy/server_login.h"

namespace headgate {

class Worker;

/// Who wants to know.
class HostProbeUser {
 public:
  virtual void host_answered(size_t host, HostAnswer answer, Instant asked) = 0;
  /// `unreachable`: its server process is not there, or another than before.
  virtual void host_failed(size_t host, std::string why, bool unreachable) = 0;
  /// Whether it is to be asked for the functions of the database, too.
  virtual bool wants_functions(size_t host) const = 0;
  /// Null: there are too many.
  virtual void host_functions(size_t host, UserFunctionsPtr functions) = 0;

 protected:
  ~HostProbeUser() = default;
};

class HostProbe final : public LinkUser, public LoginUser {
 public:
  /// How often the functions of a database are asked for.
  static constexpr Duration functions_interval = seconds(5);
  /// The largest message that a host may answer with.
  static constexpr size_t max_message = 64 * 1024;

  HostProbe(Worker& worker, HostProbeUser& user, size_t host, std::string name,
            PoolSettingsPtr settings, std::string role_name);
  ~HostProbe();

  /// `interval` and `timeout` of monitor_interval and monitor_timeout.
  void start(Duration interval, Duration timeout);
  /// These are no addresses of that host any more: if it is there, it goes where the name leads.
  void addresses_vanished(const HostUse& host, const std::vector<Address>& addresses);
  /// It asks for the functions of the database, too: at once, or behind what it is asking now.
  void functions_wanted();

 private:
  enum class State : uint8_t { waiting, login, idle, asking, asking_functions };

  void on_link_connected() override;
  void on_link_secured() override { login_->secured(); }
  void on_link_unsafe(const std::string& why) override;
  void on_link_bytes(View bytes) override;
  void on_link_drained() override {}
  void on_link_end(int error) override;

  const PoolSettings& login_settings() const override { return *settings_; }
  std::optional<std::string> pick_host() override { return name_; }
  Identity identity() const override;
  void set_host(HostUse host) override { use_ = std::move(host); }
  void connect_to(const Address& address, size_t others) override;
  void login_went_on() override;
  bool gives_up_login() const override { return state_ != State::login; }

  void on_deadline();
  void connect();
  void ask();
  void answer(char tag, View body);
  void take_row(View body);
  void ask_functions_if_due();
  void ask_functions();
  void take_function(View body);
  void functions_told();
  void failed(std::string why, bool unreachable);

  Worker& worker_;
  HostProbeUser& user_;
  const size_t host_;
  const std::string name_, role_name_;
  const PoolSettingsPtr settings_;
  Duration interval_{}, timeout_{};
  State state_ = State::waiting;
  std::unique_ptr<Link> link_;  // another for each connection; of the last one while it waits
  std::unique_ptr<ServerLogin> login_;
  Framer framer_;
  HostUse use_;
  Address address_;
  Deadline deadline_;
  Instant asked_{};
  std::optional<HostAnswer> answer_;
  bool tells_timeline_ = true;  // a standby; until it refuses to
  bool refused_ = false;
  std::string error_;
  std::shared_ptr<UserFunctions> functions_;  // as far as they are told
  Instant functions_due_{};
};

}  // namespace headgate
