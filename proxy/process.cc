#include "proxy/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "conf/advice.h"
#include "conf/cli.h"
#include "proxy/log.h"

namespace headgate {

namespace {

Error system_error(std::string what) {
  return Error(ErrorCode::io, fmt::format("{}: {}", what, describe_errno(errno)));
}

// cgroup v2: "max 100000" or "200000 100000"; absent or without a quota: no limit.
size_t cgroup_cpus() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double quota = 0;
  double period = 0;
  if (!(file >> quota >> period) || period <= 0) return SIZE_MAX;
  return static_cast<size_t>((quota + period - 1) / period);
}

std::string trim(std::string_view word) {
  const size_t begin = word.find_first_not_of(" \t");
  if (begin == word.npos) return {};
  return std::string(word.substr(begin, word.find_last_not_of(" \t") - begin + 1));
}

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> all;
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    if (std::string word = trim(list.substr(0, end)); !word.empty()) all.push_back(word);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return all;
}

void add_addresses(const std::string& name, int port, std::vector<Address>& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const char* node = name == "*" ? nullptr : name.c_str();
  if (const int error = getaddrinfo(node, std::to_string(port).c_str(), &hints, &found)) {
    log(LogLevel::warning, "cannot listen on {}: {}", name, gai_strerror(error));
    return;
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (const addrinfo* one = found; one; one = one->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, host, sizeof host, nullptr, 0, NI_NUMERICHOST)) {
      continue;
    }
    const auto kind = one->ai_family == AF_INET6 ? Address::Kind::ip6 : Address::Kind::ip4;
    Address address{kind, static_cast<uint16_t>(port), host};
    if (std::find(out.begin(), out.end(), address) == out.end()) out.push_back(address);
  }
}

}  // namespace

size_t usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const size_t affine = sched_getaffinity(0, sizeof set, &set) == 0
                            ? static_cast<size_t>(CPU_COUNT(&set))
                            : size_t{1};
  return std::max<size_t>(1, std::min(affine, cgroup_cpus()));
}

void raise_descriptor_limit(const Config& config) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t soft_before = limit.rlim_cur;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = soft_before;

  const Settings& settings = config.settings;
  const uint64_t expected = expected_descriptors(config);
  log(LogLevel::log,
      "kernel file descriptor limit: {} (hard: {}); max_client_conn: {}, max expected fd use: {}",
      soft_before, limit.rlim_max, settings.max_client_conn, expected);
  if (expected <= limit.rlim_cur) return;
  log(LogLevel::warning,
      "max_client_conn = {} needs about {} file descriptors, this process may have {}: raise the "
      "limit (ulimit -n, LimitNOFILE=) or lower max_client_conn; beyond it new connections wait",
      settings.max_client_conn, expected, limit.rlim_cur);
}

std::optional<uint64_t> descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return limit.rlim_max;
}

Result<Done> switch_user(const std::string& name) {
  errno = 0;
  const passwd* user = getpwnam(name.c_str());
  if (!user) return Error(ErrorCode::io, fmt::format("could not find user '{}'", name));
  if (user->pw_uid == geteuid()) return Done{};
  if (initgroups(name.c_str(), user->pw_gid) != 0 || setgid(user->pw_gid) != 0 ||
      setuid(user->pw_uid) != 0) {
    return system_error(fmt::format("cannot switch to user '{}'", name));
  }
  return Done{};
}

Result<std::vector<Address>> listen_addresses(const Settings& settings) {
  std::vector<Address> all;
  for (const std::string& name : words(settings.listen_addr)) {
    add_addresses(name, settings.listen_port, all);
    if (settings.read_port != 0) add_addresses(name, settings.read_port, all);
  }
  if (!settings.unix_socket_dir.empty()) {
    const bool abstract = settings.unix_socket_dir.starts_with('@');
    const std::string path =
        fmt::format("{}/.s.PGSQL.{}", settings.unix_socket_dir, settings.listen_port);
    if (!abstract && access((path + ".lock").c_str(), F_OK) == 0) {
      return Error(ErrorCode::config, fmt::format("{}.lock exists: a PostgreSQL server listens on "
                                                  "this unix socket; change listen_port or "
                                                  "unix_socket_dir",
                                                  path));
    }
    all.push_back({Address::Kind::unix_path, static_cast<uint16_t>(settings.listen_port), path});
  }
  if (all.empty()) return Error(ErrorCode::config, "nowhere to listen on");
  return all;
}

Result<Done> become_daemon() {
  for (int round = 0; round < 2; ++round) {
    const pid_t child = fork();
    if (child < 0) return system_error("fork");
    if (child > 0) _exit(0);
    if (round == 0 && setsid() < 0) return system_error("setsid");
  }
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return system_error("/dev/null");
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  if (null > 2) close(null);
  return Done{};
}

Result<Done> Pidfile::check(const std::string& path) {
  if (path.empty()) return Done{};
  std::ifstream file(path);
  if (!file) return Done{};
  pid_t pid = 0;
  const bool parsed = static_cast<bool>(file >> pid);
  if (parsed && pid > 0 && kill(pid, 0) != 0 && errno == ESRCH) {
    log(LogLevel::log, "stale pidfile, removing");
    unlink(path.c_str());
    return Done{};
  }
  return Error(ErrorCode::io, fmt::format("pidfile '{}' exists, another instance running?", path));
}

Result<Done> Pidfile::write(const std::string& path) {
  if (path.empty()) return Done{};
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return system_error(path);
  const std::string text = fmt::format("{}\n", getpid());
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  close(fd);
  if (written) return Done{};
  Error error = system_error(path);
  unlink(path.c_str());  // without a number it would stop the next start
  return error;
}

Result<Done> Pidfile::replace(const std::string& path) {
  if (path.empty()) return Done{};
  const std::string made = path + ".new";
  unlink(made.c_str());
  if (auto result = write(made); !result) return result;
  if (rename(made.c_str(), path.c_str()) == 0) return Done{};
  Error error = system_error(path);
  unlink(made.c_str());
  return error;
}

void Pidfile::remove(const std::string& path) {
  if (!path.empty()) unlink(path.c_str());
}

std::string file_of_first_process() {
  std::ifstream file("/proc/1/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  const auto program = std::ranges::find_if(
      words, [](View word) { return word == "headgate" || word.ends_with("/headgate"); });
  if (program == words.end()) return {};
  std::vector<const char*> arguments;
  for (auto it = program + 1; it != words.end(); ++it) arguments.push_back(it->c_str());
  const auto command = parse_command_line(arguments, true);
  return command ? command->config_path : "";
}

Environment own_environment() {
  Environment all;
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    const View text = *one;
    const size_t end = text.find('=');
    if (end == View::npos || !may_concern_us(text.substr(0, end))) continue;
    all.push_back({std::string(text.substr(0, end)), std::string(text.substr(end + 1))});
  }
  return all;
}

Bytes random_bytes(size_t count) {
  Bytes bytes(count, '\0');
  MUST(getrandom(bytes.data(), count, 0) == static_cast<ssize_t>(count));
  return bytes;
}

uint32_t own_uid() { return geteuid(); }

std::optional<std::string> os_user_name(uint32_t uid) {
  std::vector<char> memory(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, memory.data(), memory.size(), &found) != 0 || !found) {
    return std::nullopt;
  }
  return found->pw_name;
}

std::string describe_errno(int error) {
  char text[128];
  return strerror_r(error, text, sizeof text);  // the GNU one: returns the text
}

}  // namespace headgate
