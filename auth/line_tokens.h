// A line of an HBA or ident file as its tokens. PostgreSQL's grammar:
//
//   blanks separate tokens, so do commas, which are tokens themselves; # begins a comment
//   "..." holds blanks, commas and #; "" inside is one quote. It may also be a part of a token:
//     map="my map"
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

struct LineToken {
  Bytes text;
  size_t begin = 0, end = 0;  // where it stands in the line
  /// It begins with a quote: a name, even if it reads like a keyword.
  bool quoted = false;
  bool is_comma = false;

  bool is_word(View word) const { return !quoted && !is_comma && text == word; }
};

/// The tokens of a line without its line feed. Fails where a quote is not closed or a zero byte
/// stands; the message says so.
Result<std::vector<LineToken>> tokens_of_line(View line);

/// What is wrong with a line of a file.
struct LineProblem {
  std::string file;
  size_t line = 0;
  std::string what;  // `expected a method, found "gss"`
};

/// `expected WHAT, found "TOKEN"`, or `found the end of the line` where `token` is null.
std::string expected_instead(View what, const LineToken* token);

/// Calls visit(number, line) for each line of a file, counted from 1.
template <class Visit>
void for_each_line(View text, Visit&& visit) {
  for (size_t number = 1; !text.empty(); ++number) {
    const View line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() < text.size() ? line.size() + 1 : line.size());
    visit(number, line);
  }
}

}  // namespace headgate
