#include "protocol/user_functions.h"

#include <algorithm>

namespace headgate {

// Of an aggregate its parts are asked, whose own volatility the catalog does not tell. In order, or
// another plan of the query would make other functions of the same ones.
View UserFunctions::question() {
  return "SELECT n.nspname, p.proname, pg_catalog.bool_and(p.provolatile <> 'v' AND p.prokind <> "
         "'p' "
         "AND coalesce(t.provolatile, 'i') <> 'v' AND coalesce(f.provolatile, 'i') <> 'v') "
         "FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
         "LEFT JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = p.oid "
         "LEFT JOIN pg_catalog.pg_proc t ON t.oid = a.aggtransfn "
         "LEFT JOIN pg_catalog.pg_proc f ON f.oid = a.aggfinalfn "
         "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') GROUP BY 1, 2 ORDER BY 1, 2 "
         "LIMIT 50001";
}

void UserFunctions::add(View schema, View name, bool reads) {
  ++size_;
  by_name_[std::string(name)].push_back({std::string(schema), reads});
}

std::optional<bool> UserFunctions::reads(std::optional<View> schema, View name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return std::nullopt;
  std::optional<bool> all;
  for (const Function& function : found->second) {
    if (schema && function.schema != *schema) continue;
    all = all.value_or(true) && function.reads;
  }
  return all;
}

}  // namespace headgate
