// A client's way in: start-up packets, authentication, limits, the pool's welcome. Until it is
// through, nothing that the client says reaches a server, and everything is bounded in bytes,
// number and time. Lives as long as the log-in.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/console.h"
#include "auth/login.h"
#include "base/buffer.h"
#include "base/error.h"
#include "protocol/framer.h"
#include "protocol/startup.h"
#include "proxy/parameters.h"
#include "proxy/tls/context.h"

namespace headgate {

class Client;
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

  /// Returns how much was taken: all, unless the log-in came to an end within.
  size_t bytes(View in);
  Progress progress() const { return progress_; }
  bool heard_anything() const { return heard_anything_; }
  const Error& error() const { return *error_; }
  const CancelRequest& cancel_request() const { return cancel_; }
  const std::string& user() const { return startup_.user; }
  const std::string& database() const { return startup_.database; }

  // --- when authenticated
  PoolEntry* pool() const { return pool_; }
  const DatabaseEntry& entry() const { return *entry_; }
  UserState* user_state() const { return user_state_; }
  ConsoleRights rights() const { return rights_; }
  /// Sends what a server sends after authentication. `values` becomes the client's parameters.
  void welcome(const Welcome& welcome, int32_t key_process, int32_t key_secret,
               TrackedValues& values);
  void welcome_admin(int32_t key_process, int32_t key_secret);

  /// The permits that the client holds; given back when it ends.
  bool holds_client_permit() const { return holds_client_permit_; }
  DatabaseState* counted_database() const { return counted_database_; }
  UserState* counted_user() const { return counted_user_; }

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
  bool ignored(const std::string& name) const;
  std::optional<Error> find_target();
  std::optional<Error> take_permits();
  void begin_auth();
  void message(char tag, View body);
  void take_step(AuthStep step);
  void authenticated();
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
  std::optional<DatabaseEntry> entry_;
  std::unique_ptr<ClientAuth> auth_;
  std::optional<Error> error_;
  PoolEntry* pool_ = nullptr;
  UserState* user_state_ = nullptr;
  DatabaseState* counted_database_ = nullptr;
  UserState* counted_user_ = nullptr;
  ConsoleRights rights_ = ConsoleRights::none;
  Progress progress_ = Progress::goes_on;
  bool heard_anything_ = false;
  bool started_ = false;  // the StartupMessage has come
  bool ssl_asked_ = false, gss_asked_ = false;
  bool to_console_ = false;
  bool holds_client_permit_ = false;
  bool working_ = false;                                        // a key is being derived
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for work that is done too late
};

}  // namespace headgate
