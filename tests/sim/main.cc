// sim [--seed N] [--from N --count N | --seconds S]: runs simulations; --seed tells one in detail,
// --twice runs each a second time as --seed does: it must go the same. The last line counts seeds
// and failures; the exit status is 1 where one failed.
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "proxy/log.h"
#include "tests/sim/story.h"

namespace {

using headgate::sim::Story;

uint64_t current_seed = 0;
Story* told_now = nullptr;

void print_notes(Story& story) {
  for (const std::string& line : story.world().notes()) fmt::print("{}\n", line);
}

// A MUST that failed, or worse: say which seed it was before the end.
void on_crash(int number) {
  std::signal(number, SIG_DFL);
  if (number == SIGABRT && told_now) print_notes(*told_now);
  fmt::print("FAILED seed {}: the program {}\n", current_seed,
             number == SIGABRT ? "aborted" : "crashed");
  std::fflush(stdout);
  std::raise(number);
}

// On a stack of its own, because it may be the stack that ran out.
void report_crashes() {
  static char stack[1 << 16];
  const stack_t own{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  sigaltstack(&own, nullptr);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = SA_ONSTACK;
  for (const int number : {SIGABRT, SIGSEGV}) sigaction(number, &action, nullptr);
}

void log_into_notes(headgate::LogLevel, std::string_view text) {
  if (!told_now) return;
  told_now->world().note("    log: {}", text);
  if (text.find("session audit: ") != text.npos) told_now->world().violated("log: {}", text);
}

/// Returns why it failed, or nothing.
std::string run(Story& story) {
  std::string failure;
  told_now = &story;
  try {
    story.run();
  } catch (const headgate::sim::Violation& violation) {
    failure = violation.what();
  }
  told_now = nullptr;
  return failure;
}

/// But for the words for a failure, which may tell more where notes are taken.
bool went_the_same(Story& one, Story& other) {
  return one.world().fingerprint() == other.world().fingerprint() &&
         one.world().events() == other.world().events();
}

bool run_seed(uint64_t seed, bool recording, bool twice) {
  current_seed = seed;
  Story story(seed, recording);
  std::string failure = run(story);
  if (twice) {
    Story again(seed, true);
    const std::string told = run(again);
    if (!went_the_same(story, again)) {
      failure = fmt::format("with --seed it goes otherwise: '{}', not '{}'", told, failure);
    }
  }
  if (recording) {
    fmt::print("{}\n", story.ini());
    print_notes(story);
  }
  if (!failure.empty()) {
    fmt::print("FAILED seed {} ({}): {}\n", seed, story.title(), failure);
  } else if (recording) {
    fmt::print("seed {} ({}): well; {} events, {} answers, fingerprint {:016x}\n", seed,
               story.title(), story.world().events(), story.answered(),
               story.world().fingerprint());
  }
  return failure.empty();
}

struct Options {
  uint64_t from = 1, count = 1000;
  double seconds = 0;
  bool one = false, twice = false, stop_at_first = false;
};

Options parse(int count, char** arguments) {
  Options options;
  for (int i = 1; i < count; ++i) {
    const auto is = [&](const char* name) { return std::strcmp(arguments[i], name) == 0; };
    const char* value = i + 1 < count ? arguments[i + 1] : "0";
    if (is("--first")) {
      options.stop_at_first = true;
      continue;
    }
    if (is("--twice")) {
      options.twice = true;
      continue;
    }
    if (is("--seed")) {
      options.one = true;
      options.from = std::strtoull(value, nullptr, 10);
      options.count = 1;
    } else if (is("--from")) {
      options.from = std::strtoull(value, nullptr, 10);
    } else if (is("--count")) {
      options.count = std::strtoull(value, nullptr, 10);
    } else if (is("--seconds")) {
      options.seconds = std::strtod(value, nullptr);
    } else {
      fmt::print(
          stderr,
          "usage: sim [--seed N | [--from N] [--count N | --seconds S] [--first] [--twice]]\n");
      std::exit(2);
    }
    ++i;
  }
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  const Options options = parse(count, arguments);
  report_crashes();
  headgate::redirect_log(log_into_notes);
  const auto start = std::chrono::steady_clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  uint64_t done = 0, failed = 0;
  while (options.seconds > 0 ? elapsed() < options.seconds : done < options.count) {
    failed += !run_seed(options.from + done, options.one, options.twice);
    ++done;
    if (failed > 0 && options.stop_at_first) break;
  }
  fmt::print("{} seeds from {}, {} failures, {:.1f} s\n", done, options.from, failed, elapsed());
  return failed == 0 ? 0 : 1;
}
