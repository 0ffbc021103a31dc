// Interned texts: one text is one object as long as anybody holds it, and means what it meant.
//
// Input: texts behind their lengths.
#include <map>

#include "proxy/parameters.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  std::map<std::string, Text, std::less<>> held;
  for (size_t count = 0; !input.empty(); ++count) {
    const fuzz::Exact text(input.piece());
    const Text made = intern(text.view());
    MUST(*made == text.view());
    const auto known = held.find(text.view());
    if (known != held.end()) MUST(known->second == made);
    if (count % 3 != 0) held.emplace(*made, made);  // the others are let go
  }
  for (const auto& [text, made] : held) MUST(*made == text && intern(text) == made);
  return 0;
}
