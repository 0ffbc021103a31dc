#include "conf/ini.h"

#include <doctest/doctest.h>

#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;

namespace {

struct Read {
  std::vector<IniItem> items;
  std::optional<Error> error;
};

Read read(const Files& files) {
  Read result;
  result.error = read_ini("/etc/x.ini", files.reader(), [&](const IniItem& item) {
    result.items.push_back(item);
    return std::nullopt;
  });
  return result;
}

/// Each item as "[section]" or "section.key=value@line", or the error.
std::string read(const std::string& text) {
  const auto [items, error] = read(Files{{{"/etc/x.ini", text}}});
  if (error) return error->message;
  std::string result;
  for (const IniItem& item : items) {
    if (!result.empty()) result += " ";
    result += item.opens_section ? "[" + item.section + "]"
                                 : item.section + "." + item.key + "=" + item.value;
    result += "@" + std::to_string(item.place.line);
  }
  return result;
}

}  // namespace

TEST_CASE("ini: the grammar is PgBouncer's") {
  struct Case {
    View name, text, result;
  };
  const Case cases[] = {
      {"nothing", "", ""},
      {"a section and a value", "[a]\nk = v\n", "[a]@1 a.k=v@2"},
      {"no final newline", "[a]\nk=v", "[a]@1 a.k=v@2"},
      {"indentation", "  [a]\n\t k \t= v\n", "[a]@1 a.k=v@2"},
      {"Windows line ends", "[a]\r\nk = v\r\n", "[a]@1 a.k=v@2"},
      {"a byte order mark", "\xEF\xBB\xBF[a]\n", "[a]@1"},
      {"comment lines", "; x\n# y\n  ; z\n[a]\n", "[a]@4"},
      {"the rest of a section's line is read on", "[a] k = v\n", "[a]@1 a.k=v@1"},
      {"a comment behind a section", "[a] ; why\nk=v\n", "[a]@1 a.k=v@2"},
      {"two sections in a line", "[a][b]k=v", "[a]@1 [b]@1 b.k=v@1"},
      {"all characters of a key", "aZ_9.-* = 1", ".aZ_9.-*=1@1"},
      {"a key in quotes", "'my db #1' = host=x", ".my db #1=host=x@1"},
      {"an empty value", "k =", ".k=@1"},
      {"a value keeps its inside", "k =  a = b ; c ", ".k=a = b ; c@1"},
      {"a section with a blank", "[a b]", "[a b]@1"},
      {"a value is all of its line", "k = 'x", ".k='x@1"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CHECK(read(std::string(c.text)) == c.result);
  }
}

TEST_CASE("ini: what is no line of it ends the reading at its place") {
  const std::string error = "syntax error in configuration (/etc/x.ini:2), stopping loading";
  const std::string lines[] = {"\"a\" = 1",
                               "key",
                               "key\n=1",
                               "= 1",
                               "'a = 1",
                               "'' = 1",
                               "[a",
                               "%includex y",
                               "%include",
                               "%x",
                               "a b = 1",
                               "\xc3\xa4=1",
                               std::string("a=\0b", 4)};
  for (const auto& line : lines) {
    CAPTURE(line);
    CHECK(read("[s]\n" + line) == error);
  }
}

TEST_CASE("ini: a double-quoted name gets a hint") {
  const Files files{{{"/etc/x.ini", "\"a\" = 1"}}};
  CHECK(read(files).error->hint == "names are put in single quotes");
}

TEST_CASE("ini: an include is read in place and sections carry across") {
  const Files files{
      {{"/etc/x.ini", "[a]\n  %include \t part.ini \nl = 2\n"}, {"part.ini", "k = 1\n[b]\n"}}};
  const auto [items, error] = read(files);
  REQUIRE(!error);
  REQUIRE(items.size() == 4);
  CHECK(items.at(1).section == "a");
  CHECK(items.at(1).place.file == "part.ini");
  CHECK(items.at(1).place.line == 1);
  CHECK(items.at(3).section == "b");
  CHECK(items.at(3).place.line == 3);
}

TEST_CASE("ini: a missing include names the file and the place") {
  const Files files{{{"/etc/x.ini", "[a]\n%include no.ini\n"}}};
  const Error error = read(files).error.value();
  CHECK(error.message == "could not load file \"no.ini\": No such file or directory");
  CHECK(error.detail ==
        "error processing include file in configuration (/etc/x.ini:2), stopping loading");
}

TEST_CASE("ini: includes nest ten deep and no deeper") {
  Files files;
  auto chain = [&](int depth) {
    files.texts["/etc/x.ini"] = "%include 1\n";
    for (int i = 1; i <= depth; ++i) {
      files.texts[std::to_string(i)] =
          i == depth ? "[end]\n" : "%include " + std::to_string(i + 1) + "\n";
    }
    return read(files).error;
  };
  CHECK(!chain(10));
  CHECK(chain(11).value().message == "include nesting level too deep (10:1), stopping loading");
}

TEST_CASE("ini: a file that includes itself many times is an error, not a hang") {
  std::string many;
  for (int i = 0; i < 100; ++i) many += "%include leaf\n";
  Files files{{{"leaf", "[a]\n"}}};
  files.texts["/etc/x.ini"] = "%include 2\n";
  for (int i = 2; i < 10; ++i) {
    files.texts[std::to_string(i)] = many + "%include " + std::to_string(i + 1) + "\n";
  }
  files.texts["10"] = many;
  CHECK(!read(files).error);
  files.texts["leaf"] = "%include leaf2\n";
  files.texts["leaf2"] = "[a]\n";
  CHECK(read(files).error->message == "more than 1000 files are included");
}

TEST_CASE("ini: the first error in the order of the lines is the one reported") {
  const Files files{{{"/etc/x.ini", "[a]\nk = 1\nl = 2\nsyntax error\n"}}};
  auto error = read_ini("/etc/x.ini", files.reader(), [](const IniItem& item) {
    return item.key == "l" ? std::optional(Error(ErrorCode::config, "not l")) : std::nullopt;
  });
  REQUIRE(error);
  CHECK(error->message == "not l");
}

TEST_CASE("ini: where a comment behind a value begins") {
  struct Case {
    View value, before, before_lone;
  };
  const Case cases[] = {
      {"5", "5", "5"},
      {"5 # why", "5", "5"},
      {"5\t; why", "5", "5"},
      {"5 #why", "5", "5 #why"},
      {"5 ## why", "5", "5"},
      {"5 #", "5", "5"},
      {"5# why", "5# why", "5# why"},
      {"a;b#c", "a;b#c", "a;b#c"},
      {"# why", "", ""},
      {"#why", "", "#why"},
      {"a #b # c", "a", "a #b"},
      {"", "", ""},
  };
  for (const Case& c : cases) {
    CAPTURE(c.value);
    CHECK(before_comment(c.value) == c.before);
    CHECK(before_lone_comment(c.value) == c.before_lone);
  }
}
