// Clients that share a server whose settings are kept by a tiny model of PostgreSQL: whatever they
// set, reset, roll back and discard, and in whatever order the questions are answered, each finds
// its own values on the server when it gets it, and what it has beyond that it is pinned for.
//
// Input: steps of a byte each, with the names and values that they take.
#include <array>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/session_sql.h"
#include "protocol/session_state.h"
#include "protocol/sql.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr std::array<const char*, 8> names = {"a",
                                              "b.c",
                                              "search_path",
                                              "statement_timeout",
                                              "role",
                                              "session_authorization",
                                              "default_transaction_deferrable",
                                              "z.z"};

std::string unquoted(View text) {
  MUST(!text.empty());
  if (text[0] == '"') {
    std::string plain;
    for (size_t i = 1; i + 1 < text.size(); ++i) {
      plain.push_back(text[i]);
      if (text[i] == '"') ++i;
    }
    return plain;
  }
  const size_t tag = text.find('$', 1) + 1;
  return std::string(text.substr(tag, text.size() - 2 * tag));
}

/// A server that knows only the SQL that is ours.
class Model {
 public:
  void run(View sql) {
    Statements statements(sql);
    while (const auto statement = statements.next()) one(statement->text);
  }
  void set(const std::string& name, const std::string& value) { values_[name] = value; }
  void reset(const std::string& name) { values_.erase(name); }
  void reset_all() {
    std::erase_if(values_, [](const auto& pair) { return !identity(pair.first); });
  }
  void discard_all() { values_.clear(); }
  const SettingValues& values() const { return values_; }

  /// The answer to a question; there are no pins.
  std::vector<std::optional<std::string>> answer(View question) const {
    std::vector<std::optional<std::string>> row;
    SqlScanner scanner(question);
    bool of_sources = false;
    for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
      if (token.is("string_agg")) {
        of_sources = true;
        row.emplace_back("");
      } else if (token.is("pg_depend")) {
        row.emplace_back("f");
      }
      if (token.kind != TokenKind::string || token.text[0] != '$') continue;
      const std::string name = unquoted(token.text);
      const auto found = values_.find(name);
      const bool custom = name.find('.') != std::string::npos;
      const bool listed = !custom && !identity(name);
      if (of_sources) {
        if (found == values_.end() && listed)
          *row.back() += (row.back()->empty() ? "" : ",") + name;
      } else if (found != values_.end()) {
        row.emplace_back(found->second);
      } else {
        row.push_back(listed           ? std::optional<std::string>("default")
                      : name == "role" ? std::optional<std::string>("none")
                                       : std::nullopt);
      }
    }
    return row;
  }

 private:
  static bool identity(const std::string& name) {
    return name == "role" || name == "session_authorization";
  }

  void one(View text) {
    std::vector<Token> tokens;
    SqlScanner scanner(text);
    for (Token token = scanner.next(); token.kind != TokenKind::end; token = scanner.next()) {
      MUST(token.kind != TokenKind::broken);
      tokens.push_back(token);
    }
    if (tokens[0].is("select")) {  // SELECT pg_catalog.set_config(name,value,false)
      MUST(tokens.size() == 11 && tokens[3].is("set_config"));
      const std::string name = unquoted(tokens[5].text);
      return tokens[7].is("null") ? reset(name) : set(name, unquoted(tokens[7].text));
    }
    if (tokens[1].is("transaction")) return;
    if (tokens[1].is("role")) return reset("role");
    if (tokens[1].is("session")) return reset("session_authorization");
    std::string name = unquoted(tokens[1].text);
    size_t i = 2;
    for (; i + 1 < tokens.size() && tokens[i].is('.'); i += 2) {
      name += "." + unquoted(tokens[i + 1].text);
    }
    if (tokens[0].is("reset")) {
      MUST(i == tokens.size());
      return reset(name);
    }
    MUST(tokens[0].is("set") && i + 2 == tokens.size() && tokens[i].text == "=");
    set(name, unquoted(tokens[i + 1].text));
  }

  SettingValues values_;
};

class Stage {
 public:
  // Lends the server to a client, as Server::give_values() does.
  void lend(size_t index) {
    if (index == now_) return;
    if (session_.asking() || session_.must_ask() || session_.pins().any()) return;
    now_ = index;
    give_values();
  }
  void give_values() {
    if (session_.must_be_discarded_for(ids_[now_])) {
      model_.discard_all();
      session_.discarded(nullptr, false);
      sneaked_ = false;
    }
    model_.run(session_.adopt(client()));
    check();
  }

  void set(View name, View value) {
    touch(name, "set x = 1");
    model_.set(std::string(name), std::string(value));
  }
  // Sent, and rolled back.
  void set_in_vain(View name) { touch(name, "set x = 1"); }
  void reset(View name) {
    SessionMarks marks;
    marks.settings = marks.settings_reset = {std::string(name)};
    session_.touch(std::string(name));
    session_.sent(marks);
    model_.reset(std::string(name));
  }
  void reset_all() {
    session_.sent(session_marks("reset all"));
    model_.reset_all();
  }
  void discard_all(bool more) {
    answer();  // which comes first
    session_.sent(session_marks("discard all"));
    model_.discard_all();
    session_.discarded(&client(), more);
    sneaked_ = false;
    if (!more) check();
  }
  void sneak(View name, View value) {
    session_.taint(ids_[now_]);
    sneaked_ = true;
    model_.set(std::string(name), std::string(value));
  }
  void ask() {
    if (!session_.must_ask()) return;
    const std::string question = session_.question();
    MUST(session_.asking() && !session_.must_ask());
    answer_ = model_.answer(question);
  }
  void answer() {
    if (!session_.asking()) return;
    session_.answered({answer_.begin(), answer_.end()}, client());
    MUST(!session_.asking());
  }
  void fail() {
    if (!session_.asking()) return;
    session_.question_failed();
    MUST(session_.pins().any() && !session_.asking());
  }
  void leave() {
    const bool dirty = session_.client_left();
    client() = ClientSession();
    ids_[now_] = ++last_id_;
    if (dirty) {
      model_.discard_all();
      session_.discarded(nullptr, false);
      sneaked_ = false;
    }
    give_values();
  }
  void end() {
    while (session_.asking() || session_.must_ask()) ask(), answer();
    for (size_t index = 0; index < clients_.size(); ++index) lend(index);
  }

 private:
  ClientSession& client() { return clients_[now_]; }
  void touch(View name, View like) {
    session_.touch(std::string(name));
    session_.sent(session_marks(like));
  }
  // What was changed unseen is the client's own doing, until another gets the server.
  void check() {
    if (sneaked_) return;
    const SettingValues none;
    const SettingValues& wanted = client().values() ? *client().values() : none;
    MUST(model_.values() == wanted);
  }

  std::array<ClientSession, 3> clients_;
  std::array<uint64_t, 3> ids_ = {1, 2, 3};
  uint64_t last_id_ = 3;
  size_t now_ = 0;
  bool sneaked_ = false;
  ServerSession session_;
  Model model_;
  std::vector<std::optional<std::string>> answer_;
};

void check_quoting(View text) {
  const std::string quoted = quote_dollar(text);
  SqlScanner scanner(quoted);
  const Token token = scanner.next();
  MUST(token.kind == TokenKind::string && token.text == quoted);
  MUST(unquoted(quoted) == text);
  const std::string name = quote_setting(text);
  SqlScanner parts(name);
  std::string back;
  for (Token part = parts.next(); part.kind != TokenKind::end; part = parts.next()) {
    back += part.is('.') ? "." : unquoted(part.text);
  }
  MUST(back == text);
}

void play(FuzzInput& input) {
  Stage stage;
  for (int step = 0; step < 200 && !input.empty(); ++step) {
    const uint8_t what = input.byte();
    const View name = names[(what >> 4) % names.size()];
    switch (what & 0xf) {
      case 0:
      case 1:
        stage.lend((what >> 4) % 3);
        break;
      case 2:
      case 3:
        stage.set(name, input.rest().substr(0, input.byte() % 8));
        break;
      case 4:
        stage.set_in_vain(name);
        break;
      case 5:
        stage.reset(name);
        break;
      case 6:
        stage.reset_all();
        break;
      case 7:
        stage.discard_all((what & 0x10) != 0);
        break;
      case 8:
        stage.sneak(name, "sneaked");
        break;
      case 9:
      case 10:
        stage.ask();
        break;
      case 11:
      case 12:
        stage.answer();
        break;
      case 13:
        if (what >= 0xd0) stage.fail();
        break;
      case 14:
        stage.leave();
        break;
      default:
        stage.end();
        break;
    }
  }
  stage.end();
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate::fuzz;
  FuzzInput input(data, size);
  const Exact text(input.rest());
  check_quoting(text.view());
  play(input);
  return 0;
}
