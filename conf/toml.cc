#include "conf/toml.h"

#include <fmt/format.h>

// Errors come as values; nothing is ever thrown.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

#include <algorithm>

#include "conf/connstr.h"
#include "conf/values.h"

namespace headgate {
namespace {

bool is_main(View section) { return section == "headgate" || section == "pgbouncer"; }

class TomlReader {
 public:
  explicit TomlReader(const std::string& path) : path_(path) {}

  void read(const toml::table& document);
  std::vector<IniItem> items_in_order();
  std::vector<Error>& errors() { return errors_; }

 private:
  void read_section(View name, const toml::node& node);
  void read_setting(View name, const toml::node& node);
  void read_entry(View section, View name, const toml::node& node);
  /// The value as an ini file has it; nothing, and an error, if it has no such form.
  std::optional<std::string> text_of(View name, const toml::node& node);
  std::optional<std::string> scalar_text(const toml::node& node);
  void fail(View name, const toml::node& node, std::string expected);
  Place place_of(const toml::node& node) const {
    return {path_, static_cast<int>(node.source().begin.line)};
  }

  const std::string& path_;
  std::vector<IniItem> items_;
  std::vector<Error> errors_;
  std::string main_section_;  // whichever of the two names came first
};

void TomlReader::fail(View name, const toml::node& node, std::string expected) {
  Error error(ErrorCode::config, fmt::format("invalid value for parameter {}{}", printable(name),
                                             in_configuration(place_of(node))));
  error.hint = "expected " + std::move(expected);
  errors_.push_back(std::move(error));
}

std::optional<std::string> TomlReader::scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) {
    if (text->get().find('\0') != std::string::npos) return std::nullopt;
    return text->get();
  }
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  if (const auto* on = node.as_boolean()) return on->get() ? "1" : "0";
  return std::nullopt;
}

std::optional<std::string> TomlReader::text_of(View name, const toml::node& node) {
  std::optional<std::string> text = scalar_text(node);
  if (const auto* list = node.as_array()) {
    text = "";
    for (const toml::node& part : *list) {
      const auto one = scalar_text(part);
      if (!one) {
        text.reset();
        break;
      }
      *text += (text->empty() ? "" : ",") + *one;
    }
  }
  if (!text)
    fail(name, node, "a string without zero bytes, a number, true, false, or an array of them");
  return text;
}

void TomlReader::read_setting(View name, const toml::node& node) {
  auto text = text_of(name, node);
  if (!text) return;
  items_.push_back({.section = "pgbouncer",
                    .key = std::string(name),
                    .value = std::move(*text),
                    .place = place_of(node),
                    .whole = true});
}

void TomlReader::read_entry(View section, View name, const toml::node& node) {
  IniItem item{.section = std::string(section), .key = std::string(name), .place = place_of(node)};
  if (const auto* text = node.as_string(); text && text->get().find('\0') == std::string::npos) {
    item.value = text->get();
    return items_.push_back(std::move(item));
  }
  const toml::table* table = node.as_table();
  if (table == nullptr) return fail(name, node, "a table or a connection string");
  std::vector<KeyValue> pairs;
  for (const auto& [key, value] : *table) {
    auto text = text_of(key.str(), value);
    if (!text) return;
    if (text->empty()) return fail(key.str(), value, "something; leave out what is not said");
    // A key with other characters would be another pair of the connection string.
    if (key.str().find_first_of(" \t\r\n\v\f='") != View::npos || key.str().empty() ||
        key.str().find('\0') != View::npos) {
      return fail(key.str(), value, "the name of a key");
    }
    pairs.push_back({std::string(key.str()), std::move(*text)});
  }
  item.value = to_connection_string(pairs);
  item.whole = true;
  items_.push_back(std::move(item));
}

void TomlReader::read_section(View name, const toml::node& node) {
  const Place place = place_of(node);
  const toml::table* table = node.as_table();
  if (table == nullptr) {
    errors_.emplace_back(ErrorCode::config, fmt::format("value without section: {}{}",
                                                        printable(name), in_configuration(place)));
    return;
  }
  if (is_main(name) && !main_section_.empty()) {
    errors_.emplace_back(ErrorCode::config,
                         fmt::format("[{}] and [{}] are the same section{}", main_section_, name,
                                     in_configuration(place)));
    return;
  }
  if (is_main(name)) main_section_ = name;
  const View meant = is_main(name) ? View("pgbouncer") : name;
  items_.push_back({.opens_section = true, .section = std::string(meant), .place = place});
  if (meant != "pgbouncer" && meant != "databases" && meant != "users" && meant != "peers") return;
  for (const auto& [key, value] : *table) {
    if (meant == "pgbouncer") {
      read_setting(key.str(), value);
    } else {
      read_entry(meant, key.str(), value);
    }
  }
}

void TomlReader::read(const toml::table& document) {
  for (const auto& [name, node] : document) read_section(name.str(), node);
}

// Tables know their keys by the alphabet; what is told is told by the line.
std::vector<IniItem> TomlReader::items_in_order() {
  std::ranges::stable_sort(items_, {}, [](const IniItem& item) { return item.place.line; });
  return std::move(items_);
}

Error syntax_error(const std::string& path, const toml::parse_error& problem) {
  const Place place{path, static_cast<int>(problem.source().begin.line)};
  Error error(ErrorCode::config,
              fmt::format("syntax error{}, stopping loading", in_configuration(place)));
  error.hint = printable(problem.description());
  return error;
}

}  // namespace

bool is_toml(View path) { return path.ends_with(".toml"); }

std::optional<Error> read_toml(const std::string& path, const FileReader& read, const IniSink& take,
                               std::vector<Error>* errors) {
  const auto text = read(path);
  if (!text) {
    return Error(ErrorCode::config,
                 fmt::format("could not load file \"{}\": {}", path, text.error().message));
  }
  const toml::parse_result parsed = toml::parse(View(*text), path);
  if (!parsed) return syntax_error(path, parsed.error());
  TomlReader reader(path);
  reader.read(parsed.table());
  std::vector<Error> found = std::move(reader.errors());
  for (const IniItem& item : reader.items_in_order()) {
    if (errors == nullptr && !found.empty()) break;
    if (found.size() > most_errors) break;
    if (auto error = take(item)) found.push_back(*std::move(error));
  }
  if (errors == nullptr && !found.empty()) return std::move(found.front());
  for (Error& error : found) errors->push_back(std::move(error));
  return std::nullopt;
}

std::string toml_text(View text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if ((c >= 0 && c < ' ') || c == 0x7f) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_key(View name) {
  const auto is_bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  if (!name.empty() && std::ranges::all_of(name, is_bare)) return std::string(name);
  return toml_text(name);
}

std::optional<std::string> toml_problem(View text) {
  const toml::parse_result parsed = toml::parse(text);
  if (parsed) return std::nullopt;
  return fmt::format("line {}: {}", parsed.error().source().begin.line,
                     printable(parsed.error().description()));
}

}  // namespace headgate
