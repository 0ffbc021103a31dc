#include "proxy/uv/unix_path.h"

#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <vector>

#include "proxy/uv/sockets.h"

namespace headgate {

namespace {

Error in_use() { return Error{ErrorCode::io, "unix socket is in use, cannot continue"}; }

bool is_abstract(const Address& address) { return address.host.starts_with('@'); }

// A full queue (EAGAIN) is as good a sign of life as an answer.
bool somebody_answers(const SystemAddress& address) {
  Descriptor probe = open_socket(Address::Kind::unix_path);
  return probe.valid() && (connect(probe.number(), address.get(), address.size) == 0 ||
                           errno == EAGAIN || errno == EINPROGRESS);
}

/// By number or by name.
std::optional<gid_t> group_id(const std::string& group) {
  gid_t id = 0;
  const char* end = group.data() + group.size();
  if (std::from_chars(group.data(), end, id).ptr == end) return id;
  std::vector<char> memory(1 << 16);
  ::group entry{};
  ::group* found = nullptr;
  getgrnam_r(group.c_str(), &entry, memory.data(), memory.size(), &found);
  return found != nullptr ? std::optional(found->gr_gid) : std::nullopt;
}

}  // namespace

Result<Done> UnixPath::make_room(const Address& address) {
  auto system = to_system(address);
  if (!system) return Error{ErrorCode::io, "unix socket path is too long: " + address.host};
  if (is_abstract(address)) return Done{};  // gone with its last owner; bind() tells
  // PostgreSQL's own lock file: a server claims this path, though it may be just starting.
  if (access((address.host + ".lock").c_str(), F_OK) == 0) return in_use();
  struct stat status;
  if (lstat(address.host.c_str(), &status) < 0) return Done{};
  if (!S_ISSOCK(status.st_mode) || somebody_answers(*system)) return in_use();
  unlink(address.host.c_str());
  return Done{};
}

// Linux gives the path the rights of the socket, less what the umask takes away, which is the whole
// process's and can be changed by no thread for itself.
int UnixPath::bind(int socket, const SystemAddress& address, int mode) {
  fchmod(socket, static_cast<mode_t>(mode));
  return ::bind(socket, address.get(), address.size);
}

UnixPath::UnixPath(const Address& address) {
  struct stat status;
  if (is_abstract(address) || lstat(address.host.c_str(), &status) < 0) return;
  path_ = address.host;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

UnixPath::UnixPath(UnixPath&& other) noexcept { *this = std::move(other); }

UnixPath& UnixPath::operator=(UnixPath&& other) noexcept {
  path_.swap(other.path_);
  std::swap(device_, other.device_);
  std::swap(inode_, other.inode_);
  return *this;
}

UnixPath::~UnixPath() {
  struct stat status;
  if (path_.empty() || lstat(path_.c_str(), &status) < 0) return;
  if (status.st_dev == device_ && status.st_ino == inode_) unlink(path_.c_str());
}

int UnixPath::set_access(int mode, const std::string& group) const {
  if (path_.empty()) return 0;
  if (!group.empty()) {
    auto id = group_id(group);
    if (!id) return EINVAL;
    if (chown(path_.c_str(), static_cast<uid_t>(-1), *id) < 0) return errno;
  }
  return chmod(path_.c_str(), static_cast<mode_t>(mode)) < 0 ? errno : 0;
}

}  // namespace headgate
