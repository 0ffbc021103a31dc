// The quick look for session marks: most texts have none, and each is looked at.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "protocol/session_marks.h"
#include "protocol/sql.h"

namespace headgate {

namespace {

constexpr View blanks = " \t\r\n\f\v";

// First words of statements that have no marks but for the functions that they call; the usual ones
// first.
constexpr View unmarked[] = {"select", "insert", "update",   "delete",   "begin",   "commit",
                             "with",   "end",    "rollback", "abort",    "copy",    "explain",
                             "fetch",  "merge",  "move",     "notify",   "release", "savepoint",
                             "show",   "start",  "table",    "truncate", "vacuum",  "values"};

// Sixteen places of a text at once: each simple query and each Parse is read here.
constexpr size_t places_at_once = 16;
using Letters [[gnu::vector_size(places_at_once)]] = signed char;

Letters lowered(const char* at) {
  Letters letters;
  std::memcpy(&letters, at, sizeof letters);
  return letters | 0x20;
}

// Whether a part of a word that no text without marks has in its middle begins at one of the
// places.
bool has_marked_part(const char* at) {
  const std::array letters{lowered(at), lowered(at + 1), lowered(at + 2), lowered(at + 3)};
  const auto begins = [&](const char(&part)[5]) {
    return (letters[0] == part[0]) & (letters[1] == part[1]) & (letters[2] == part[2]) &
           (letters[3] == static_cast<signed char>(part[3] | 0x20));
  };
  const Letters found = begins("set_") | begins("advi") | begins("temp");
  const auto halves = std::bit_cast<std::array<uint64_t, 2>>(found);
  return (halves[0] | halves[1]) != 0;
}

bool has_marked_letters(View sql) {
  constexpr size_t seen_at_once = places_at_once + 3;
  for (; sql.size() > seen_at_once; sql.remove_prefix(places_at_once)) {
    if (has_marked_part(sql.data())) return true;
  }
  std::array<char, seen_at_once> rest{};
  std::ranges::copy(sql, rest.begin());
  return has_marked_part(rest.data());
}

}  // namespace

bool may_have_marks(View sql) {
  const size_t last = sql.find_last_not_of(View(" \t\r\n\f\v;"));
  if (last == View::npos) return false;
  sql = sql.substr(0, last + 1);
  sql.remove_prefix(std::min(sql.find_first_not_of(blanks), sql.size()));
  if (sql.find(';') != View::npos) return true;
  size_t end = 0;
  while (end < sql.size() && ((sql[end] | 0x20) >= 'a' && (sql[end] | 0x20) <= 'z')) ++end;
  const View first = sql.substr(0, end);
  if (std::ranges::none_of(unmarked, [&](View word) { return same_word(first, word); })) {
    return true;
  }
  return has_marked_letters(sql);
}

}  // namespace headgate
