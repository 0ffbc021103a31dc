#include "tests/sim/language_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

/// Reads a text from its beginning; what is not there spoils it for good.
struct Words {
  View rest;
  bool good = true;

  bool take(View words) {
    const bool there = rest.starts_with(words);
    if (there) rest.remove_prefix(words.size());
    return there;
  }
  void must(View words) { good &= take(words); }
  bool done() const { return good && rest.empty(); }

  // 'it''s', or $tag$it's$tag$
  std::string string() {
    std::string value;
    const size_t end = good ? end_of_string(rest) : 0;
    good &= end > 0;
    if (!good) return value;
    const View quoted = rest.substr(0, end);
    rest.remove_prefix(end);
    if (quoted[0] == '$') {
      const size_t tag = quoted.find('$', 1) + 1;
      return std::string(quoted.substr(tag, quoted.size() - 2 * tag));
    }
    for (size_t i = 1; i + 1 < quoted.size(); ++i) {
      value.push_back(quoted[i]);
      if (quoted[i] == '\'') ++i;
    }
    return value;
  }

  // app.x, or "app"."x"
  std::string name() {
    std::string value;
    const auto is_part = [](char c) {
      return std::isalpha(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '"';
    };
    while (!rest.empty() && is_part(rest[0])) {
      if (rest[0] != '"') value.push_back(static_cast<char>(std::tolower(rest[0])));
      rest.remove_prefix(1);
    }
    good &= !value.empty();
    return value;
  }

  // q1, or "q1"
  std::string statement() {
    const bool quoted = take("\"");
    std::string value;
    while (!rest.empty() && (std::isalnum(static_cast<unsigned char>(rest[0])) || rest[0] == '_')) {
      value.push_back(quoted ? rest[0] : static_cast<char>(std::tolower(rest[0])));
      rest.remove_prefix(1);
    }
    if (quoted) must("\"");
    good &= !value.empty();
    return value;
  }

  // The length of the string that the text begins with; 0: it begins with none.
  static size_t end_of_string(View text) {
    if (text.starts_with('$')) {
      const size_t tag = text.find('$', 1);
      if (tag == text.npos) return 0;
      const size_t end = text.find(text.substr(0, tag + 1), tag + 1);
      return end == text.npos ? 0 : end + tag + 1;
    }
    if (!text.starts_with('\'')) return 0;
    for (size_t i = 1; i < text.size(); ++i) {
      if (text[i] != '\'') continue;
      if (text.substr(i + 1, 1) != "'") return i + 1;
      ++i;
    }
    return 0;
  }
};

std::string quoted(View value) {
  std::string text = "'";
  for (const char c : value) {
    text.push_back(c);
    if (c == '\'') text.push_back(c);
  }
  return text + "'";
}

// "app"."x"
std::string quoted_name(View name) {
  std::string text = "\"";
  for (const char c : name) c == '.' ? void(text += "\".\"") : text.push_back(c);
  return text + "\"";
}

std::string assign_sql(const Statement& statement) {
  const std::string value = quoted(statement.value);
  const bool is_role = statement.name == "role";
  switch (statement.spelling) {
    case 0:
      return is_role ? "SET ROLE " + value : fmt::format("SET {} = {}", statement.name, value);
    case 1:
      return is_role ? "SET SESSION ROLE " + value
                     : fmt::format("SET SESSION {} TO {}", statement.name, value);
    case 2:
      return fmt::format("SELECT set_config('{}', {}, false)", statement.name, value);
    default:
      return fmt::format("set {}={}", quoted_name(statement.name), value);
  }
}

std::string reset_sql(const Statement& statement) {
  const std::string& name = statement.name;
  switch (statement.spelling) {
    case 0:
      return "RESET " + name;
    case 1:
      return fmt::format("SET {} TO DEFAULT", name);
    case 2:
      return fmt::format("SET SESSION {} = DEFAULT", name);
    default:
      return "reset " + quoted_name(name);
  }
}

std::string prepare_sql(const Statement& statement) {
  const std::string value = quoted(statement.value);
  switch (statement.spelling) {
    case 0:
      return fmt::format("PREPARE \"{}\" AS VALUES ({})", statement.name, value);
    case 1:
      return fmt::format("prepare {} as values ({})", statement.name, value);
    default:
      return fmt::format("PREPARE {} AS VALUES ({})", statement.name, value);
  }
}

std::optional<Statement> parse_prepare(Words in) {
  Statement statement{.kind = Kind::prepare};
  statement.name = in.statement();
  if (!in.take(" as values (")) in.must(" AS VALUES (");
  statement.value = in.string();
  in.must(")");
  return in.done() ? std::optional(statement) : std::nullopt;
}

std::string deallocate_sql(const Statement& statement) {
  switch (statement.spelling) {
    case 0:
      return fmt::format("DEALLOCATE \"{}\"", statement.name);
    case 1:
      return fmt::format("deallocate prepare {}", statement.name);
    default:
      return "DEALLOCATE " + statement.name;
  }
}

// What is done to a statement by its name alone.
std::optional<Statement> parse_by_name(Kind kind, Words in) {
  in.take("prepare ");
  Statement statement{.kind = kind};
  statement.name = in.statement();
  statement.rows = kind == Kind::run_made ? 1 : 0;
  return in.done() ? std::optional(statement) : std::nullopt;
}

std::optional<Statement> parse_set_config(Words in) {
  Statement statement{.kind = Kind::assign, .rows = 1, .spelling = 2};
  statement.name = in.string();
  in.must(",");
  in.take(" ");
  statement.value = in.string();
  in.must(",");
  in.take(" ");
  if (in.take("true")) {
    statement.kind = Kind::assign_local;
  } else {
    in.must("false");
  }
  in.must(")");
  return in.done() ? std::optional(statement) : std::nullopt;
}

std::optional<Statement> parse_set(Words in) {
  Statement statement{.kind = Kind::assign};
  if (in.take("LOCAL ")) statement.kind = Kind::assign_local;
  in.take("SESSION ");
  statement.name = in.name();
  if (!in.take(" TO ") && !in.take(" = ") && !in.take("=") && statement.name == "role") {
    in.must(" ");
  }
  if (in.take("DEFAULT")) {
    statement.kind = Kind::reset;
  } else {
    statement.value = in.string();
  }
  // A list in one string is one name for SET.
  const bool list = statement.name == "search_path" && statement.value.find(',') != View::npos;
  if (list) statement.value = "\"" + statement.value + "\"";
  return in.done() ? std::optional(statement) : std::nullopt;
}

std::optional<Statement> parse_reset(Words in) {
  if (in.rest == "ALL") return Statement{.kind = Kind::reset_all};
  if (in.rest == "SESSION AUTHORIZATION") {
    return Statement{.kind = Kind::reset, .name = "session_authorization"};
  }
  Statement statement{.kind = Kind::reset};
  statement.name = in.name();
  return in.done() ? std::optional(statement) : std::nullopt;
}

constexpr View sources_question =
    "(SELECT pg_catalog.string_agg(pg_catalog.concat(CASE WHEN source OPERATOR(pg_catalog.=) "
    "'session' THEN '!' END,pg_catalog.lower(name)),',') FROM pg_catalog.pg_settings WHERE "
    "pg_catalog.lower(name) OPERATOR(pg_catalog.=) ANY(ARRAY[";
constexpr View sources_end =
    "]) AND (source OPERATOR(pg_catalog.<>) 'session' OR context OPERATOR(pg_catalog.=) "
    "ANY(ARRAY['superuser','superuser-backend']) AND NOT EXISTS(SELECT FROM "
    "pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) SESSION_USER AND rolsuper)))";
constexpr View channels_question =
    "(SELECT pg_catalog.string_agg(pg_catalog.concat('\"',pg_catalog.replace(c,'\"','\"\"'),"
    "'\"'),',') FROM (SELECT c FROM pg_catalog.pg_listening_channels() AS c LIMIT 101) AS "
    "channels)";
constexpr View timeouts_of_listener =
    "SELECT pg_catalog.set_config(name,'0',false) FROM pg_catalog.pg_settings WHERE name "
    "OPERATOR(pg_catalog.=) ANY(ARRAY['idle_session_timeout','statement_timeout',"
    "'transaction_timeout'])";
constexpr View statement_question =
    "(SELECT CASE WHEN pg_catalog.octet_length(statement) OPERATOR(pg_catalog.<) 16384 THEN "
    "statement ELSE '' END FROM pg_catalog.pg_prepared_statements WHERE name "
    "OPERATOR(pg_catalog.=) ";
constexpr View exists_question = "EXISTS(SELECT FROM pg_catalog.";

// The kind of thing that an EXISTS is about: its first table tells. All of it is taken, up to its
// closing parenthesis.
std::string take_exists(Words& in) {
  in.must(exists_question);
  std::string kind = in.rest.starts_with("pg_locks ")                 ? "lock"
                     : in.rest.starts_with("pg_prepared_statements ") ? "prepared"
                                                                      : "";
  for (const Thing& thing : things) {
    if (!thing.asked.empty() && in.rest.starts_with(thing.asked)) kind = thing.kind;
  }
  in.good &= !kind.empty();
  size_t end = 0;
  for (int open = 1; in.good && open > 0; ++end) {
    in.good &= end < in.rest.size();
    if (in.good && in.rest[end] == '(') ++open;
    if (in.good && in.rest[end] == ')') --open;
  }
  if (!in.good) return kind;
  Words others{in.rest.substr(0, end)};
  in.rest.remove_prefix(end);
  others.rest.remove_prefix(std::min(others.rest.find('['), others.rest.size()));
  for (char between = ':'; others.take("[") || others.take(","); between = ',') {
    kind += between + others.string();
  }
  return kind;
}

// How each is said, by its spelling.
constexpr struct {
  Kind kind;
  std::array<View, most_spellings> texts;
} transaction_sql[] = {
    {Kind::begin,
     {"BEGIN", "begin work", "START TRANSACTION",
      "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"}},
    {Kind::commit, {"COMMIT", "END", "commit work", "COMMIT TRANSACTION"}},
    {Kind::rollback, {"ROLLBACK WORK", "ABORT", "rollback transaction", "abort work"}}};

std::optional<Statement> parse_transaction(View text) {
  for (const auto& [kind, texts] : transaction_sql) {
    const auto found = std::ranges::find(texts, text);
    if (found == texts.end()) continue;
    return Statement{.kind = kind, .spelling = static_cast<int>(found - texts.begin())};
  }
  return std::nullopt;
}

constexpr Thing all_things[] = {
    {"temporary", "pg_depend ", "CREATE TEMP TABLE t{} (x int)", "DROP TABLE t{}", true},
    {"cursor", "pg_cursors ", "DECLARE k{} CURSOR WITH HOLD FOR VALUES (1)", "CLOSE k{}", true},
    {"listen", "", "LISTEN n{}", "UNLISTEN n{}", true},
    {"load", "", "LOAD 'library{}'", "", false}};

}  // namespace

const std::span<const Thing> things = all_things;

const Thing* find_thing(View kind) {
  const auto found = std::ranges::find(all_things, kind, &Thing::kind);
  return found == std::end(all_things) ? nullptr : found;
}

std::string session_sql(const Statement& statement) {
  switch (statement.kind) {
    case Kind::look:
      return "SELECT current_setting('app.x', true)";
    case Kind::assign:
      return assign_sql(statement);
    case Kind::assign_local:
      return statement.spelling % 2 == 0
                 ? fmt::format("SET LOCAL {} = {}", statement.name, quoted(statement.value))
                 : fmt::format("SELECT set_config('{}', {}, true)", statement.name,
                               quoted(statement.value));
    case Kind::reset:
      return reset_sql(statement);
    case Kind::reset_all:
      return "RESET ALL";
    case Kind::discard:
      return "DISCARD ALL";
    case Kind::prepare:
      return prepare_sql(statement);
    case Kind::run_made:
      return (statement.spelling % 2 == 0 ? "EXECUTE " : "execute ") + statement.name;
    case Kind::deallocate:
      return deallocate_sql(statement);
    case Kind::lock:
      return fmt::format("SELECT pg_{}advisory_lock({})", statement.spelling % 2 == 0 ? "" : "try_",
                         statement.client);
    case Kind::unlock:
      return statement.spelling % 2 == 0
                 ? fmt::format("SELECT pg_advisory_unlock({})", statement.client)
                 : "SELECT pg_advisory_unlock_all()";
    case Kind::make:
    case Kind::unmake: {
      const Thing* thing = find_thing(statement.name);
      const View text = statement.kind == Kind::make ? thing->makes : thing->unmakes;
      return fmt::format(fmt::runtime(text), statement.client);
    }
    case Kind::begin:
    case Kind::commit:
    case Kind::rollback:
      for (const auto& [kind, texts] : transaction_sql) {
        if (kind == statement.kind) {
          return std::string(texts[static_cast<size_t>(statement.spelling)]);
        }
      }
      return "";
    case Kind::secret:
      return "SELECT app_login()" + std::string(static_cast<size_t>(statement.size), ' ');
    default:
      return "";
  }
}

std::optional<Statement> parse_session_sql(View text) {
  Words in{text};
  if (in.take("SET ") || in.take("set ")) return parse_set(in);
  if (in.take("RESET ") || in.take("reset ")) return parse_reset(in);
  if (in.take("SELECT set_config(") || in.take("SELECT pg_catalog.set_config(")) {
    return parse_set_config(in);
  }
  if (in.take("PREPARE ") || in.take("prepare ")) return parse_prepare(in);
  if (in.take("EXECUTE ") || in.take("execute ")) return parse_by_name(Kind::run_made, in);
  if (in.take("DEALLOCATE ") || in.take("deallocate ")) return parse_by_name(Kind::deallocate, in);
  if (text == "DISCARD ALL") return Statement{.kind = Kind::discard};
  if (text == "SELECT current_setting('app.x', true)") return Statement{.kind = Kind::look};
  if (text == "SELECT pg_advisory_unlock_all()") {
    return Statement{.kind = Kind::unlock, .spelling = 1};
  }
  if (text.starts_with("SELECT pg_advisory_unlock(")) return Statement{.kind = Kind::unlock};
  if (text.starts_with("SELECT pg_advisory_lock(") ||
      text.starts_with("SELECT pg_try_advisory_lock(")) {
    return Statement{.kind = Kind::lock};
  }
  return parse_transaction(text);
}

std::optional<Statement> parse_question(View text) {
  Words in{text};
  Statement question{.kind = Kind::question, .rows = 1};
  in.must("SELECT ");
  do {
    if (in.take("pg_catalog.current_setting(")) {
      question.columns.push_back("=" + in.string());
      in.must(",true)");
    } else if (in.take(statement_question)) {
      question.columns.push_back("@" + in.string());
      in.must(")");
    } else if (in.take(sources_question)) {
      question.columns.push_back("?" + in.string());
      while (in.take(",")) question.columns.back() += "," + in.string();
      in.must(sources_end);
    } else if (in.take(channels_question)) {
      question.columns.emplace_back("&");
    } else {
      question.columns.push_back("!" + take_exists(in));
    }
  } while (in.good && in.take(","));
  return in.done() ? std::optional(question) : std::nullopt;
}

std::optional<Statement> parse_audit(View text) {
  if (text.starts_with("SELECT 's','statement_timeout',")) return Statement{.kind = Kind::check};
  if (!text.starts_with("WITH g AS (")) return std::nullopt;
  Statement audit{.kind = Kind::audit, .rows = 1};
  Words in{text.substr(text.find("unnest(ARRAY[") + View("unnest(ARRAY[").size())};
  while (in.good && !in.take("]")) {
    audit.columns.push_back(in.string());
    in.take(",");
  }
  return in.good ? std::optional(audit) : std::nullopt;
}

std::optional<Statement> parse_crossing(View text) {
  Words in{text};
  Statement statement{.kind = in.take("NOTIFY ") ? Kind::cross : Kind::meet};
  if (statement.kind == Kind::meet) in.must("LISTEN ");
  in.must("\"headgate_");
  const size_t end = in.rest.find('"');
  if (!in.good || end == View::npos) return std::nullopt;
  statement.name = "headgate_" + std::string(in.rest.substr(0, end));
  in.rest.remove_prefix(end + 1);
  if (statement.kind == Kind::cross) {
    in.must(",");
    statement.value = in.string();
  }
  return in.done() ? std::optional(statement) : std::nullopt;
}

std::optional<Statement> parse_listening(View text) {
  if (text == timeouts_of_listener) return Statement{.kind = Kind::check};
  if (text == "UNLISTEN *") return Statement{.kind = Kind::unhear};
  if (auto own = parse_crossing(text)) return own;
  Words in{text};
  Statement statement{.kind = in.take("UNLISTEN ") ? Kind::unhear : Kind::hear};
  if (statement.kind == Kind::hear) in.must("LISTEN ");
  in.must("\"n");
  const auto number =
      std::from_chars(in.rest.data(), in.rest.data() + in.rest.size(), statement.size);
  if (!in.good || number.ec != std::errc()) return std::nullopt;
  in.rest.remove_prefix(static_cast<size_t>(number.ptr - in.rest.data()));
  in.must("\"");
  return in.done() ? std::optional(statement) : std::nullopt;
}

bool is_of_headgate(Kind kind) {
  return kind == Kind::assign || kind == Kind::reset || kind == Kind::discard ||
         kind == Kind::prepare || kind == Kind::deallocate;
}

size_t end_of_statement(View text) {
  size_t at = 0;
  while (at < text.size() && text[at] != ';') {
    const size_t string = Words::end_of_string(text.substr(at));
    at += std::max(string, size_t{1});
  }
  return at;
}

}  // namespace headgate::sim
