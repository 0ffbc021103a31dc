#include "auth/userlist.h"

#include <doctest/doctest.h>

#include "tests/unit/auth/rig.h"

namespace headgate {

namespace {

struct Reading {
  std::vector<std::string> errors;
  UserList list;

  explicit Reading(View text) : list(UserList::parse(text, "users.txt", errors)) {}

  View secret(View name) const {
    const Secret* found = list.find(name);
    return found ? found->text() : "(unknown)";
  }
  std::string error() const { return errors.empty() ? "" : errors.front(); }
};

Bytes quoted(const Bytes& text) { return "\"" + text + "\""; }

}  // namespace

TEST_CASE("userlist: all forms of secrets are read") {
  const Reading read(
      "\"plain\" \"hunter2\"\n"
      "\"hashed\" \"md54a0a68b43b6cd5cf266fa02f196e2371\"\n"
      "\"scram\" \"" +
      auth_tests::scram_secret("x") +
      "\"\n"
      "\"empty\" \"\"\n");
  CHECK(read.errors.empty());
  REQUIRE(read.list.all().size() == 4);
  CHECK(read.list.find("plain")->kind() == SecretKind::plain);
  CHECK(read.list.find("hashed")->kind() == SecretKind::md5);
  CHECK(read.list.find("scram")->kind() == SecretKind::scram);
  CHECK(read.list.find("empty")->kind() == SecretKind::none);
  CHECK(read.list.find("nobody") == nullptr);
}

TEST_CASE("userlist: quotes, comments, blanks and what follows a line's fields") {
  const Reading read(
      "; a comment \"x\" \"y\"\n"
      "\n"
      "   \t\r\n"
      "  ; another\n"
      "\"a\"\"b\" \"\"\"c\"\"\"\"\"\n"
      "  \"indented\"\t \t\"1\"\n"
      "\"close\"\"d\"\n");
  CHECK(read.error() == "users.txt:7: broken auth file");
  CHECK(read.secret("a\"b") == "\"c\"\"");
  CHECK(read.secret("indented") == "1");
  CHECK(read.list.all().size() == 2);

  const Reading rest(
      "\"comma\", \"2\"\n"
      "\"rest\" \"3\" ignored \"and this\" ; too\n"
      "\"windows\" \"4\"\r\n"
      "\"semi;colon\" \"5;6\"\n"
      "\"again\" \"old\"\n"
      "\"again\" \"new\"\n"
      "\"spaces in\" \" kept \"\n"
      "\"\xc3\xa4\" \"\xc3\xb6\"\n"
      "\"last\" \"7\"");
  CHECK(rest.errors.empty());
  CHECK(rest.secret("comma") == "2");
  CHECK(rest.secret("rest") == "3");
  CHECK(rest.secret("windows") == "4");
  CHECK(rest.secret("semi;colon") == "5;6");
  CHECK(rest.secret("again") == "new");
  CHECK(rest.secret("spaces in") == " kept ");
  CHECK(rest.secret("\xc3\xa4") == "\xc3\xb6");
  CHECK(rest.secret("last") == "7");
}

TEST_CASE("userlist: the first malformed line ends the reading, and its place is named") {
  const Bytes good = "\"a\" \"1\"\n";
  for (const Bytes& line :
       {Bytes("# no comment"), Bytes("a \"1\""), Bytes("\"b\""), Bytes("\"b"), Bytes("\"b\" x"),
        Bytes("\"b\" \"1"), Bytes("\"b\" \"1\"\""), Bytes("\""), Bytes("\"b\" \""),
        Bytes("\"b\0c\" \"1\"", 9), Bytes("\"b\" \"1\0\"", 8), Bytes("\0", 1)}) {
    CAPTURE(line);
    const Reading read(good + line + "\n\"z\" \"26\"\n");
    CHECK(read.errors == std::vector<std::string>{"users.txt:2: broken auth file"});
    CHECK(read.secret("a") == "1");
    CHECK(read.list.all().size() == 1);
  }
}

TEST_CASE("userlist: names and passwords have a longest size") {
  const Bytes name(127, 'n');
  const Bytes secret(65530, 's');
  const Reading fits(quoted(name) + " " + quoted(secret) + "\n");
  CHECK(fits.errors.empty());
  CHECK(fits.secret(name) == secret);
  CHECK(Reading("\n" + quoted(name + "n") + " \"x\"\n").error() ==
        "users.txt:2: username too long in auth file");
  CHECK(Reading("\"x\" " + quoted(secret + "s")).error() ==
        "users.txt:1: password too long in auth file");
}

TEST_CASE("userlist: an empty file has no users, and users can be added") {
  Reading read("");
  CHECK(read.errors.empty());
  CHECK(read.list.all().empty());
  read.list.set("late", Secret("x"));
  CHECK(read.secret("late") == "x");
}

}  // namespace headgate
