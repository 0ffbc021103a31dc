// PostgreSQL's lexical rules: cuts SQL into tokens, skipping white space and comments. It lends the
// tokens from the text and allocates nothing. It never judges: what the server will refuse it cuts
// in some sensible way, and what is not closed it calls broken.
// (PostgreSQL documentation, "Lexical Structure".)
//
// The text must be in an encoding whose multi-byte characters hold no ASCII bytes, as UTF-8 and
// every encoding a server can have. Those that only clients can have (SJIS, BIG5, GBK, UHC,
// GB18030, JOHAB, SHIFT_JIS_2004) are not: whoever reads such text with this must not trust what he
// reads.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace headgate {

enum class TokenKind : uint8_t {
  word,         // a keyword or name without quotes
  quoted_name,  // "..." or U&"..."
  string,       // '...', E'...', U&'...', $$...$$; N'...' is a word and a string
  bit_string,   // B'...' or X'...'
  number,
  parameter,  // $1
  op,         // an operator; := => :: and .. too
  symbol,     // one of , ( ) [ ] . ; : or a character that means nothing
  broken,     // a string, name or comment that is not closed: it reaches to the end
  end,        // nothing is left; an empty view of the end of the text
};

struct Token {
  TokenKind kind = TokenKind::end;
  View text;

  /// The keyword, given in lower case. A quoted name is never one.
  bool is(View keyword) const;
  bool is(char symbol_) const { return kind == TokenKind::symbol && text[0] == symbol_; }
};

/// Whether a word is this one, given in lower case, whatever its own case.
bool same_word(View word, View lower_case);

class SqlScanner {
 public:
  /// `standard_conforming_strings` is the session's setting: without it a backslash in '...' quotes
  /// what follows, as it always does in E'...'.
  explicit SqlScanner(View sql, bool standard_conforming_strings = true)
      : sql_(sql), backslash_quotes_(!standard_conforming_strings) {}

  /// The next token, and at the end `end`, as often as it is asked.
  Token next();

 private:
  enum class Escapes : uint8_t { none, backslash, no_quotes };

  char at(size_t place) const { return place < sql_.size() ? sql_[place] : '\0'; }
  bool comment_starts(size_t place) const;
  Token token(TokenKind kind, size_t end);
  Token broken() { return token(TokenKind::broken, sql_.size()); }
  bool skip_blanks();
  bool skip_nested_comment();
  Token word_or_prefixed_string();
  Token string(size_t quote, Escapes escapes, TokenKind kind = TokenKind::string);
  size_t end_of_string_part(size_t place, Escapes escapes) const;
  size_t continuation(size_t place) const;
  Token quoted_name(size_t quote);
  Token dollar();
  Token number();
  size_t end_of_digits(size_t place, bool (*is_digit)(char)) const;
  Token op();

  View sql_;
  size_t at_ = 0;  // where the next token, or the blanks before it, begin
  // Behind an operator, up to here: + and - that are one each. So no long row of them is looked
  // through again and again.
  size_t signs_until_ = 0;
  bool backslash_quotes_;
};

}  // namespace headgate
