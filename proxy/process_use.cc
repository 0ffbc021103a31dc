// What the process takes of its system, from /proc (proc(5)).
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "proxy/process.h"

namespace headgate {

namespace {

int64_t microseconds_of(const timeval& time) {
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_usec;
}

int64_t entries_of(const char* directory) {
  std::error_code error;
  int64_t count = 0;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end;
       at.increment(error)) {
    ++count;
  }
  return count;
}

}  // namespace

ProcessUse process_use() {
  ProcessUse use;
  rusage times{};
  getrusage(RUSAGE_SELF, &times);
  use.cpu_us = microseconds_of(times.ru_utime) + microseconds_of(times.ru_stime);
  int64_t pages = 0;
  int64_t resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> pages >> resident_pages) {
    const int64_t page = sysconf(_SC_PAGESIZE);
    use.virtual_bytes = pages * page;
    use.resident_bytes = resident_pages * page;
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    use.most_descriptors = static_cast<int64_t>(limit.rlim_cur);
  }
  use.open_descriptors = entries_of("/proc/self/fd") - 1;  // without the one that looks
  use.threads = entries_of("/proc/self/task");
  return use;
}

}  // namespace headgate
