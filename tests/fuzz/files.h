// Files that exist only in an input, for the targets that read a configuration: its parts between
// the bytes 0x1c (the file separator of ASCII), named main, a, b, c ...
#pragma once

#include <map>
#include <string>

#include "conf/ini.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {

class FuzzFiles {
 public:
  FuzzFiles(const uint8_t* data, size_t size) {
    View text(reinterpret_cast<const char*>(data), size);
    std::string name = "main";
    for (char next = 'a';; ++next) {
      const size_t end = text.find('\x1c');
      texts_.emplace(name, text.substr(0, end));
      if (end == View::npos || next == 'z') return;
      text.remove_prefix(end + 1);
      name = next;
    }
  }

  FileReader reader() const {
    return [this](const std::string& path) -> Result<std::string> {
      if (const auto found = texts_.find(path); found != texts_.end()) return found->second;
      return Error(ErrorCode::io, "No such file or directory");
    };
  }

 private:
  std::map<std::string, std::string> texts_;
};

}  // namespace headgate::fuzz
