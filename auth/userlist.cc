#include "auth/userlist.h"

#include <algorithm>
#include <optional>

#include "auth/packets.h"

namespace headgate {

namespace {

constexpr View blanks = " \t\r\v\f";

// Reads the quoted field in front of `line` and takes it away; nothing if there is none, or if its
// closing quote is missing on this line.
std::optional<Bytes> take_quoted(View& line) {
  if (!line.starts_with('"')) return std::nullopt;
  Bytes field;
  for (size_t at = 1; at < line.size(); ++at) {
    if (line[at] != '"') {
      field += line[at];
    } else if (line.substr(at + 1).starts_with('"')) {
      field += line[++at];
    } else {
      line.remove_prefix(at + 1);
      return field;
    }
  }
  return std::nullopt;
}

void skip(View& line, View characters) {
  line.remove_prefix(std::min(line.find_first_not_of(characters), line.size()));
}

void skip_to_quote(View& line) { line.remove_prefix(std::min(line.find('"'), line.size())); }

struct Entry {
  Bytes name, secret;
};

// What is wrong with the line, or an empty text. PgBouncer does not care what stands between the
// two fields, and neither do we.
View read_entry(View line, Entry& entry) {
  constexpr View broken = "broken auth file";
  auto name = take_quoted(line);
  if (!name || name->find('\0') != View::npos) return broken;
  if (name->size() > max_user_size) return "username too long in auth file";
  skip_to_quote(line);
  auto secret = take_quoted(line);
  if (!secret || secret->find('\0') != View::npos) return broken;
  if (secret->size() > max_password_size) return "password too long in auth file";
  entry = {*std::move(name), *std::move(secret)};
  return {};
}

}  // namespace

const Secret* UserList::find(View name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : &found->second;
}

UserList UserList::parse(View text, View file, std::vector<std::string>& errors) {
  UserList list;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    View line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    skip(line, blanks);
    if (line.empty() || line.starts_with(';')) continue;

    Entry entry;
    const View problem = read_entry(line, entry);
    if (!problem.empty()) {
      errors.push_back(Bytes(file) + ":" + std::to_string(number) + ": " + Bytes(problem));
      break;
    }
    list.set(std::move(entry.name), Secret(std::move(entry.secret)));
  }
  return list;
}

}  // namespace headgate
