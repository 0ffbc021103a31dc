// Our verdicts beside PostgreSQL's parser, which Debian packages as libpg_query: a text that we
// take for a plain read has nothing but reads in its parse tree, and every function that the tree
// calls is one that reads, or one that we listed as unknown. On the SQL of sql_oracle_test.cc.
#include <doctest/doctest.h>
#include <pg_query.h>

#include <random>
#include <utility>

#include "protocol/catalog_functions.h"
#include "protocol/read_verdict.h"
#include "protocol/sql.h"
#include "tests/unit/protocol/sql_corpus.h"
#include "tests/unit/protocol/sql_torture.h"

using namespace headgate;

namespace {

// The parse tree as JSON; empty if PostgreSQL refuses the text. (What a string holds has its quotes
// behind backslashes there, so the names of nodes are found by their text.)
std::string tree_of(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  std::string tree = result.error != nullptr ? "" : result.parse_tree;
  pg_query_free_parse_result(result);
  return tree;
}

template <class Visit>
void for_each_place(const std::string& tree, const std::string& what, Visit visit) {
  for (size_t at = tree.find(what); at != std::string::npos; at = tree.find(what, at + 1)) {
    visit(at + what.size());
  }
}

bool has(const std::string& tree, const std::string& node) {
  return tree.find('"' + node + '"') != std::string::npos;
}

/// Whether every statement is a query, or EXPLAIN of one, that neither writes nor locks.
bool only_reads(const std::string& tree) {
  bool reads = true;
  for_each_place(tree, R"({"stmt":{)", [&](size_t at) {
    const View statement = View(tree).substr(at);
    reads = reads && (statement.starts_with(R"("SelectStmt")") ||
                      statement.starts_with(R"("ExplainStmt":{"query":{"SelectStmt")"));
  });
  for (const char* node :
       {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "intoClause", "LockingClause"}) {
    reads = reads && !has(tree, node);
  }
  return reads && !has(tree, R"(defname":"analyze)") && !has(tree, R"(schemaname":"pg_temp)");
}

struct Function {
  std::string schema, name;
};

// [{"String":{"sval":"pg_catalog"}},{"String":{"sval":"lower"}}], from behind the bracket on.
Function function_at(View names) {
  const View before = R"({"String":{"sval":")";
  Function function;
  while (names.starts_with(before)) {
    names.remove_prefix(before.size());
    function.schema = std::exchange(function.name, {});
    for (; names[0] != '"'; names.remove_prefix(1)) {
      if (names[0] == '\\') names.remove_prefix(1);
      function.name += names[0];
    }
    names.remove_prefix(View(R"("}},)").size());
  }
  return function;
}

std::vector<Function> calls_in(const std::string& tree) {
  std::vector<Function> calls;
  for_each_place(tree, R"("FuncCall":{"funcname":[)",
                 [&](size_t at) { calls.push_back(function_at(View(tree).substr(at))); });
  return calls;
}

/// The last part of a name as SQL writes it, as the catalog has it.
std::string catalog_name(const std::string& written) {
  SqlScanner scanner(written);
  Token last;
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    last = token;
  }
  if (last.kind == TokenKind::word) return std::string(last.text.substr(0, 63));
  std::string name;
  for (size_t i = 1; i + 1 < last.text.size(); ++i) {
    name += last.text[i];
    if (last.text[i] == '"') ++i;
  }
  return name.substr(0, 63);
}

bool accounted_for(const Function& called, const ReadVerdict& verdict) {
  const bool of_postgres = called.schema.empty() || called.schema == "pg_catalog";
  if (of_postgres && is_reading_function(called.name)) return true;
  for (const std::string& unknown : verdict.unknown_functions) {
    if (catalog_name(unknown) == called.name) return true;
  }
  return false;
}

struct Counts {
  int texts = 0;
  int queries = 0;      // single ones that only read, says the tree
  int recognised = 0;   // of these: plain reads
  int undecided = 0;    // of these: but for functions that are not known
  int for_primary = 0;  // of these: but for a function or a name of PostgreSQL's
};

void compare(const std::string& sql, Counts& counts) {
  const ReadVerdict verdict = read_verdict(sql);
  const bool may_read = verdict.is_read() || verdict.reason == NoRead::unknown_function;
  const std::string tree = tree_of(sql);
  if (tree.empty()) return;
  CAPTURE(sql);
  ++counts.texts;
  const bool reads = only_reads(tree);
  if (may_read) {
    CHECK(reads);
    for (const Function& called : calls_in(tree)) {
      CAPTURE(called.name);
      CHECK(accounted_for(called, verdict));
    }
  }
  Statements statements(sql);
  statements.next();
  if (!reads || statements.next() || !has(tree, "SelectStmt")) return;
  ++counts.queries;
  counts.recognised += verdict.is_read();
  counts.undecided += verdict.reason == NoRead::unknown_function;
  counts.for_primary += verdict.reason == NoRead::calls || verdict.reason == NoRead::names;
}

void compare_script(const std::string& script, Counts& counts) {
  for_each_piece(script, [&](const std::string& piece) {
    compare(piece, counts);
    Statements statements(piece);
    while (const auto statement = statements.next()) {
      compare(std::string(statement->text), counts);
    }
  });
}

void report(const std::string& what, const Counts& counts) {
  MESSAGE(what << ": " << counts.texts << " texts; of " << counts.queries << " queries "
               << counts.recognised << " are plain reads, " << counts.undecided
               << " but for functions that are not known, " << counts.for_primary
               << " call or name what is for the primary");
}

}  // namespace

TEST_CASE("read verdict oracle: hand-written torture") {
  Counts counts;
  for (const char* text : sql_torture) compare_script(text, counts);
  CHECK(counts.recognised > 0);
  report("torture", counts);
}

TEST_CASE("read verdict oracle: words that write and lock, put together at random") {
  const char* const words[] = {"select",
                               "select 1",
                               "from t",
                               "with a as (",
                               "materialized (",
                               "recursive",
                               "insert into t",
                               "values (1)",
                               "update t set a = 1",
                               "update",
                               "delete from t",
                               "delete",
                               "merge into",
                               "returning *",
                               "for update",
                               "for",
                               "no key update",
                               "share",
                               "into",
                               "into t",
                               "as",
                               "as (",
                               "(",
                               ")",
                               "f(",
                               "\"f\"(",
                               "nextval('s')",
                               "lower('a')",
                               "pg_catalog.",
                               "app.",
                               "public.f(1)",
                               ",",
                               ";",
                               "explain",
                               "explain (",
                               "analyze",
                               "verbose",
                               "table t",
                               "join",
                               "join (",
                               "like (",
                               "filter (",
                               "over (",
                               "where",
                               "by",
                               "order by",
                               "group by",
                               "union all",
                               "::f(1)",
                               "1",
                               "'a'",
                               "$1",
                               "a",
                               "b",
                               "t",
                               ".",
                               "--\n",
                               "/**/",
                               "*",
                               "+",
                               "on true"};
  Counts counts;
  for (unsigned seed = 0; seed < 300000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::string sql = random() % 4 ? "select 1 " : random() % 2 ? "with a as (" : "";
    for (size_t left = 1 + random() % 10; left > 0; --left) {
      sql += words[random() % std::size(words)];
      if (random() % 4 != 0) sql += ' ';
    }
    compare(sql, counts);
  }
  CHECK(counts.recognised > 9000);
  report("random", counts);
}

TEST_CASE("read verdict oracle: the examples of PostgreSQL's manual") {
  Counts counts;
  const bool is_here =
      for_each_example([&](const std::string& listing) { compare_script(listing, counts); });
  if (!is_here) return;
  CHECK(counts.texts > 2000);
  report("the manual's examples", counts);
}

TEST_CASE("read verdict oracle: PostgreSQL's regression tests") {
  Counts counts;
  const bool is_here = for_each_regression_script(
      [&](const std::string& script) { compare_script(script, counts); });
  if (!is_here) return;
  CHECK(counts.queries > 65000);
  CHECK(counts.recognised > 46000);  // a verdict that is never a read would be safe, too
  report("regression tests", counts);
}
