// A client's way in: start-up packets, authentication, limits, the pool's welcome. Until it is
// through, nothing that the client says reaches a server, and everything is bounded in bytes,
// number and time. Lives as long as the log-in.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/console.h"
#include "auth/hba.h"
#include "auth/login.h"
#include "base/buffer.h"
#include "base/error.h"
#include "protocol/framer.h"
#include "protocol/session_state.h"
#include "protocol/startup.h"
#include "proxy/auth_query.h"
#include "proxy/hold.h"
#include "proxy/parameters.h"
#include "proxy/tls/context.h"

namespace headgate {

class Client;
class WorkerPool;
class PoolEntry;
struct DatabaseState;
struct UserState;

/// The error with what it is about behind it: `no such database: shop`.
Error error_naming(ErrorCode code, const std::string& name);

class ClientLogin {
 public:
  enum class Progress : uint8_t {
    goes_on,
    awaits_welcome,  // authenticated; a server must be asked how it introduces itself
    admin,           // through, to the console
    cancel,          // it came to cancel: see cancel_request()
    refused,         // see error()
    leaves,          // it said goodbye
  };
  /// The largest message during authentication.
  static constexpr uint32_t max_message = 66000;

  explicit ClientLogin(Client& client);
  ~ClientLogin();

  /// The client has gone in the middle of it: what runs for it elsewhere comes to an end.
  void abandon();
  /// The same without a word to anybody; the worker is at its end.
  void drop();

  /// Returns how much was taken: all, unless the log-in came to an end within.
  size_t bytes(View in);
  Progress progress() const { return progress_; }
  bool heard_anything() const { return heard_anything_; }
  /// What must come before it goes on.
  View awaits() const;
  const Error& error() const { return *error_; }
  const CancelRequest& cancel_request() const { return cancel_; }
  /// The name it asked to log in as.
  const std::string& user() const { return startup_.user; }
  const std::string& database() const { return startup_.database; }
  Replication replication() const { return replication_; }
  /// What a server of the client's own is told at the start.
  void add_startup_parameters(std::vector<std::pair<std::string, std::string>>& parameters) const;

  // --- when authenticated
  PoolEntry* pool() const { return pool_; }
  const DatabaseEntry& entry() const { return *entry_; }
  UserState* user_state() const { return user_state_; }
  ConsoleRights rights() const { return rights_; }
  /// Gives the client's session what it has said at its start. To be called behind welcome().
  void start(ClientSession& session);
  /// Sends what a server sends after authentication. `values` becomes the client's parameters.
  void welcome(const Welcome& welcome, int32_t key_process, int32_t key_secret,
               TrackedValues& values);
  void welcome_admin(int32_t key_process, int32_t key_secret);

  /// The permits that the client holds; given back when it ends.
  bool holds_client_permit() const { return holds_client_permit_; }
  const Hold<DatabaseState>& counted_database() const { return counted_database_; }
  const Hold<UserState>& counted_user() const { return counted_user_; }

 private:
  struct Input;

  size_t packet_bytes(View in);
  size_t message_bytes(View in);
  void packet(View whole);
  void encryption_request(bool ssl, bool more);
  const TlsContextPtr& tls() const;
  bool begins_with_tls(View in) const;
  void startup(StartupMessage message);
  std::optional<Error> take_parameters();
  std::optional<Error> take_parameter(const std::string& name, const std::string& value,
                                      ErrorCode unsupported);
  void add_host_to_application_name();
  const TrackedNames& tracked_names() const;
  bool ignored(const std::string& name) const;
  bool takes_settings() const;
  std::optional<Error> find_target();
  std::optional<Error> take_permits();
  void begin_auth();
  void prove_who();
  bool choose_method();
  HbaLogin as_hba_login() const;
  const Secret* known_secret() const;
  bool by_directory() const;
  bool needs_auth_query(const Secret* secret) const;
  void look_up_secret();
  Result<WorkerPool*> auth_pool() const;
  void secret_found(Result<AuthQuery::Found> found);
  void prove_with(const Secret* secret);
  void prove_by_certificate();
  void prove_by_peer();
  void prove_by_messages(const Secret* secret);
  bool may_log_in_as_user(const std::vector<std::string>& system_names) const;
  void message(char tag, View body);
  void take_step(AuthStep step);
  void work_aside(std::function<void()> work, std::function<void()> done);
  void ask_directory(Bytes password);
  void go_on_later(const std::function<void()>& step);
  void log_failed_login() const;
  void authenticated();
  bool count_user();
  Error too_many_of_user() const;
  void teach_pool();
  bool known_user() const;
  bool is_owner() const;
  void finish_welcome(Bytes& out, int32_t key_process, int32_t key_secret);
  void refuse(Error error);

  Client& client_;
  Buffer packet_;  // an incomplete start-up packet
  Framer framer_;
  StartupMessage startup_;
  CancelRequest cancel_;
  TrackedValues values_;
  SettingValues settings_;          // beyond the parameters that servers report
  SettingValues reported_;          // what it has said of those
  std::optional<Error> untracked_;  // what to say of the first of these where they are not taken
  std::optional<DatabaseEntry> entry_;
  AuthMethod method_ = AuthMethod::reject;
  std::string ident_map_;              // of the HBA rule
  std::unique_ptr<LdapOptions> ldap_;  // by the rules that it was received with
  std::string login_user_;  // the user it is; auth_query may say another than it asked for
  std::optional<Secret> found_secret_;  // by auth_query or typed for a directory
  std::unique_ptr<AuthQuery> auth_query_;
  std::unique_ptr<ClientAuth> auth_;
  std::optional<Error> error_;
  Hold<PoolEntry> pool_;
  Hold<UserState> user_state_;
  Hold<DatabaseState> counted_database_;
  Hold<UserState> counted_user_;
  ConsoleRights rights_ = ConsoleRights::none;
  Replication replication_ = Replication::none;
  Progress progress_ = Progress::goes_on;
  bool heard_anything_ = false;
  bool started_ = false;  // the StartupMessage has come
  bool ssl_asked_ = false, gss_asked_ = false;
  bool to_console_ = false;
  bool holds_client_permit_ = false;
  bool working_ = false;                                        // it is not its turn to talk
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for work that is done too late
};

}  // namespace headgate
