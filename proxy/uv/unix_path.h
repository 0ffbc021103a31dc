// The path of a listening unix socket: cleared of what a dead process left behind, given its mode
// and group, and removed with its owner. Abstract names (`@name`) have nothing in the file system.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "proxy/io.h"

namespace headgate {

struct SystemAddress;

class UnixPath {
 public:
  /// Makes room at `address`, a unix one; fails if something alive is there.
  static Result<Done> make_room(const Address& address);
  /// As bind(2): the path never has more rights than `mode`, not even until set_access().
  static int bind(int socket, const SystemAddress& address, int mode);

  UnixPath() = default;
  /// Takes charge of the path to which a socket has just been bound.
  explicit UnixPath(const Address& address);
  UnixPath(UnixPath&& other) noexcept;
  UnixPath& operator=(UnixPath&& other) noexcept;
  /// Removes the path, if it is still that very socket.
  ~UnixPath();

  /// Nothing is removed any more.
  void leave() { path_.clear(); }

  /// Sets mode and group; 0 or an errno.
  int set_access(int mode, const std::string& group) const;

 private:
  std::string path_;  // empty: nothing to remove
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace headgate
