// Files that exist only in a test, and the loading of a configuration from them.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "conf/load.h"

namespace headgate::test {

/// Texts by path. The main file is always "/etc/x.ini".
struct Files {
  std::map<std::string, std::string> texts;

  FileReader reader() const {
    return [this](const std::string& path) -> Result<std::string> {
      if (auto found = texts.find(path); found != texts.end()) return found->second;
      return Error(ErrorCode::io, "No such file or directory");
    };
  }
  Result<Config> load(const Config* running = nullptr) const {
    return load_config("/etc/x.ini", reader(), running);
  }
};

/// Loads one text.
inline Result<Config> load(const std::string& text, const Config* running = nullptr) {
  return Files{{{"/etc/x.ini", text}}}.load(running);
}

/// The configuration of these lines in [pgbouncer]; the test fails if it is refused.
inline Config with(const std::string& lines, const Config* running = nullptr) {
  auto config = load("[pgbouncer]\n" + lines, running);
  REQUIRE_MESSAGE(config.ok(), lines);
  return std::move(*config);
}

/// The text of a file of the project.
inline std::string project_file(const std::string& path) {
  const std::string here = __FILE__;
  const std::string root =
      here.substr(0, here.size() - std::string("tests/unit/conf/files.h").size());
  auto text = read_file(root + path);
  REQUIRE_MESSAGE(text.ok(), path);
  return std::move(*text);
}

/// The warnings, one a line.
inline std::string warnings(const Config& config) {
  std::string text;
  for (const auto& warning : config.warnings) text += warning + "\n";
  return text;
}

/// "message | detail | hint" of a configuration that must be refused, or "loaded".
inline std::string refusal(const Result<Config>& config) {
  if (config) return "loaded";
  const Error& error = config.error();
  return error.message + " | " + error.detail + " | " + error.hint;
}

}  // namespace headgate::test
