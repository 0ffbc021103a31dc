#include "protocol/sql_names.h"

#include <algorithm>
#include <utility>

namespace headgate {

namespace {

// PostgreSQL's keywords that no function has as its name: "reserved" and "cannot be function or
// type name" in Appendix C of its documentation.
// clang-format off
constexpr View keywords[] = {
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "between",
    "bigint", "bit", "boolean", "both", "case", "cast", "char", "character", "check", "coalesce",
    "collate", "column", "constraint", "create", "current_catalog", "current_date", "current_role",
    "current_time", "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable",
    "desc", "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch",
    "float", "for", "foreign", "from", "grant", "greatest", "group", "grouping", "having", "in",
    "initially", "inout", "int", "integer", "intersect", "interval", "into", "lateral", "leading",
    "least", "limit", "localtime", "localtimestamp", "national", "nchar", "none", "normalize",
    "not", "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "overlay",
    "placing", "position", "precision", "primary", "real", "references", "returning", "row",
    "select", "session_user", "setof", "smallint", "some", "substring", "symmetric", "table",
    "then", "time", "timestamp", "to", "trailing", "treat", "trim", "true", "union", "unique",
    "user", "using", "values", "varchar", "variadic", "when", "where", "window", "with",
    "xmlattributes", "xmlconcat", "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces",
    "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable"};
// clang-format on
static_assert(std::ranges::is_sorted(keywords));

bool is_keyword(const Token& token) {
  return token.kind == TokenKind::word &&
         std::ranges::binary_search(keywords, CatalogName(token).text());
}

bool is_name(const Token& token) {
  return token.kind == TokenKind::word || token.kind == TokenKind::quoted_name;
}

/// Whether a value or a table may end with it, so that no function can begin behind it.
bool ends_operand(const Token& token) {
  switch (token.kind) {
    case TokenKind::word:
      return !is_keyword(token) && !token.is("by");
    case TokenKind::symbol:
      return token.is(')') || token.is(']');
    case TokenKind::op:
    case TokenKind::broken:
    case TokenKind::end:
      return false;
    default:
      return true;
  }
}

/// Words that are keywords with what stands in front of them, and may be functions elsewhere.
bool is_keyword_behind(const Token& in_front, const Token& token) {
  if (token.is("over") || token.is("filter")) return in_front.is(')');
  if (token.is("rollup") || token.is("cube")) return in_front.is("by");
  if (token.is("sets")) return in_front.is("grouping");
  if (token.is("materialized")) return in_front.is("not");
  if (token.is("by")) {
    return in_front.is("order") || in_front.is("group") || in_front.is("partition");
  }
  if (token.is("join") || token.is("like") || token.is("ilike") || token.is("overlaps")) {
    return ends_operand(in_front);
  }
  return false;
}

}  // namespace

std::optional<SqlName> SqlNames::next() {
  while (ahead_.kind != TokenKind::end) {
    const Token token = std::exchange(ahead_, scanner_.next());
    const bool names = is_name(token);
    const SqlName name = names ? take(token) : SqlName{};
    if (!names && !token.is('.')) path_ = token;
    last_ = token;
    if (names) return name;
  }
  return std::nullopt;
}

SqlName SqlNames::take(const Token& token) {
  SqlName name{.token = token, .schema = {}};
  if (last_.is('.')) {
    name.schema = path_;
    path_ = last_;  // a third part has no plain schema
  } else {
    in_front_ = last_;
    path_ = token;
  }
  name.is_call = ahead_.is('(') && is_call(name);
  return name;
}

// Not called: types (CAST(1 AS numeric(3)), 1::numeric(3)), and tables that are given names for
// their columns (WITH t (a, b), FROM f() AS t (a, b)).
bool SqlNames::is_call(const SqlName& name) const {
  if (in_front_.is("as") || in_front_.text == View("::")) return false;
  if (name.schema.kind != TokenKind::end) return true;
  if (in_front_.is("with") || in_front_.is("recursive")) return false;
  return !is_keyword(name.token) && !is_keyword_behind(in_front_, name.token);
}

CatalogName::CatalogName(const Token& token) {
  View text = token.text;
  const bool quoted = token.kind == TokenKind::quoted_name;
  if (quoted) {
    if (text[0] != '"') return;
    text = text.substr(1, text.size() - 2);
    if (text.find('"') != View::npos) return;
  }
  if (text.size() > letters_.size()) return;
  size_ = text.size();
  std::ranges::transform(text, letters_.begin(), [&](char c) {
    return !quoted && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  });
}

}  // namespace headgate
