#include "conf/ini.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace headgate {
namespace {

constexpr View white_space = " \t\r\n\v\f";
constexpr View comment_signs = ";#";

bool is_space(char c) { return white_space.find(c) != View::npos; }
bool is_comment_sign(char c) { return comment_signs.find(c) != View::npos; }

bool is_key_character(char c) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  return letter || (c >= '0' && c <= '9') || View("_.-*").find(c) != View::npos;
}

void skip_blanks(View& text) {
  text.remove_prefix(std::min(text.find_first_not_of(white_space), text.size()));
}

/// Takes the text up to `end` away, and `end` with it; nothing where there is no `end`.
std::optional<View> take_until(View& text, char end) {
  const size_t size = text.find(end);
  if (size == View::npos) return std::nullopt;
  const View taken = text.substr(0, size);
  text.remove_prefix(size + 1);
  return taken;
}

std::optional<View> take_key(View& text) {
  if (text.starts_with('\'')) {
    text.remove_prefix(1);
    return take_until(text, '\'');
  }
  const auto end = std::find_if_not(text.begin(), text.end(), is_key_character);
  const View key = text.substr(0, static_cast<size_t>(end - text.begin()));
  text.remove_prefix(key.size());
  return key;
}

bool takes_include(View& text) {
  constexpr View word = "%include";
  if (!text.starts_with(word) || text.size() == word.size() || !is_space(text[word.size()])) {
    return false;
  }
  text = trimmed(text.substr(word.size()));
  return true;
}

using Refusal = std::optional<Error>;

class IniReader {
 public:
  IniReader(const FileReader& read, const IniSink& take, std::vector<Error>* errors)
      : read_(read), take_(take), errors_(errors) {}
  Refusal read_file(const std::string& path, int depth);

 private:
  Refusal read_text(View text, const std::string& path, int depth);
  Refusal read_line(View line, const Place& place, int depth);
  Refusal read_value(View line, const Place& place);
  Refusal include(View path, const Place& place, int depth);
  Refusal open_section(View& line, const Place& place);

  const FileReader& read_;
  const IniSink& take_;
  std::vector<Error>* errors_;  // gathers them, if there
  std::string section_;
  int files_ = 0;
};

Error syntax_error(const Place& place, std::string hint = {}) {
  Error error(ErrorCode::config,
              fmt::format("syntax error{}, stopping loading", in_configuration(place)));
  error.hint = std::move(hint);
  return error;
}

Refusal IniReader::read_file(const std::string& path, int depth) {
  if (++files_ > most_files) {
    return Error(ErrorCode::config, fmt::format("more than {} files are included", most_files));
  }
  auto text = read_(path);
  if (!text) {
    return Error(ErrorCode::config,
                 fmt::format("could not load file \"{}\": {}", path, text.error().message));
  }
  return read_text(*text, path, depth);
}

Refusal IniReader::read_text(View text, const std::string& path, int depth) {
  constexpr View byte_order_mark = "\xEF\xBB\xBF";  // some editors leave it
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  Place place{path, 0};
  while (!text.empty()) {
    ++place.line;
    const View line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto refusal = read_line(line, place, depth);
    if (refusal && (errors_ == nullptr || errors_->size() >= most_errors)) return refusal;
    if (refusal) errors_->push_back(*std::move(refusal));
  }
  return std::nullopt;
}

Refusal IniReader::read_line(View line, const Place& place, int depth) {
  // Strings of a configuration end up in C interfaces and wire messages.
  if (line.find('\0') != View::npos) return syntax_error(place, "there is a zero byte in the line");
  for (skip_blanks(line); line.starts_with('['); skip_blanks(line)) {
    if (auto refusal = open_section(line, place)) return refusal;
  }
  if (line.empty() || is_comment_sign(line[0])) return std::nullopt;
  if (takes_include(line)) return include(line, place, depth);
  return read_value(line, place);
}

Refusal IniReader::open_section(View& line, const Place& place) {
  line.remove_prefix(1);
  auto name = take_until(line, ']');
  if (!name) return syntax_error(place);
  section_ = *name;
  return take_({.opens_section = true, .section = section_, .place = place});
}

Refusal IniReader::read_value(View line, const Place& place) {
  const bool double_quoted = line.starts_with('"');
  auto key = take_key(line);
  skip_blanks(line);
  if (!key || key->empty() || !line.starts_with('=')) {
    return syntax_error(place, double_quoted ? "names are put in single quotes" : "");
  }
  line.remove_prefix(1);
  return take_({.section = section_,
                .key = std::string(*key),
                .value = std::string(trimmed(line)),
                .place = place});
}

Refusal IniReader::include(View path, const Place& place, int depth) {
  if (depth >= deepest_include) {
    return Error(ErrorCode::config,
                 fmt::format("include nesting level too deep ({}:{}), stopping loading", place.file,
                             place.line));
  }
  auto refusal = read_file(std::string(path), depth + 1);
  if (refusal && refusal->detail.empty()) {
    refusal->detail =
        fmt::format("error processing include file{}, stopping loading", in_configuration(place));
  }
  return refusal;
}

/// Where the first comment begins, if `begins(value, at)` says so; else the end.
template <class Begins>
View cut(View value, Begins begins) {
  for (size_t at = 0; at < value.size(); ++at) {
    const bool after_space = at == 0 || is_space(value[at - 1]);
    if (after_space && is_comment_sign(value[at]) && begins(value.substr(at))) {
      return trimmed(value.substr(0, at));
    }
  }
  return value;
}

bool stands_alone(View comment) {
  const size_t end = comment.find_first_not_of(comment_signs);
  return end == View::npos || is_space(comment[end]);
}

}  // namespace

std::string in_configuration(const Place& place) {
  if (place.file.empty()) return {};
  if (place.line == 0) return " in " + place.file;
  return fmt::format(" in configuration ({}:{})", place.file, place.line);
}

std::optional<Error> read_ini(const std::string& path, const FileReader& read, const IniSink& take,
                              std::vector<Error>* errors) {
  return IniReader(read, take, errors).read_file(path, 0);
}

View before_comment(View value) {
  return cut(value, [](View) { return true; });
}

View before_lone_comment(View value) { return cut(value, stands_alone); }

View trimmed(View text) {
  const size_t begin = text.find_first_not_of(white_space);
  if (begin == View::npos) return {};
  return text.substr(begin, text.find_last_not_of(white_space) - begin + 1);
}

}  // namespace headgate
