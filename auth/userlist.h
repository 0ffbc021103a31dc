// userlist.txt: the names and secrets of users. The grammar of a line:
//   "name" "secret" anything          `""` inside a field is one quote; `;` begins a comment line
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "auth/secret.h"
#include "base/bytes.h"

namespace headgate {

class UserList {
 public:
  /// The secret of a user, or null where the file does not name the user. Lives as long as the
  /// list.
  const Secret* find(View name) const;
  const std::map<std::string, Secret, std::less<>>& all() const { return users_; }

  /// Reads the file's text. The first malformed line ends the reading: what was read before stays,
  /// and `errors` gets a line that names the place (file:line).
  static UserList parse(View text, View file, std::vector<std::string>& errors);

  void set(std::string name, Secret secret) { users_[std::move(name)] = std::move(secret); }

 private:
  std::map<std::string, Secret, std::less<>> users_;
};

}  // namespace headgate
