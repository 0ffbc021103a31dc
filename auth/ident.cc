#include "auth/ident.h"

#include <algorithm>

namespace headgate {

namespace {

constexpr View columns[] = {"the name of a map", "a system name", "a user name"};

// What is wrong with a line, or an empty text.
std::string check_columns(const std::vector<LineToken>& tokens) {
  for (size_t i = 0; i < std::size(columns); ++i) {
    const LineToken* token = i < tokens.size() ? &tokens[i] : nullptr;
    if (!token || token->is_comma || token->text.empty()) {
      return expected_instead(columns[i], token);
    }
  }
  if (tokens.size() > std::size(columns)) {
    return expected_instead("the end of the line", &tokens[std::size(columns)]);
  }
  return {};
}

}  // namespace

IdentMaps IdentMaps::parse(View text, const std::string& file, std::vector<LineProblem>& problems) {
  IdentMaps maps;
  for_each_line(text, [&](size_t number, View line) {
    const auto tokens = tokens_of_line(line);
    if (tokens && tokens->empty()) return;
    std::string problem = tokens ? check_columns(*tokens) : tokens.error().message;
    if (!problem.empty()) return problems.push_back({file, number, std::move(problem)});
    const LineToken& user = (*tokens)[2];
    maps.maps_[(*tokens)[0].text].push_back({(*tokens)[1].text, user.text, user.is_word("all")});
  });
  return maps;
}

bool IdentMaps::allows(View map, View system_name, View user) const {
  const auto found = maps_.find(map);
  if (found == maps_.end()) return false;
  return std::any_of(found->second.begin(), found->second.end(), [&](const Pair& pair) {
    return pair.system_name == system_name && (pair.everybody || pair.user == user);
  });
}

}  // namespace headgate
