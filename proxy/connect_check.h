// --check --connect: logs in to each host of each configured database, as Headgate would, and asks
// how many connections it takes. A few at a time, each once, within server_connect_timeout.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/deadlines.h"
#include "protocol/framer.h"
#include "proxy/link.h"
#include "proxy/pool_settings.h"
#include "proxy/server_login.h"

namespace headgate {

class Worker;

/// What became of one host.
struct ConnectResult {
  std::string database, host, user;
  int port = 0;
  std::string error;        // empty: it is served
  int64_t connections = 0;  // max_connections, less those that are reserved for superusers
};

/// One log-in and one question.
class ConnectProbe final : public LinkUser, public LoginUser {
 public:
  static constexpr size_t max_message = 64 * 1024;  // that a server may answer with

  using Finished = std::function<void(ConnectResult)>;

  ConnectProbe(Worker& worker, PoolSettingsPtr settings, std::string host, std::string user,
               Finished finished);
  ~ConnectProbe();
  void start();

 private:
  void on_link_connected() override { login_->connected(); }
  void on_link_secured() override { login_->secured(); }
  void on_link_unsafe(const std::string& why) override { finish("TLS: " + why); }
  void on_link_bytes(View bytes) override;
  void on_link_drained() override {}
  void on_link_end(int error) override;

  const PoolSettings& login_settings() const override { return *settings_; }
  std::optional<std::string> pick_host() override { return result_.host; }
  Identity identity() const override;
  void set_host(HostUse) override {}
  void connect_to(const Address& address, size_t) override;
  void login_went_on() override;
  bool gives_up_login() const override { return finished_ == nullptr; }

  void answer(char tag, View body);
  void finish(std::string error);

  Worker& worker_;
  const PoolSettingsPtr settings_;
  ConnectResult result_;
  Finished finished_;  // null: it was called
  Link link_;
  std::unique_ptr<ServerLogin> login_;
  bool asked_ = false;
  Framer framer_;
  Deadline deadline_;
};

/// All of them.
class ConnectCheck {
 public:
  static constexpr size_t most_at_once = 16;

  /// `done` is called on the worker's loop, once.
  ConnectCheck(Worker& worker, std::function<void()> done);
  ~ConnectCheck();
  void start();

  const std::vector<ConnectResult>& results() const { return results_; }
  /// Databases for which nobody's password is known.
  const std::vector<std::string>& untried() const { return untried_; }

 private:
  void next();

  Worker& worker_;
  std::function<void()> done_;
  std::deque<std::unique_ptr<ConnectProbe>> waiting_;
  std::vector<std::unique_ptr<ConnectProbe>> begun_;  // they die with this: late calls find them
  std::vector<ConnectResult> results_;
  std::vector<std::string> untried_;
};

/// What it found, in lines: each log-in, and servers that take fewer connections than the pools may
/// open.
std::string report(const Config& config, const ConnectCheck& check);

/// The user who logs in to a database without a client: its own, or who looks others up, or the
/// only one of auth_file; empty: nobody.
std::string user_without_client(const Config& config, const DatabaseEntry& entry);

}  // namespace headgate
