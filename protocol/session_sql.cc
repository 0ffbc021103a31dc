#include "protocol/session_sql.h"

#include <algorithm>
#include <iterator>

#include "protocol/session_marks.h"

namespace headgate {

namespace {

/// Settings whose values are lists of names, which SET would take for one name (PostgreSQL:
/// GUC_LIST_QUOTE).
bool is_list_of_names(View name) {
  constexpr View lists[] = {"local_preload_libraries",   "search_path",
                            "session_preload_libraries", "shared_preload_libraries",
                            "temp_tablespaces",          "unix_socket_directories"};
  return std::ranges::find(lists, name) != std::end(lists);
}

std::string set_config(View name, const std::string& value) {
  return "SELECT pg_catalog.set_config(" + quote_dollar(name) + "," + value + ",false);";
}

}  // namespace

// --- quoting

// A tag that does not begin in the text: it has more h than any dollar there is followed by. That
// the text may end with a dollar of its own does no harm: what closes a string is the whole tag.
std::string quote_dollar(View text) {
  size_t most = 0;
  for (size_t at = text.find('$'); at != View::npos; at = text.find('$', at + 1)) {
    const size_t end = std::min(text.find_first_not_of('h', at + 1), text.size());
    most = std::max(most, end - at - 1);
  }
  const std::string tag = "$" + std::string(most + 1, 'h') + "$";
  std::string quoted;
  quoted.reserve(text.size() + 2 * tag.size());
  return quoted.append(tag).append(text).append(tag);
}

std::string quote_setting(View name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '.') {
      quoted += "\".\"";
      continue;
    }
    if (c == '"') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '"';
}

// --- settings

std::string set_to(View name, View value) {
  if (is_list_of_names(name) || has_long_part(name)) return set_config(name, quote_dollar(value));
  return "SET " + quote_setting(name) + "=" + quote_dollar(value) + ";";
}

std::string reset_to_default(View name) {
  return has_long_part(name) ? set_config(name, "NULL") : "RESET " + quote_setting(name) + ";";
}

std::string no_time_limit_sql() { return set_to("statement_timeout", "0"); }

}  // namespace headgate
