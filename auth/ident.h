// The ident file: which names of the operating system, or of certificates, may log in as which
// user. A line: map system-name database-user. `all` as the user stands for everybody.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "auth/line_tokens.h"
#include "base/bytes.h"

namespace headgate {

class IdentMaps {
 public:
  /// Bad lines are skipped and described in `problems`.
  static IdentMaps parse(View text, const std::string& file, std::vector<LineProblem>& problems);

  bool has(View map) const { return maps_.find(map) != maps_.end(); }
  /// Whether the map lets this system name log in as this user.
  bool allows(View map, View system_name, View user) const;
  size_t size() const { return maps_.size(); }

 private:
  struct Pair {
    std::string system_name, user;
    bool everybody = false;
  };
  std::map<std::string, std::vector<Pair>, std::less<>> maps_;
};

}  // namespace headgate
