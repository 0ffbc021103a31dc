// Runs a fuzz target over the files of its corpus, without a fuzzer: a test like any other. The
// folder, or a file, is given in HEADGATE_CORPUS. A file that breaks the target is the last one
// named.
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <vector>

#include "tests/fuzz/input.h"

namespace fs = std::filesystem;

namespace {

std::set<fs::path> files_of(const fs::path& folder) {
  if (fs::is_regular_file(folder)) return {folder};
  std::set<fs::path> files;  // in a fixed order
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.insert(entry.path());
  }
  return files;
}

std::vector<char> read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("fuzz: what the target asserts holds for every input of its corpus") {
  const char* corpus = std::getenv("HEADGATE_CORPUS");
  REQUIRE(corpus != nullptr);
  const std::set<fs::path> files = files_of(corpus);
  for (const fs::path& file : files) {
    std::printf("%s\n", file.filename().c_str());
    std::fflush(stdout);  // the sanitizers end the program without doing so
    const std::vector<char> bytes = read_bytes(file);
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  CHECK(files.size() > 0);
  MESSAGE(files.size() << " inputs");
}
