// Whether a text is a plain read: what it says of a text it says of the text with blanks, comments
// and semicolons around it, a text of plain reads only is one, what is found keeps to its limits,
// and the time is in proportion to the length.
//
// Input: a byte, the text. 0xff: time is taken.
#include "protocol/read_verdict.h"

#include <algorithm>
#include <chrono>

#include "protocol/sql.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

void check_functions(const ReadVerdict& verdict) {
  const std::vector<std::string>& names = verdict.unknown_functions;
  MUST(names.size() <= max_unknown_functions);
  for (const std::string& name : names) {
    MUST(!name.empty() && std::count(names.begin(), names.end(), name) == 1);
  }
  if (verdict.is_read()) MUST(names.empty());
  if (verdict.reason == NoRead::unknown_function) MUST(!names.empty());
  MUST(!to_text(verdict).empty());
}

void check_text(View sql) {
  const ReadVerdict verdict = read_verdict(sql);
  check_functions(verdict);
  if (sql.size() < max_judged_text - 10) {
    MUST(read_verdict("/**/; " + std::string(sql)) == verdict);
  }
  bool all_read = true;
  Statements statements(sql);
  while (const auto statement = statements.next()) {
    const ReadVerdict part = read_verdict(statement->text);
    check_functions(part);
    all_read = all_read && part.is_read();
  }
  if (verdict.is_read()) MUST(all_read && first_statement(sql).kind != StatementKind::empty);
}

// Thousand times the text, which is what libFuzzer's patience is long enough for.
void check_time(View sql) {
  if (sql.empty() || sql.size() > 64) return;
  std::string many;
  while (many.size() + sql.size() <= max_judged_text) many += sql;
  const auto start = std::chrono::steady_clock::now();
  read_verdict(many);
  MUST(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::FuzzInput input(data, size);
  const uint8_t how = input.byte();
  const headgate::fuzz::Exact text(input.rest());
  headgate::fuzz::check_text(text.view());
  if (how == 0xff) headgate::fuzz::check_time(text.view());
  return 0;
}
