#include "conf/cli.h"

#include <doctest/doctest.h>

#include <vector>

#include "tests/unit/conf/files.h"

using namespace headgate;
using Task = CommandLine::Task;

namespace {

Result<CommandLine> parse(std::vector<const char*> arguments) {
  return parse_command_line(arguments);
}

std::string refusal(std::vector<const char*> arguments) {
  auto line = parse(std::move(arguments));
  if (line) return "accepted";
  CHECK(line.error().hint == "Try \"headgate --help\" for more information.");
  return line.error().message;
}

}  // namespace

TEST_CASE("cli: a file alone is run") {
  auto line = parse({"x.ini"});
  REQUIRE(line.ok());
  CHECK(line->task == Task::run);
  CHECK(line->config_path == "x.ini");
  CHECK(!line->daemon);
  CHECK(!line->quiet);
  CHECK(!line->reboot);
  CHECK(line->verbose == 0);
  CHECK(!line->user);
}

TEST_CASE("cli: letters stand alone or bundled, before or behind the file") {
  auto line = parse({"-dq", "x.ini", "-v", "-vRu", "nobody"});
  REQUIRE(line.ok());
  CHECK(line->daemon);
  CHECK(line->quiet);
  CHECK(line->reboot);
  CHECK(line->verbose == 2);
  CHECK(line->user == "nobody");
  CHECK(line->config_path == "x.ini");
  CHECK(parse({"-unobody", "x"})->user == "nobody");
}

TEST_CASE("cli: long names, whole or shortened") {
  auto line = parse({"--daemon", "--quiet", "--reboot", "--user=a=b", "--verbose", "x.ini"});
  REQUIRE(line.ok());
  CHECK(line->daemon);
  CHECK(line->quiet);
  CHECK(line->reboot);
  CHECK(line->verbose == 1);
  CHECK(line->user == "a=b");
  CHECK(parse({"--user", "c", "x"})->user == "c");
  CHECK(parse({"--q", "x"})->quiet);
  CHECK(parse({"--check", "x"})->task == Task::check);
}

TEST_CASE("cli: --health takes a file, a URL or nothing") {
  CHECK(parse({"--health", "x.ini"})->task == Task::health);
  CHECK_FALSE(parse({"--health", "x.ini"})->is_url());
  CHECK(parse({"--health", "http://127.0.0.1:9127/readyz"})->is_url());
  CHECK(parse({"--health"})->config_path.empty());
  CHECK(refusal({"--health", "a", "b"}) == "more than one configuration file specified");
}

TEST_CASE("cli: -- ends the flags and - is a file") {
  CHECK(parse({"--", "-d"})->config_path == "-d");
  CHECK(parse({"-"})->config_path == "-");
}

TEST_CASE("cli: help and version need no file and end the reading") {
  CHECK(parse({"-h"})->task == Task::show_help);
  CHECK(parse({"--help", "--nonsense"})->task == Task::show_help);
  CHECK(parse({"-V"})->task == Task::show_version);
  CHECK(parse({"--print-settings"})->task == Task::print_settings);
  CHECK(parse({"-Vx"})->task == Task::show_version);
  CHECK(parse({"--version"})->task == Task::show_version);
}

TEST_CASE("cli: errors in getopt's words") {
  CHECK(refusal({}) == "no configuration file specified");
  CHECK(refusal({"-d"}) == "no configuration file specified");
  CHECK(refusal({"a", "b"}) == "more than one configuration file specified");
  CHECK(refusal({"-x"}) == "invalid option -- 'x'");
  CHECK(refusal({"--foo"}) == "unrecognized option '--foo'");
  CHECK(refusal({"--ver"}) ==
        "option '--ver' is ambiguous; possibilities: '--verbose' '--version'");
  CHECK(refusal({"-u"}) == "option requires an argument -- 'u'");
  CHECK(refusal({"--user"}) == "option '--user' requires an argument");
  CHECK(refusal({"--quiet=1", "x"}) == "option '--quiet' doesn't allow an argument");
}

TEST_CASE("cli: the help names every flag") {
  const std::string text = help_text();
  for (View flag : {"-d, --daemon", "-q, --quiet", "-R, --reboot", "-u, --user=USERNAME",
                    "-v, --verbose", "--check", "-V, --version", "-h, --help"}) {
    CAPTURE(flag);
    CHECK(text.find(flag) != std::string::npos);
  }
  CHECK(version_text() == "headgate 0.1.0\n");
}

TEST_CASE("cli: the manual page has every flag") {
  const std::string help = help_text(), page = test::project_file("docs/headgate.8");
  size_t flags = 0;
  for (size_t at = help.find("--"); at != std::string::npos; at = help.find("--", at + 2)) {
    std::string name;  // as the page writes it
    for (; help.find_first_of(" =:\n", at) != at; ++at) {
      if (help[at] == '-') name.push_back('\\');
      name.push_back(help[at]);
    }
    CHECK_MESSAGE(page.find(name) != std::string::npos, name);
    ++flags;
  }
  CHECK(flags > 9);
}
