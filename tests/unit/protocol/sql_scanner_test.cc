// The lexical rules one by one. That they are PostgreSQL's is shown by sql_oracle_test.cc.
#include "protocol/sql_scanner.h"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace headgate;

namespace {

// The tokens, each behind a letter for its kind: word, Quoted name, string, bits, number,
// parameter, operator, symbol (.), broken (!).
std::vector<std::string> tokens(View sql, bool standard_conforming_strings = true) {
  std::vector<std::string> all;
  SqlScanner scanner(sql, standard_conforming_strings);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    all.push_back("wQsbnpo.!"[static_cast<size_t>(token.kind)] + std::string(":") +
                  std::string(token.text));
  }
  return all;
}

using Tokens = std::vector<std::string>;

}  // namespace

TEST_CASE("sql scanner: words, in any script") {
  CHECK(tokens("select _a1$, \xc3\xa9t\xc3\xa9") ==
        Tokens{"w:select", "w:_a1$", ".:,", "w:\xc3\xa9t\xc3\xa9"});
}

TEST_CASE("sql scanner: keywords are told in any case, quoted names are none") {
  SqlScanner scanner("SeLeCT \"select\" selects");
  const Token word = scanner.next();
  CHECK(word.is("select"));
  CHECK_FALSE(word.is("selec"));
  CHECK_FALSE(word.is('s'));
  CHECK_FALSE(scanner.next().is("\"select\""));
  CHECK_FALSE(scanner.next().is("select"));
  CHECK(same_word("A_Z", "a_z"));
  CHECK_FALSE(same_word("[", "{"));  // only letters have a case
}

TEST_CASE("sql scanner: quoted names") {
  CHECK(tokens(R"("a""b" U&"d\0061" u&"x" u & "y")") ==
        Tokens{R"(Q:"a""b")", R"(Q:U&"d\0061")", R"(Q:u&"x")", "w:u", "o:&", R"(Q:"y")"});
}

TEST_CASE("sql scanner: plain strings double their quotes; a backslash means nothing") {
  CHECK(tokens(R"('it''s' 'a\' 'b')") == Tokens{"s:'it''s'", R"(s:'a\')", "s:'b'"});
}

TEST_CASE("sql scanner: without standard_conforming_strings a backslash quotes in plain strings") {
  CHECK(tokens(R"('a\' 'b U&'c\')", false) == Tokens{R"(s:'a\' ')", "w:b", R"(s:U&'c\')"});
  CHECK(tokens("'a'\n'\\''", false) == Tokens{"s:'a'\n'\\''"});
}

TEST_CASE("sql scanner: in E strings a backslash quotes what follows") {
  CHECK(tokens(R"(E'a\'b' e'\\' E'\'''')") == Tokens{R"(s:E'a\'b')", R"(s:e'\\')", R"(s:E'\'''')"});
}

TEST_CASE("sql scanner: N strings are a word and a string, U& strings are one") {
  CHECK(tokens(R"(N'a' U&'d\0061' u&'it''s')") ==
        Tokens{"w:N", "s:'a'", R"(s:U&'d\0061')", "s:u&'it''s'"});
}

TEST_CASE("sql scanner: bit strings know no doubled quotes") {
  CHECK(tokens("B'01' x'1F' b'0''1'") == Tokens{"b:B'01'", "b:x'1F'", "b:b'0'", "s:'1'"});
}

TEST_CASE("sql scanner: a string goes on behind a line end, comments may lie between") {
  CHECK(tokens("'a'\n'b'") == Tokens{"s:'a'\n'b'"});
  CHECK(tokens("'a' \t\r -- c\n\n'b'") == Tokens{"s:'a' \t\r -- c\n\n'b'"});
  CHECK(tokens("'a' -- c\n'b'") == Tokens{"s:'a' -- c\n'b'"});
  CHECK(tokens("E'a'\n'b\\''") == Tokens{"s:E'a'\n'b\\''"});
  CHECK(tokens("b'0'\n'1'") == Tokens{"b:b'0'\n'1'"});
}

TEST_CASE("sql scanner: a string does not go on without a line end, or behind another comment") {
  CHECK(tokens("'a' 'b'") == Tokens{"s:'a'", "s:'b'"});
  CHECK(tokens("'a'\n/**/'b'") == Tokens{"s:'a'", "s:'b'"});
  CHECK(tokens("'a'\n-- c") == Tokens{"s:'a'"});
  CHECK(tokens("'a'\nE'b'") == Tokens{"s:'a'", "s:E'b'"});
}

TEST_CASE("sql scanner: dollar quotes end at their own tag only") {
  CHECK(tokens("$$a'b$c$$") == Tokens{"s:$$a'b$c$$"});
  CHECK(tokens("$a$ $$ $b$ $a $a$") == Tokens{"s:$a$ $$ $b$ $a $a$"});
  CHECK(tokens("$\xc3\xa9$x$\xc3\xa9$") == Tokens{"s:$\xc3\xa9$x$\xc3\xa9$"});
  CHECK(tokens("a$$b") == Tokens{"w:a$$b"});
  CHECK(tokens("$1$a") == Tokens{"p:$1", ".:$", "w:a"});
}

TEST_CASE("sql scanner: parameters and numbers") {
  CHECK(tokens("$1 $23") == Tokens{"p:$1", "p:$23"});
  CHECK(tokens("1 1.5 .5 1. 1e5 1.e-5 .5E+5") ==
        Tokens{"n:1", "n:1.5", "n:.5", "n:1.", "n:1e5", "n:1.e-5", "n:.5E+5"});
  CHECK(tokens("1..10") == Tokens{"n:1", "o:..", "n:10"});
  CHECK(tokens("1e 1e+") == Tokens{"n:1", "w:e", "n:1", "w:e", "o:+"});
  CHECK(tokens("a.1") == Tokens{"w:a", "n:.1"});
}

TEST_CASE("sql scanner: the numbers of PostgreSQL 16") {
  CHECK(tokens("0x1F 0o17 0B01 0x_ff 1_000 1_0.0_1e1_0") ==
        Tokens{"n:0x1F", "n:0o17", "n:0B01", "n:0x_ff", "n:1_000", "n:1_0.0_1e1_0"});
  CHECK(tokens("0x 1_ 1__0") == Tokens{"n:0", "w:x", "n:1", "w:_", "n:1", "w:__0"});
}

TEST_CASE("sql scanner: comments are skipped, and nest") {
  CHECK(tokens("a -- b\nc") == Tokens{"w:a", "w:c"});
  CHECK(tokens("a -- b\rc") == Tokens{"w:a", "w:c"});
  CHECK(tokens("a -- b") == Tokens{"w:a"});
  CHECK(tokens("a /* /* b */ c */ d") == Tokens{"w:a", "w:d"});
  CHECK(tokens("/*/ */ a /***/ b /* ** / */") == Tokens{"w:a", "w:b"});
  CHECK(tokens("/* ' \" $$ -- \n */ a") == Tokens{"w:a"});
}

TEST_CASE("sql scanner: operators end where a comment starts") {
  CHECK(tokens("1+--c\n2") == Tokens{"n:1", "o:+", "n:2"});
  CHECK(tokens("1*/*c*/2") == Tokens{"n:1", "o:*", "n:2"});
  CHECK(tokens("1@--c") == Tokens{"n:1", "o:@"});
}

TEST_CASE("sql scanner: + and - end a long operator only beside unusual characters") {
  CHECK(tokens("1*-2") == Tokens{"n:1", "o:*", "o:-", "n:2"});
  CHECK(tokens("a=+-1") == Tokens{"w:a", "o:=", "o:+", "o:-", "n:1"});
  CHECK(tokens("1@-2") == Tokens{"n:1", "o:@-", "n:2"});
  CHECK(tokens("a->>b <> c") == Tokens{"w:a", "o:->>", "w:b", "o:<>", "w:c"});
}

TEST_CASE("sql scanner: a long row of signs takes time in proportion to its length") {
  for (const View part : {"+", "+-+", "*+"}) {
    CAPTURE(part);
    std::string sql;
    while (sql.size() < 1024 * size_t{1024}) sql += part;
    SqlScanner scanner(sql);  // in milliseconds; where time were squared it would be minutes
    size_t size = 0;
    for (Token token = scanner.next(); token.kind == TokenKind::op; token = scanner.next()) {
      size += token.text.size();
    }
    CHECK(size == sql.size());
  }
}

TEST_CASE("sql scanner: symbols, and the operators among them") {
  CHECK(tokens("a::b:=c=>d[1:2];(e.f,g)") ==
        Tokens{"w:a", "o:::", "w:b", "o::=", "w:c", "o:=>", "w:d", ".:[", "n:1", ".::",
               "n:2", ".:]",  ".:;", ".:(",  "w:e", ".:.",  "w:f", ".:,", "w:g", ".:)"});
  CHECK(tokens("\\ { $ }") == Tokens{".:\\", ".:{", ".:$", ".:}"});
}

TEST_CASE("sql scanner: what is not closed is broken, and reaches to the end") {
  for (const View open : {"'a", "'a''", "E'a\\'", "E'a\\", "U&'a", "b'0", "\"a", "U&\"a", "$$a",
                          "$a$ $b$", "/* a", "/* /* */", "'a'\n'b", "/*/"}) {
    CAPTURE(open);
    const std::string sql = "x " + std::string(open);
    CHECK(tokens(sql) == Tokens{"w:x", "!:" + std::string(open)});
  }
}

TEST_CASE("sql scanner: at the end there is an end, as often as it is asked") {
  SqlScanner scanner(" -- nothing");
  for (int i = 0; i < 3; ++i) {
    const Token token = scanner.next();
    CHECK(token.kind == TokenKind::end);
    CHECK(token.text.empty());
    CHECK_FALSE(token.is(';'));
    CHECK_FALSE(token.is(""));
  }
}

TEST_CASE("sql scanner: whatever the bytes, tokens lie in order in the text and none is empty") {
  constexpr View alphabet = "'\"\\$$ab1.e-+*/@;:()=\n\r u&U&E\xc3\xa9\x80";
  for (unsigned seed = 0; seed < 5000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::vector<char> text(random() % 40);  // not a string: nothing readable lies behind its end
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    const View sql(text.data(), text.size());
    for (const bool standard : {true, false}) {
      SqlScanner scanner(sql, standard);
      size_t end = 0;
      for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
        const auto start = static_cast<size_t>(token.text.data() - sql.data());
        REQUIRE(start >= end);
        REQUIRE_FALSE(token.text.empty());
        end = start + token.text.size();
        REQUIRE(end <= sql.size());
      }
    }
  }
}
