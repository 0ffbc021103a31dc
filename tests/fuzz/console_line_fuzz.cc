// A line of the admin console: what was understood, written with every part in quotes, is
// understood in the same way.
//
// Input: the line.
#include "admin/console_line.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

std::string in_quotes(char quote, const std::string& text) {
  std::string quoted(1, quote);
  for (const char c : text) quoted.append(c == quote ? 2 : 1, c);
  return quoted + quote;
}

std::string written(const ConsoleLine& line) {
  std::string text = in_quotes('"', line.word) + " ";
  if (line.is_setting || !line.argument.empty()) text += in_quotes('"', line.argument);
  if (line.is_setting) text += " = " + in_quotes('\'', line.value) + " ;";
  if (line.is_explain) text += " " + in_quotes('\'', line.value) + " ;";
  return text;
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const headgate::fuzz::Exact query({reinterpret_cast<const char*>(data), size});
  const auto line = headgate::read_console_line(query.view());
  if (!line) return 0;
  MUST(line->word.size() + line->argument.size() + line->value.size() <= size);
  MUST(line->is_setting || line->is_explain || line->value.empty());
  const std::string text = headgate::fuzz::written(*line);
  const auto again = headgate::read_console_line(text);
  MUST(again && again->word == line->word && again->argument == line->argument);
  MUST(again->value == line->value && again->is_setting == line->is_setting);
  MUST(again->is_explain == line->is_explain);
  MUST(again->within_limits() == line->within_limits());
  return 0;
}
