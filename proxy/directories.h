// Directories of passwords outside of Headgate: PAM and LDAP. They answer when they please, so they
// are asked on threads of their own; who asks does not wait.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "auth/ldap_options.h"
#include "auth/method.h"
#include "base/bytes.h"
#include "base/time.h"

namespace headgate {

struct DirectoryQuestion {
  AuthMethod method = AuthMethod::pam;  // or ldap
  std::string user;
  Bytes password;
  std::string remote_host;  // empty on unix sockets
  LdapOptions ldap;
  Duration patience{};  // how long a network directory may take

  DirectoryQuestion() = default;
  DirectoryQuestion(DirectoryQuestion&&) = default;
  DirectoryQuestion& operator=(DirectoryQuestion&&) = default;
  ~DirectoryQuestion() { wipe(password); }
};

class Directories {
 public:
  /// Called on another thread, never from within ask(): whether the password is right.
  using Answer = std::function<void(bool right)>;

  virtual ~Directories() = default;
  /// From any thread. False: too many questions wait already, and `answer` is not called. Nor is it
  /// when `wanted` has gone by the time that the question's turn comes.
  virtual bool ask(DirectoryQuestion question, std::weak_ptr<bool> wanted, Answer answer) = 0;
};

}  // namespace headgate
