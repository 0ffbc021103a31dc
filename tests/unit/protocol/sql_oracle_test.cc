// Our SQL scanner beside PostgreSQL's own, which Debian packages as libpg_query: the same tokens,
// the same statements, and kinds that agree with what its parser makes of them. On hand-written
// torture, and on whatever SQL is at hand: the scripts that PostgreSQL installs, the examples of
// its manual, and its regression tests where tests/unit/protocol/fetch_regression_sql has fetched
// them.
#include <doctest/doctest.h>
#include <pg_query.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "protocol/session_marks.h"
#include "protocol/sql.h"
#include "tests/unit/protocol/sql_corpus.h"
#include "tests/unit/protocol/sql_torture.h"

using namespace headgate;

namespace {

struct Span {
  int start, end;
  bool operator==(const Span&) const = default;
};

// --- PostgreSQL's side
// --------------------------------------------------------------------------------

// Just enough of protobuf to read a ScanResult: fields of varints and of nested messages.
class Protobuf {
 public:
  explicit Protobuf(View bytes) : rest_(bytes) {}
  bool empty() const { return rest_.empty(); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.at(0));
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }
  View nested() {
    const size_t size = varint();
    const View bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

 private:
  View rest_;
};

// Tokens of pg_query.proto.
constexpr uint64_t unicode_name = 259, unicode_string = 262, line_comment = 275,
                   block_comment = 276;
// libpg_query does not tell where U&'...' and U&"..." end.
constexpr int end_unknown = -1;

std::vector<Span> spans_of(View scan_result) {
  std::vector<Span> spans;
  for (Protobuf result(scan_result); !result.empty();) {
    const uint64_t key = result.varint();
    if (key != (2 << 3 | 2)) {  // not a token: the version
      result.varint();
      continue;
    }
    std::map<uint64_t, uint64_t> fields;
    for (Protobuf token(result.nested()); !token.empty();) {
      const uint64_t field = token.varint() >> 3;
      fields[field] = token.varint();
    }
    if (fields[4] == line_comment || fields[4] == block_comment) continue;
    const bool unicode = fields[4] == unicode_name || fields[4] == unicode_string;
    spans.push_back(
        {static_cast<int>(fields[1]), unicode ? end_unknown : static_cast<int>(fields[2])});
  }
  return spans;
}

bool same_token(const Span& ours, const Span& theirs) {
  return ours.start == theirs.start && (ours.end == theirs.end || theirs.end == end_unknown);
}

struct Scanned {
  std::vector<Span> spans;
  std::string error;  // empty if PostgreSQL accepts every token
};

Scanned scanned_by_postgres(const std::string& sql) {
  const PgQueryScanResult result = pg_query_scan(sql.c_str());
  Scanned scanned;
  if (result.error != nullptr) {
    scanned.error = result.error->message;
  } else {
    scanned.spans = spans_of(View(result.pbuf.data, result.pbuf.len));
  }
  pg_query_free_scan_result(result);
  return scanned;
}

struct Split {
  std::vector<Span> statements;
  bool failed = false;
};

Split split_by(PgQuerySplitResult (*split_with)(const char*), const std::string& sql) {
  const PgQuerySplitResult result = split_with(sql.c_str());
  Split split;
  split.failed = result.error != nullptr;
  for (int i = 0; !split.failed && i < result.n_stmts; ++i) {
    const PgQuerySplitStmt& statement = *result.stmts[i];
    const int end = statement.stmt_len == 0 ? static_cast<int>(sql.size())
                                            : statement.stmt_location + statement.stmt_len;
    split.statements.push_back({statement.stmt_location, end});
  }
  pg_query_free_split_result(result);
  return split;
}

// The parse tree of one statement, as JSON, from its node's name on.
struct Parsed {
  bool failed = false;
  std::string node;
};

Parsed parsed_by_postgres(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  Parsed parsed;
  parsed.failed = result.error != nullptr;
  if (!parsed.failed) {
    const std::string tree = result.parse_tree;
    const std::string before = R"("stmt":{")";
    const size_t at = tree.find(before);
    if (at != std::string::npos) parsed.node = tree.substr(at + before.size());
  }
  pg_query_free_parse_result(result);
  return parsed;
}

// --- our side
// -----------------------------------------------------------------------------------------

struct Ours {
  std::vector<Span> spans;
  bool broken = false;
};

Span span_in(const std::string& sql, View part) {
  const auto start = static_cast<int>(part.data() - sql.data());
  return {start, start + static_cast<int>(part.size())};
}

Ours scanned_by_us(const std::string& sql) {
  Ours ours;
  SqlScanner scanner(sql);
  for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
    ours.broken = ours.broken || token.kind == TokenKind::broken;
    ours.spans.push_back(span_in(sql, token.text));
  }
  return ours;
}

std::vector<SqlStatement> split_by_us(const std::string& sql) {
  std::vector<SqlStatement> all;
  Statements statements(sql);
  while (auto statement = statements.next()) all.push_back(*statement);
  return all;
}

// --- what must agree
// ----------------------------------------------------------------------------------

struct Counts {
  int texts = 0, tokens = 0, refused = 0, statements = 0, kinds = 0;
  int doubted = 0;  // reading statements that we take for writing ones
};

// The part of the text from the first to the last of our tokens in it: PostgreSQL's statements have
// the blanks and comments in front of them, too.
std::vector<Span> trimmed(const std::vector<Span>& statements, const std::vector<Span>& tokens) {
  std::vector<Span> spans;
  for (const Span& statement : statements) {
    const auto first = std::find_if(tokens.begin(), tokens.end(), [&](const Span& token) {
      return token.start >= statement.start;
    });
    auto last = first;
    while (last != tokens.end() && last->end <= statement.end) ++last;
    if (last != first) spans.push_back({first->start, std::prev(last)->end});
  }
  return spans;
}

const std::multimap<std::string, StatementKind> kinds_of_node = {
    {"SelectStmt", StatementKind::select},
    {"SelectStmt", StatementKind::values},
    {"SelectStmt", StatementKind::table},
    {"InsertStmt", StatementKind::insert},
    {"UpdateStmt", StatementKind::update},
    {"DeleteStmt", StatementKind::delete_rows},
    {"MergeStmt", StatementKind::merge},
    {"CopyStmt", StatementKind::copy},
    {"TruncateStmt", StatementKind::truncate},
    {"LockStmt", StatementKind::lock},
    {"ExplainStmt", StatementKind::explain},
    {"CallStmt", StatementKind::call},
    {"DoStmt", StatementKind::do_block},
    {"TRANS_STMT_BEGIN", StatementKind::begin},
    {"TRANS_STMT_START", StatementKind::begin},
    {"TRANS_STMT_COMMIT", StatementKind::commit},
    {"TRANS_STMT_ROLLBACK", StatementKind::rollback},
    {"TRANS_STMT_SAVEPOINT", StatementKind::savepoint},
    {"TRANS_STMT_RELEASE", StatementKind::release},
    {"TRANS_STMT_ROLLBACK_TO", StatementKind::rollback_to},
    {"TRANS_STMT_PREPARE", StatementKind::prepare_transaction},
    {"TRANS_STMT_COMMIT_PREPARED", StatementKind::commit_prepared},
    {"TRANS_STMT_ROLLBACK_PREPARED", StatementKind::rollback_prepared},
    {"SET", StatementKind::set},
    {"SET LOCAL", StatementKind::set_local},
    {"SET TRANSACTION", StatementKind::set_transaction},
    {"RESET", StatementKind::reset},
    {"ConstraintsSetStmt", StatementKind::set_constraints},
    {"VariableShowStmt", StatementKind::show},
    {"PrepareStmt", StatementKind::prepare},
    {"ExecuteStmt", StatementKind::execute},
    {"DeallocateStmt", StatementKind::deallocate},
    {"DiscardStmt", StatementKind::discard},
    {"ListenStmt", StatementKind::listen},
    {"UnlistenStmt", StatementKind::unlisten},
    {"NotifyStmt", StatementKind::notify},
    {"LoadStmt", StatementKind::load},
    {"DeclareCursorStmt", StatementKind::declare_cursor},
    {"FETCH", StatementKind::fetch},
    {"MOVE", StatementKind::move},
    {"ClosePortalStmt", StatementKind::close},
    {"VacuumStmt", StatementKind::vacuum},
    {"VacuumStmt", StatementKind::analyze},
};

// What the table has no line for. CREATE TABLE AS, ViewStmt, IndexStmt, RuleStmt, DefineStmt and
// many more are CREATEs: there the first word tells.
StatementKind kind_of_other_node(View text) {
  const Token first = SqlScanner(text).next();
  if (first.is("create")) return StatementKind::create;
  if (first.is("alter")) return StatementKind::alter;
  if (first.is("drop")) return StatementKind::drop;
  return StatementKind::other;
}

std::string row_of_node(const std::string& tree) {
  std::string node = tree.substr(0, tree.find('"'));
  const auto says = [&](View text) { return tree.find(text) != std::string::npos; };
  if (node == "TransactionStmt") {
    const size_t at = tree.find("TRANS_STMT_");
    return tree.substr(at, tree.find('"', at) - at);
  }
  if (node == "VariableSetStmt") {
    if (says("VAR_RESET")) return "RESET";
    // The parser keeps no difference between SET x TO DEFAULT and its LOCAL form but this flag.
    const bool characteristics = says(R"("name":"SESSION CHARACTERISTICS")");
    if (says(R"("name":"TRANSACTION)") && !characteristics) return "SET TRANSACTION";
    return says(R"("is_local":true)") ? "SET LOCAL" : "SET";
  }
  if (node == "FetchStmt") return says(R"("ismove":true)") ? "MOVE" : "FETCH";
  return node;
}

void check_kind(const SqlStatement& statement, Counts& counts) {
  const std::string text(statement.text);
  CAPTURE(text);
  const Parsed parsed = parsed_by_postgres(text);
  if (parsed.failed) return;
  ++counts.kinds;
  const std::string row = row_of_node(parsed.node);
  const auto [from, to] = kinds_of_node.equal_range(row);
  CAPTURE(row);
  if (from == to) {
    CHECK(statement.kind == kind_of_other_node(statement.text));
    return;
  }
  CHECK(std::any_of(from, to, [&](const auto& pair) { return pair.second == statement.kind; }));
  if (row != "SelectStmt") return;
  const auto says = [&](View node) { return parsed.node.find(node) != std::string::npos; };
  const bool writes = says(R"("intoClause")") || says(R"("InsertStmt")") ||
                      says(R"("UpdateStmt")") || says(R"("DeleteStmt")") || says(R"("MergeStmt")");
  if (writes) CHECK(statement.writes);
  if (!writes && statement.writes) ++counts.doubted;
  CHECK(statement.locks_rows == says(R"("LockingClause")"));
}

void compare_statements(const std::string& sql, const std::vector<Span>& tokens, Counts& counts) {
  const std::vector<SqlStatement> statements = split_by_us(sql);
  for (const SqlStatement& statement : statements) check_kind(statement, counts);
  std::vector<Span> ours(statements.size());
  std::transform(statements.begin(), statements.end(), ours.begin(),
                 [&](const SqlStatement& statement) { return span_in(sql, statement.text); });
  const Split parsed = split_by(pg_query_split_with_parser, sql);
  if (parsed.failed) return;
  counts.statements += static_cast<int>(ours.size());
  CHECK(ours == trimmed(parsed.statements, tokens));
}

void compare(const std::string& sql, Counts& counts) {
  CAPTURE(sql);
  ++counts.texts;
  if (session_marks(sql).any()) CHECK(may_have_marks(sql));
  const Scanned theirs = scanned_by_postgres(sql);
  const Ours ours = scanned_by_us(sql);
  if (!theirs.error.empty()) {
    ++counts.refused;
    if (theirs.error.starts_with("unterminated")) CHECK(ours.broken);
    return;
  }
  counts.tokens += static_cast<int>(theirs.spans.size());
  CHECK_FALSE(ours.broken);
  CHECK(ours.spans.size() == theirs.spans.size());
  const auto [our, their] = std::mismatch(ours.spans.begin(), ours.spans.end(),
                                          theirs.spans.begin(), theirs.spans.end(), same_token);
  if (our != ours.spans.end() && their != theirs.spans.end()) {
    FAIL_CHECK("ours: " << sql.substr(static_cast<size_t>(our->start), 60)
                        << "\ntheirs: " << sql.substr(static_cast<size_t>(their->start), 60));
    return;
  }
  compare_statements(sql, ours.spans, counts);
}

// --- SQL to compare on
// --------------------------------------------------------------------------------

void compare_script(const std::string& script, Counts& counts) {
  for_each_piece(script, [&](const std::string& piece) { compare(piece, counts); });
}

void report(const std::string& what, const Counts& counts) {
  MESSAGE(what << ": " << counts.texts << " texts, " << counts.tokens << " tokens, "
               << counts.refused << " texts refused by PostgreSQL's scanner, " << counts.statements
               << " statements parted, " << counts.kinds << " kinds told");
}

}  // namespace

TEST_CASE("sql oracle: hand-written torture") {
  Counts counts;
  for (const char* text : sql_torture) compare(text, counts);
  CHECK(counts.refused == 12);
  CHECK(counts.doubted == 2);  // where "update" is a name
  CHECK(counts.kinds > 180);
  report("torture", counts);
}

TEST_CASE("sql oracle: pieces of torture, put together at random") {
  Counts counts;
  for (unsigned seed = 0; seed < 20000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::string sql;
    for (size_t left = 1 + random() % 12; left > 0; --left) {
      sql += sql_pieces[random() % std::size(sql_pieces)];
      if (random() % 4 == 0) sql += ' ';
    }
    compare(sql, counts);
  }
  CHECK(counts.texts - counts.refused > 5000);
  report("random", counts);
}

TEST_CASE("sql oracle: the scripts that PostgreSQL installs") {
  const fs::path folder = "/usr/share/postgresql/15";
  if (!fs::exists(folder / "extension")) {
    MESSAGE("left out: postgresql-15 is not installed");
    return;
  }
  Counts counts;
  for_each_file(folder, ".sql",
                [&](const fs::path& path) { compare_script(read_file(path), counts); });
  CHECK(counts.tokens > 100000);
  CHECK(counts.statements > 2000);
  CHECK(counts.doubted == 0);
  report("installed scripts", counts);
}

TEST_CASE("sql oracle: the examples of PostgreSQL's manual") {
  Counts counts;
  const bool is_here =
      for_each_example([&](const std::string& listing) { compare_script(listing, counts); });
  if (!is_here) return;
  CHECK(counts.tokens > 30000);
  CHECK(counts.statements > 2000);
  CHECK(counts.doubted == 0);
  report("the manual's examples", counts);
}

TEST_CASE("sql oracle: PostgreSQL's regression tests") {
  Counts counts;
  const bool is_here = for_each_regression_script(
      [&](const std::string& script) { compare_script(script, counts); });
  if (!is_here) return;
  CHECK(counts.tokens > 300000);
  CHECK(counts.statements > 20000);
  CHECK(counts.doubted == 0);
  report("regression tests", counts);
}
