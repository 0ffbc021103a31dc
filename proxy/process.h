// The operating system's side of the process: CPUs, descriptors, user, pidfile, daemon, the
// addresses to listen on. Used by main() at start and by what reports on the process, never by a
// worker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "admin/metrics.h"
#include "base/result.h"
#include "conf/environment.h"
#include "conf/settings.h"
#include "proxy/io.h"

namespace headgate {

/// The CPUs this process may use: its affinity, and the cgroup's quota rounded up.
size_t usable_cpus();

/// Raises the soft limit of descriptors as far as the hard one allows and logs PgBouncer's line; a
/// warning says what max_client_conn would need where that is not enough.
void raise_descriptor_limit(const Config& config);

/// The most descriptors that this process may have once it has raised its limit; nothing if the
/// system does not say.
std::optional<uint64_t> descriptor_limit();

/// Switches to an operating-system user, with its groups.
Result<Done> switch_user(const std::string& name);

/// The numeric addresses of listen_addr and the unix socket's path.
Result<std::vector<Address>> listen_addresses(const Settings& settings);

/// Detaches from the terminal: the caller goes on in a new process, stdin and stdout on /dev/null.
Result<Done> become_daemon();

/// The pidfile: PgBouncer's rules.
class Pidfile {
 public:
  /// An error where another process lives by this file; a dead one's is removed.
  static Result<Done> check(const std::string& path);
  static Result<Done> write(const std::string& path);
  /// The same in place of another process's, at once.
  static Result<Done> replace(const std::string& path);
  static void remove(const std::string& path);
};

/// The configuration file that process 1 was started with, if that is Headgate, as in a container;
/// else empty.
std::string file_of_first_process();
/// The variables of this process that may be meant for Headgate.
Environment own_environment();
/// What the process takes of its system now. From any thread; reads /proc.
ProcessUse process_use();

Bytes random_bytes(size_t count);
uint32_t own_uid();
std::string describe_errno(int error);
/// The name of a user of the operating system; from any thread.
std::optional<std::string> os_user_name(uint32_t uid);

}  // namespace headgate
