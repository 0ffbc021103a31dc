// What others choose and /metrics tells: names as the values of labels. Whatever the bytes, a value
// is UTF-8, leads back to the name, and ends where it is said to end. Beside that, what a peer says
// in the headers of HTTP.
//
// Input: a name, an Accept header and an Authorization header, each behind its length of two bytes.
#include "admin/basic_auth.h"
#include "admin/metrics_text.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr View replacement = "\xEF\xBF\xBD";

int digit(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

/// The name that a text of as_utf8() was made of.
Bytes name_of_text(View text) {
  Bytes name;
  while (!text.empty()) {
    if (!text.starts_with(replacement)) {
      name += text.front();
      text.remove_prefix(1);
      continue;
    }
    MUST(text.size() >= replacement.size() + 2);
    name += static_cast<char>(digit(text[3]) * 16 + digit(text[4]));
    text.remove_prefix(replacement.size() + 2);
  }
  return name;
}

/// What a reader of the format makes of `l="..."` (Prometheus, "Exposition formats").
Bytes value_of(View labels) {
  MUST(labels.starts_with("l=\"") && labels.size() >= 4);
  Bytes value;
  size_t at = 3;
  for (; labels.at(at) != '"'; ++at) {
    MUST(labels[at] != '\n');
    if (labels[at] != '\\') {
      value += labels[at];
      continue;
    }
    const char escaped = labels.at(++at);
    MUST(escaped == '\\' || escaped == '"' || escaped == 'n');
    value += escaped == 'n' ? '\n' : escaped;
  }
  MUST(at + 1 == labels.size());
  return value;
}

void check_name(View name) {
  const Bytes text = as_utf8(name);
  MUST(is_utf8(text));
  MUST(name_of_text(text) == name);
  MUST(value_of(Labels().add("l", name).text()) == text);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::FuzzInput input(data, size);
  headgate::fuzz::check_name(headgate::fuzz::Exact(input.piece()).view());
  const headgate::fuzz::Exact accept(input.piece());
  headgate::preferred_form(accept.view());
  const headgate::fuzz::Exact authorization(input.piece());
  MUST(!headgate::brings_password(authorization.view(), "nobody can know this password"));
  return 0;
}
