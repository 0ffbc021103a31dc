// The functions of a database that are not PostgreSQL's own, as its catalog knows them: whether a
// hot standby may call them. Built once, then read by every thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"

namespace headgate {

class UserFunctions {
 public:
  /// The most that are remembered; of more nothing is known.
  static constexpr size_t most = 50'000;

  /// The query that tells them; see add_row().
  static View question();
  /// Of each name in each schema whether all functions that have it are stable or immutable.
  void add(View schema, View name, bool reads);

  /// Whether all functions that such a call can mean read only; nothing if none of the name is
  /// known. Without a schema it may be that of any. Names as the catalog has them.
  std::optional<bool> reads(std::optional<View> schema, View name) const;
  size_t size() const { return size_; }
  bool operator==(const UserFunctions&) const = default;

 private:
  struct Function {
    std::string schema;
    bool reads;
    bool operator==(const Function&) const = default;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(View text) const { return std::hash<View>()(text); }
  };
  std::unordered_map<std::string, std::vector<Function>, Hash, std::equal_to<>> by_name_;
  size_t size_ = 0;
};
using UserFunctionsPtr = std::shared_ptr<const UserFunctions>;  // null: nothing is known

}  // namespace headgate
