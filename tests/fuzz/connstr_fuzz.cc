// Connection strings: the pairs, written with every value in quotes, are read the same.
//
// Input: the string.
#include "conf/connstr.h"

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

std::string written(const std::vector<KeyValue>& pairs) {
  std::string text;
  for (const auto& [key, value] : pairs) {
    text += key + " = '";
    for (const char c : value) text.append(c == '\'' ? 2 : 1, c);
    text += "' ";
  }
  return text + "# a comment";
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::Exact text({reinterpret_cast<const char*>(data), size});
  std::vector<std::string> warnings;
  const auto pairs = parse_connection_string(text.view(), warnings);
  if (!pairs) {
    MUST(pairs.error().code == ErrorCode::config);
    return 0;
  }
  warnings.clear();
  const auto again = parse_connection_string(fuzz::written(*pairs), warnings);
  MUST(again.ok() && again->size() == pairs->size() && warnings.empty());
  for (size_t i = 0; i < pairs->size(); ++i) {
    MUST(!(*pairs)[i].key.empty() && !(*pairs)[i].value.empty());
    MUST((*again)[i].key == (*pairs)[i].key && (*again)[i].value == (*pairs)[i].value);
  }
  return 0;
}
