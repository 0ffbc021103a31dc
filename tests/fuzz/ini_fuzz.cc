// The ini form: what was read, written again in one file, is read the same.
//
// Input: the files (tests/fuzz/files.h).
#include "conf/ini.h"

#include <optional>

#include "tests/fuzz/files.h"

namespace headgate::fuzz {
namespace {

using Items = std::vector<IniItem>;
constexpr size_t most_items = 20'000;  // files that include themselves make many

std::optional<Error> read(const FileReader& reader, Items& items) {
  return read_ini("main", reader, [&](const IniItem& item) -> std::optional<Error> {
    items.push_back(item);
    if (items.size() < most_items) return std::nullopt;
    return Error(ErrorCode::config, "enough");
  });
}

std::string written(const Items& items) {
  std::string text;
  for (const IniItem& item : items) {
    text += item.opens_section ? "[" + item.section + "]\n"
                               : "'" + item.key + "' = " + item.value + " \n";
  }
  return text;
}

void check_item(const IniItem& item) {
  MUST(item.place.line >= 1 && !item.place.file.empty());
  MUST(item.opens_section == item.key.empty());
  MUST(!item.opens_section || item.value.empty());
  MUST(trimmed(item.value) == item.value);
  for (const View text : {View(item.section), View(item.key), View(item.value)}) {
    MUST(text.find_first_of(View("\n\0", 2)) == View::npos);
  }
  for (const View cut : {before_comment(item.value), before_lone_comment(item.value)}) {
    MUST(View(item.value).starts_with(cut) && trimmed(cut) == cut);
  }
  MUST(before_comment(before_comment(item.value)) == before_comment(item.value));
  MUST(before_comment(item.value).size() <= before_lone_comment(item.value).size());
}

void check_written(const Items& items) {
  const std::string text = written(items);
  Items again;
  const auto error = read([&](const std::string&) -> Result<std::string> { return text; }, again);
  MUST(!error && again.size() == items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    MUST(again[i].opens_section == items[i].opens_section);
    MUST(again[i].section == items[i].section);
    MUST(again[i].key == items[i].key && again[i].value == items[i].value);
  }
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate::fuzz;
  const FuzzFiles files(data, size);
  Items items;
  const auto error = read(files.reader(), items);
  for (const auto& item : items) check_item(item);
  if (!error) check_written(items);
  if (error) MUST(!error->message.empty());
  return 0;
}
