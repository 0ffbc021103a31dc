// How people prove who they are in a simulation: what Headgate demands of its clients, what the
// servers demand of Headgate, and what the files know of passwords. The cryptography is the real
// one of auth/, in both of its roles.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "auth/login.h"
#include "tests/sim/world.h"

namespace headgate::sim {

struct Passwords {
  AuthMethod clients = AuthMethod::trust, servers = AuthMethod::trust;
  SecretKind known = SecretKind::plain;  // what auth_file holds of each user
  int iterations = 1;                    // of Headgate's own SCRAM verifiers

  /// What a user really knows.
  static std::string of(const std::string& user);
  /// The content of auth_file.
  std::string user_list() const;
  /// What a server keeps of a user's password.
  Secret kept_by_server(const std::string& user) const;
  /// Whether anybody can come in at all; the files may know too little for that.
  bool clients_come_in() const;
  bool servers_let_in() const;
  const char* clients_setting() const;
  std::string describe() const;
};

/// A client's side of its log-in.
class Visitor {
 public:
  Visitor(World& world, const Passwords& passwords, const std::string& user, std::string password);

  /// Some R message has come; `say` is given the answer, at once or after some work.
  void hear(View body, std::function<void(View)> say);

 private:
  void take(AuthStep step, std::function<void(View)> say);

  World& world_;
  const Passwords& passwords_;
  KeyCache cache_;
  ServerAuth proof_;
  const std::string name_;
  bool asked_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace headgate::sim
