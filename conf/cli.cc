#include "conf/cli.h"

#include <fmt/format.h>

#include <vector>

#include "base/version.h"

namespace headgate {
namespace {

struct Flag {
  char letter;  // 0: has only a long name
  View name;
  View argument;  // its name in the help, if it takes one
  View help;
  void (*apply)(CommandLine& line, View argument);
};

using Task = CommandLine::Task;

constexpr Flag flags[] = {
    {'d', "daemon", "", "run in background (as a daemon)",
     [](CommandLine& line, View) { line.daemon = true; }},
    {'q', "quiet", "", "run quietly: no log on stderr",
     [](CommandLine& line, View) { line.quiet = true; }},
    {'R', "reboot", "", "take over from the process that runs: its sockets, and its clients",
     [](CommandLine& line, View) { line.reboot = true; }},
    {'u', "user", "USERNAME", "assume identity of USERNAME",
     [](CommandLine& line, View user) { line.user = user; }},
    {'v', "verbose", "", "increase verbosity", [](CommandLine& line, View) { ++line.verbose; }},
    {0, "check", "", "check CONFIG_FILE, then exit",
     [](CommandLine& line, View) { line.task = Task::check; }},
    {0, "connect", "", "with --check: log in to each database, too",
     [](CommandLine& line, View) { line.connect = true; }},
    {0, "health", "", "ask the running process whether it lives",
     [](CommandLine& line, View) { line.task = Task::health; }},
    {0, "convert", "", "print CONFIG_FILE as TOML, then exit",
     [](CommandLine& line, View) { line.task = Task::convert; }},
    {0, "print-settings", "", "print what each setting means, then exit",
     [](CommandLine& line, View) { line.task = Task::print_settings; }},
    {'V', "version", "", "show version, then exit",
     [](CommandLine& line, View) { line.task = Task::show_version; }},
    {'h', "help", "", "show this help, then exit",
     [](CommandLine& line, View) { line.task = Task::show_help; }},
};

Error usage_error(std::string message) {
  Error error(ErrorCode::config, std::move(message));
  error.hint = "Try \"headgate --help\" for more information.";
  return error;
}

const Flag* flag_of(char letter) {
  for (const Flag& flag : flags) {
    if (flag.letter == letter && letter != 0) return &flag;
  }
  return nullptr;
}

Result<const Flag*> flag_of(View name) {
  std::vector<const Flag*> possible;
  for (const Flag& flag : flags) {
    if (flag.name == name) return &flag;
    if (flag.name.starts_with(name)) possible.push_back(&flag);
  }
  if (possible.size() == 1) return possible.front();
  if (possible.empty()) return usage_error(fmt::format("unrecognized option '--{}'", name));
  std::string text = fmt::format("option '--{}' is ambiguous; possibilities:", name);
  for (const Flag* flag : possible) text += fmt::format(" '--{}'", flag->name);
  return usage_error(std::move(text));
}

class CommandLineReader {
 public:
  CommandLineReader(std::span<const char* const> arguments, bool has_environment)
      : arguments_(arguments), has_environment_(has_environment) {}
  Result<CommandLine> read();

 private:
  Result<Done> take_letters(View letters);
  Result<Done> take_name(View text);
  std::optional<View> next();
  bool ended() const {
    return line_.task == Task::show_help || line_.task == Task::show_version ||
           line_.task == Task::print_settings;
  }
  Result<CommandLine> finish();

  std::span<const char* const> arguments_;
  const bool has_environment_;
  CommandLine line_;
  std::vector<View> files_;
};

std::optional<View> CommandLineReader::next() {
  if (arguments_.empty()) return std::nullopt;
  const View argument = arguments_.front();
  arguments_ = arguments_.subspan(1);
  return argument;
}

Result<Done> CommandLineReader::take_letters(View letters) {
  while (!letters.empty() && !ended()) {
    const Flag* flag = flag_of(letters[0]);
    if (flag == nullptr) return usage_error(fmt::format("invalid option -- '{}'", letters[0]));
    letters.remove_prefix(1);
    std::optional<View> argument;
    if (!flag->argument.empty()) {
      argument = letters.empty() ? next() : letters;
      if (!argument) {
        return usage_error(fmt::format("option requires an argument -- '{}'", flag->letter));
      }
      letters = {};
    }
    flag->apply(line_, argument.value_or(View()));
  }
  return Done{};
}

Result<Done> CommandLineReader::take_name(View text) {
  const View name = text.substr(0, text.find('='));
  auto flag = flag_of(name);
  if (!flag) return std::move(flag).error();
  const bool takes_argument = !(*flag)->argument.empty();
  std::optional<View> argument;
  if (name.size() < text.size()) {
    argument = text.substr(name.size() + 1);
    if (!takes_argument) {
      return usage_error(fmt::format("option '--{}' doesn't allow an argument", (*flag)->name));
    }
  } else if (takes_argument) {
    argument = next();
    if (!argument) {
      return usage_error(fmt::format("option '--{}' requires an argument", (*flag)->name));
    }
  }
  (*flag)->apply(line_, argument.value_or(View()));
  return Done{};
}

Result<CommandLine> CommandLineReader::read() {
  bool flags_ended = false;
  while (auto argument = ended() ? std::nullopt : next()) {
    Result<Done> taken = Done{};
    if (flags_ended || argument->size() < 2 || argument->front() != '-') {
      files_.push_back(*argument);
    } else if (*argument == "--") {
      flags_ended = true;
    } else if (argument->starts_with("--")) {
      taken = take_name(argument->substr(2));
    } else {
      taken = take_letters(argument->substr(1));
    }
    if (!taken) return std::move(taken).error();
  }
  return finish();
}

Result<CommandLine> CommandLineReader::finish() {
  if (ended()) return line_;
  if (line_.connect && line_.task != Task::check) {
    return usage_error("option '--connect' needs '--check'");
  }
  const bool finds_file = has_environment_ || line_.task == Task::health;
  const bool needs_file = !finds_file || line_.task == Task::convert;
  if (files_.empty() && needs_file) return usage_error("no configuration file specified");
  if (files_.size() > 1) return usage_error("more than one configuration file specified");
  if (!files_.empty()) line_.config_path = files_.front();
  return line_;
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const char* const> arguments,
                                       bool has_environment) {
  return CommandLineReader(arguments, has_environment).read();
}

std::string help_text() {
  std::string text =
      "headgate is a connection pooler for PostgreSQL.\n\n"
      "Usage:\n  headgate [OPTION]... [CONFIG_FILE]\n\n"
      "Without a file, the environment says everything: DATABASES_HOST, DATABASE_URL or the like,\n"
      "and HEADGATE_<SETTING>. With one, HEADGATE_<SETTING> overrides it.\n\nOptions:\n";
  for (const Flag& flag : flags) {
    const std::string letter = flag.letter == 0 ? "   " : fmt::format("-{},", flag.letter);
    const std::string name = flag.argument.empty() ? std::string(flag.name)
                                                   : fmt::format("{}={}", flag.name, flag.argument);
    text += fmt::format("  {} --{:<15} {}\n", letter, name, flag.help);
  }
  return text;
}

std::string version_text() { return fmt::format("headgate {}\n", version); }

}  // namespace headgate
