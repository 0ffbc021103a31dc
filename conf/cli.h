// The command line: PgBouncer's flags, --check and the like. Only reads it; what the flags do is up
// to the program.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

struct CommandLine {
  enum class Task : uint8_t {
    run,
    check,
    health,
    show_help,
    show_version,
    print_settings,
    convert
  };
  Task task = Task::run;
  bool daemon = false;
  bool quiet = false;
  bool reboot = false;
  bool connect = false;             // with Task::check: try the hosts, too
  int verbose = 0;                  // how often -v was given
  std::optional<std::string> user;  // beats the setting
  std::string config_path;          // empty: none, the environment says everything
  /// With Task::health: what config_path is, where that is a URL.
  bool is_url() const { return config_path.starts_with("http://"); }
};

/// Reads the arguments without the program's name: flags in any order, bundled (-dv), long names
/// also shortened as far as they stay unambiguous, `--` ends the flags. -h, -V and
/// --print-settings end the reading.
/// The error is one line for stderr, behind "PROGRAM: "; its hint is the next line. Only with
/// `has_environment` is there something to run without a file.
Result<CommandLine> parse_command_line(std::span<const char* const> arguments,
                                       bool has_environment = false);

/// What -h prints.
std::string help_text();

/// The first line of what -V prints.
std::string version_text();

}  // namespace headgate
