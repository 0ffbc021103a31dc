#include "conf/lists.h"

#include <algorithm>

#include "conf/ini.h"

namespace headgate {
namespace {

/// Takes the text up to one of `separators` away, and the separator with it.
View take_part(View& list, View separators) {
  const View part = list.substr(0, list.find_first_of(separators));
  list.remove_prefix(std::min(part.size() + 1, list.size()));
  return part;
}

}  // namespace

bool list_contains(View list, View name) {
  if (name.empty()) return false;
  while (!list.empty()) {
    if (take_part(list, ", \t\r\n\v\f") == name) return true;
  }
  return false;
}

std::vector<std::string> split_at_commas(View list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const View part = trimmed(take_part(list, ","));
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

int weight_of(View name, View names, std::span<const int> weights) {
  const auto all = split_at_commas(names);
  for (size_t i = 0; i < std::min(all.size(), weights.size()); ++i) {
    if (all[i] == name) return weights[i];
  }
  return 1;
}

}  // namespace headgate
