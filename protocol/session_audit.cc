#include "protocol/session_audit.h"

#include <algorithm>
#include <iterator>

#include "protocol/session_marks.h"
#include "protocol/session_sql.h"

namespace headgate {

namespace {

constexpr View setting = "setting", prepared = "prepared statement", the_look = "look";

/// The letters of kinds in answers.
struct KindRow {
  View letter, kind;
  Pin pin;  // the kind of state that it is
};
constexpr KindRow kind_rows[] = {
    {"s", setting, Pin::setting},
    {"p", prepared, Pin::prepared},
    {"c", "channel", Pin::listen},
    {"l", "advisory lock", Pin::advisory_lock},
    {"t", "temporary object", Pin::temporary},
    {"h", "cursor", Pin::cursor},
};

template <View KindRow::*member>
const KindRow* row_with(View text) {
  const auto found =
      std::ranges::find_if(kind_rows, [&](const KindRow& row) { return row.*member == text; });
  return found == std::end(kind_rows) ? nullptr : &*found;
}

// What it was is told; behind this nothing is struck by it.
constexpr View stop_of_clock =
    "SELECT 's','statement_timeout',pg_catalog.current_setting('statement_timeout'),"
    "pg_catalog.set_config('statement_timeout','0',true);";

constexpr View of_settings =
    "WITH g AS (SELECT name,source FROM pg_catalog.pg_settings) SELECT 's',pg_catalog.lower(name),"
    "pg_catalog.current_setting(name) FROM g WHERE source OPERATOR(pg_catalog.=) 'session' ";

constexpr View is_custom =
    "pg_catalog.strpos(n,'.') OPERATOR(pg_catalog.>) 0 AND NOT EXISTS(SELECT FROM g WHERE "
    "pg_catalog.lower(g.name) OPERATOR(pg_catalog.=) n)";

// Where functions and policies read or set a setting, by its name. (Languages 12 and 13: internal
// and C; numbers from 16384 on are no part of PostgreSQL.)
constexpr View named_in_catalogs =
    "(SELECT DISTINCT pg_catalog.lower(coalesce(m[1],m[2])) AS n FROM (SELECT prosrc FROM "
    "pg_catalog.pg_proc WHERE oid OPERATOR(pg_catalog.>=) 16384 AND prolang OPERATOR(pg_catalog.<>)"
    " ALL(ARRAY[12,13]::pg_catalog.oid[]) UNION ALL SELECT pg_catalog.pg_get_expr(polqual,polrelid)"
    " FROM pg_catalog.pg_policy UNION ALL SELECT pg_catalog.pg_get_expr(polwithcheck,polrelid) "
    "FROM pg_catalog.pg_policy) AS texts(t),pg_catalog.regexp_matches(t,$h$"
    R"((?:set_config|current_setting)\s*\(\s*'([\w.]+)'|\mset\s+(?:local\s+|session\s+)?)"
    R"((\w+\.\w+)\s*(?:=|to\M))"
    "$h$,'gi') AS m LIMIT 200)";

constexpr View of_catalogs =
    " UNION ALL SELECT 's','role',pg_catalog.current_setting('role')"
    " UNION ALL SELECT 's','session_authorization',SESSION_USER::pg_catalog.text"
    " UNION ALL SELECT 'p',name,'' FROM pg_catalog.pg_prepared_statements"
    " UNION ALL SELECT 'c',c,'' FROM pg_catalog.pg_listening_channels() AS c"
    " UNION ALL SELECT 'l',pg_catalog.concat_ws(' ',classid,objid,objsubid),mode FROM "
    "pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid "
    "OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"
    " UNION ALL SELECT 't',pg_catalog.pg_describe_object(classid,objid,objsubid),'' FROM "
    "pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615 AND refobjid "
    "OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"
    " UNION ALL SELECT 'h',name,'' FROM pg_catalog.pg_cursors WHERE is_holdable";

/// It is about the transaction that the look takes place in.
bool is_of_transaction(View name) {
  return name == "transaction_deferrable" || name == "transaction_isolation" ||
         name == "transaction_read_only";
}

/// As the server tells a setting that nobody has set.
bool is_unset(View name, View value) {
  if (name == "role") return value == "none";
  if (name == "statement_timeout") return value == "0";
  return value.empty() && name.find('.') != View::npos;
}

std::string list_of(const auto& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ",") + quote_dollar(name);
  return "pg_catalog.unnest(ARRAY[" + list + "]::pg_catalog.text[]) AS n";
}

SettingNames names_of(const SettingValues& values) {
  SettingNames names;
  for (const auto& [name, value] : values) names.insert(name);
  return names;
}

}  // namespace

std::string to_text(const AuditDifference& difference) {
  const auto& [kind, name, expected, found] = difference;
  if (kind == the_look) return "the server cannot be looked at: " + found.value_or("");
  std::string text = std::string(kind) + " \"" + name + '"';
  const bool has_value = kind == setting;
  if (!found) return text + " is not there";
  text += has_value ? " is \"" + *found + '"' : " is there";
  if (!expected) return text + (has_value ? ", and no client of this moment has set it" : "");
  return text + " and not \"" + *expected + '"';
}

// --- what clients say

void SessionAudit::heard(View sql) {
  if (texts_.size() == kept_texts) texts_.pop_front();
  texts_.emplace_back(sql.substr(0, kept_bytes));
  if (!may_have_marks(sql)) return;
  const SessionMarks marks = session_marks(sql);
  for (const std::string& name : marks.settings) name_setting(name);
}

void SessionAudit::name_setting(View name) {
  if (name.find('.') != View::npos && names_.size() < max_names) names_.emplace(name);
}

std::string SessionAudit::texts() const {
  std::string all;
  for (const std::string& text : texts_) all += (all.empty() ? "" : " | ") + text;
  return all;
}

// --- the look

std::string SessionAudit::question(const Belief& belief, View first) {
  found_.clear();
  failure_.clear();
  rows_ = bytes_ = 0;
  for (const auto& [name, value] : belief.settings) name_setting(name);
  std::string sql(first);
  sql.append(stop_of_clock).append(of_settings);
  std::string select = "UNION ALL SELECT 's',n,pg_catalog.current_setting(n,true) FROM ";
  sql += select + list_of(names_of(belief.settings));
  sql += " " + select + list_of(names_) + " WHERE ";
  sql.append(is_custom).append(" ").append(select).append(named_in_catalogs);
  sql.append(" AS named WHERE ").append(is_custom);
  return sql.append(of_catalogs);
}

void SessionAudit::row(const std::vector<std::optional<View>>& cells) {
  if (cells.size() < 3 || !cells[0] || !cells[1] || !cells[2]) return;
  const KindRow* kind = row_with<&KindRow::letter>(*cells[0]);
  bytes_ += cells[1]->size() + cells[2]->size();
  if (!kind || ++rows_ > max_rows || bytes_ > max_bytes) {
    failure_ = "its answer is too long, or none";
    return;
  }
  if (kind->kind == setting && is_of_transaction(*cells[1])) return;
  // The first tells: for statement_timeout, what it was before it was stopped.
  const bool unset = kind->kind == setting && is_unset(*cells[1], *cells[2]);
  found_.try_emplace({kind->kind, std::string(*cells[1])},
                     unset ? std::nullopt : std::optional<std::string>(*cells[2]));
}

SessionAudit::Things SessionAudit::must_have(const Belief& belief) {
  Things all;
  for (const auto& [name, value] : belief.settings) {
    all[{setting, name}] = is_unset(name, value) ? std::nullopt : std::optional(value);
  }
  for (const auto& [name, text] : belief.made) all[{prepared, name}] = "";
  for (const std::string& name : belief.prepared) all[{prepared, name}] = "";
  return all;
}

std::vector<AuditDifference> SessionAudit::compare(const Belief& belief) const {
  if (!failure_.empty()) return {{the_look, "", std::nullopt, failure_}};
  const Things must = must_have(belief);
  Things may = must;
  for (const auto& [name, value] : belief.reported)
    may.try_emplace({setting, lower_case(name)}, value);
  may.insert(own_.begin(), own_.end());
  std::vector<AuditDifference> differences;
  const auto look_at = [&](const Key& key) {
    const auto& [kind, name] = key;
    const bool is_setting = kind == setting;
    if (belief.ignored.has(row_with<&KindRow::kind>(kind)->pin)) return;
    if (is_setting && belief.unknown.contains(name)) return;
    const auto value_in = [&](const Things& things) {
      const auto place = things.find(key);
      return place == things.end() ? std::nullopt : place->second;
    };
    const auto expected = value_in(may), found = value_in(found_);
    const bool may_differ = expected && found && is_setting && belief.in_other_words.contains(name);
    if (expected != found && !may_differ) differences.push_back({kind, name, expected, found});
  };
  for (const auto& [key, value] : found_) look_at(key);
  for (const auto& [key, value] : must) {
    if (!found_.contains(key)) look_at(key);
  }
  return differences;
}

std::vector<AuditDifference> SessionAudit::confirm(std::vector<AuditDifference> before,
                                                   const Belief& belief) {
  const auto after = compare(belief);
  const auto is_still_there = [&](const AuditDifference& one) {
    return one.kind != the_look && one.found && std::ranges::any_of(after, [&](const auto& other) {
             return other.kind == one.kind && other.name == one.name && other.found == one.found;
           });
  };
  std::erase_if(before, is_still_there);
  believe(after);
  return before;
}

void SessionAudit::believe(const std::vector<AuditDifference>& told) {
  for (const auto& [kind, name, expected, found] : told) {
    if (kind == the_look) continue;
    if (found) {
      own_[{kind, name}] = found;
    } else {
      own_.erase({kind, name});
    }
  }
}

}  // namespace headgate
