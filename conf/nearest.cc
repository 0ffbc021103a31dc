#include "conf/nearest.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace headgate {
namespace {

constexpr size_t longest_name = 64;
using Row = std::array<size_t, longest_name + 1>;

bool same(char a, char b) {
  return std::tolower(static_cast<unsigned char>(a)) == std::tolower(static_cast<unsigned char>(b));
}

/// The number of edits between two names (optimal string alignment); both fit into a Row.
size_t edits(View a, View b) {
  Row two_above{}, above{}, row{};
  for (size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = above[j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]);
      if (swapped) row[j] = std::min(row[j], two_above[j - 2] + 1);
    }
    two_above = above;
    above = row;
  }
  return above[b.size()];
}

}  // namespace

View nearest_name(View name, std::span<const View> candidates) {
  if (name.size() > longest_name) return {};
  View nearest;
  size_t fewest = std::max<size_t>(1, name.size() / 3) + 1;
  for (View candidate : candidates) {
    if (candidate.size() > longest_name) continue;
    const size_t distance = edits(name, candidate);
    if (distance < fewest) {
      fewest = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string did_you_mean(View name, std::span<const View> candidates) {
  const View nearest = nearest_name(name, candidates);
  if (nearest.empty()) return {};
  return "did you mean " + std::string(nearest) + "?";
}

}  // namespace headgate
