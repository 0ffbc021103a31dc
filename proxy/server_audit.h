// The audit of one server (protocol/session_audit.h): it hears what a client says, and when that
// client has gone the server is looked at before anybody else gets it. Owned by the server.
#pragma once

#include "protocol/error_fields.h"
#include "protocol/session_audit.h"
#include "protocol/statements.h"

namespace headgate {

class Client;
class Server;

class ServerAudit {
 public:
  explicit ServerAudit(Server& server) : server_(server) {}

  /// It goes to a client, behind whom it is looked at, or not.
  void begin_lease(bool due);
  /// It is being lent, and will be looked at.
  bool due() const { return due_; }
  /// Its client sends this message.
  void hear(char tag, View body, const ClientStatements& statements);
  void lease_over(Client& client);

  /// The SQL of the look.
  std::string question();
  void take_row(View body);
  void failed(const ErrorFields& fields);
  /// The connection has come to its end in the middle of it.
  void ended() { ended_ = true; }
  bool has_ended() const { return ended_; }
  /// A time limit has struck it, so that it has not been; not too often yet.
  bool looks_again();
  /// The look is over. True: the server is to be reset and looked at once more.
  bool over();

 private:
  static constexpr int most_strikes = 5;

  SessionAudit::Belief belief() const;
  bool may_reset() const;
  void tell(const std::vector<AuditDifference>& differences) const;

  Server& server_;
  SessionAudit audit_;
  SessionAudit::Belief belief_;
  SettingNames in_other_words_;
  std::vector<AuditDifference> before_;  // the reset
  bool due_ = false;
  bool confirms_ = false;
  bool ended_ = false;
  bool struck_ = false;
  int strikes_ = 0;
};

}  // namespace headgate
