// What a text may leave in its session: the quick look misses nothing, the marks keep to their
// limits, what one statement leaves is left by the text that it is a part of, and the time is in
// proportion to the length.
//
// Input: a byte whose lowest bit is standard_conforming_strings, the text.
#include <algorithm>
#include <chrono>

#include "protocol/session_marks.h"
#include "protocol/sql.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

void check_names(const SessionMarks& marks) {
  MUST(marks.settings.size() <= 200 && marks.named_by.size() <= 200);
  for (const std::string& name : marks.settings) {
    MUST(lower_case(name) == name);
    MUST(std::count(marks.settings.begin(), marks.settings.end(), name) == 1);
  }
  for (const std::string& name : marks.settings_reset) {
    MUST(contains(marks.settings, name));
    MUST(std::count(marks.settings_reset.begin(), marks.settings_reset.end(), name) == 1);
  }
  for (const uint16_t number : marks.named_by) MUST(number > 0);
  MUST(marks.statements.size() <= 200);
  for (const std::string& name : marks.statements) {
    MUST(!name.empty() && name.size() <= 63);
    MUST(std::count(marks.statements.begin(), marks.statements.end(), name) == 1);
  }
  MUST(!marks.only_prepares || !marks.only_deallocates);
  if (marks.only_prepares || marks.only_deallocates) MUST(marks.statements.size() == 1);
}

void check_part(const SessionMarks& whole, const SessionMarks& part) {
  if (whole.begins.has(Pin::setting)) return;  // a limit may have been met
  for (const std::string& name : part.settings) MUST(contains(whole.settings, name));
  for (const std::string& name : part.statements) MUST(contains(whole.statements, name));
  MUST(whole.begins.common(part.begins) == part.begins);
  MUST(whole.ends.common(part.ends) == part.ends);
  MUST(whole.discards || !part.discards);
  MUST(whole.every_setting || !part.every_setting);
  MUST(whole.opaque || !part.opaque);
}

void check_text(View sql, bool standard_strings) {
  const SessionMarks marks = session_marks(sql, standard_strings);
  MUST(may_have_marks(sql) || !marks.any());
  check_names(marks);
  Statements statements(sql, standard_strings);
  while (const auto statement = statements.next()) {
    // Read the other way a text with a backslash has other statements.
    if (statement->broken || sql.find('\\') != View::npos) continue;
    check_part(marks, session_marks(statement->text, standard_strings));
  }
}

// Thousand times the text: ten seconds of libFuzzer's patience would be too many.
void check_time(View sql, bool standard_strings) {
  if (sql.empty() || sql.size() > 64) return;
  std::string many;
  while (many.size() < 64 * size_t{1024}) many += sql;
  const auto start = std::chrono::steady_clock::now();
  session_marks(many, standard_strings);
  MUST(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::FuzzInput input(data, size);
  const uint8_t how = input.byte();
  const headgate::fuzz::Exact text(input.rest());
  headgate::fuzz::check_text(text.view(), (how & 1) != 0);
  if (how == 0xff) headgate::fuzz::check_time(text.view(), (how & 1) != 0);
  return 0;
}
