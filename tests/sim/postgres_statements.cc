// The prepared statements of a simulated server's process. It knows whether a statement is the one
// that the client meant: the parameter in the Bind says so.
#include "tests/sim/postgres.h"

namespace headgate::sim {

namespace {

std::string take_string(View& text) {
  std::string taken(text.substr(0, text.find('\0')));
  text.remove_prefix(taken.size() + 1);
  return taken;
}

// No formats, so many parameters, and each behind its size.
std::vector<std::string> take_parameters(View body) {
  std::vector<std::string> parameters;
  body.remove_prefix(4);
  while (body.size() > 4) {
    const size_t size = load_u32(body.data());
    parameters.emplace_back(body.substr(4, size));
    body.remove_prefix(4 + size);
  }
  return parameters;
}

constexpr View stand_in = "SELECT";  // what Headgate prepares to be dropped by a client

std::string quoted(const std::string& name) { return "\"" + name + "\""; }

}  // namespace

void Backend::parse(View body) {
  const std::string name = take_string(body);
  const std::string text = take_string(body);
  if (name.empty()) parsed_.reset();
  if (statements_.contains(name)) {
    return fail("42P05", "prepared statement " + quoted(name) + " already exists");
  }
  if (model_.has_statement(name)) {
    return fail("42P05", "prepared statement " + quoted(name) + " already exists");
  }
  if (text == stand_in && !name.empty()) {
    stand_ins_[name] = 0;
    statements_[name] = {};
    return steps_.push_back({Step::Kind::message, {}, "1"});
  }
  if (text.starts_with("broken ")) return fail("42601", text);
  auto statements = parse_query(text);
  if (!statements || statements->size() != 1) {
    host_.world().violated("server {} got a Parse nobody sent: {}", process_, text);
  }
  Statement& parsed = statements->front();
  parsed.query = text;
  if (name.empty()) {
    parsed_ = parsed;
  } else {
    statements_[name] = parsed;
  }
  steps_.push_back({Step::Kind::message, {}, "1"});
}

void Backend::bind(View body) {
  const std::string portal = take_string(body);
  const std::string name = take_string(body);
  const auto found = statements_.find(name);
  if (name.empty() ? !parsed_ : found == statements_.end()) {
    return fail("26000", name.empty() ? "unnamed prepared statement does not exist"
                                      : "prepared statement " + quoted(name) + " does not exist");
  }
  Statement bound = name.empty() ? *parsed_ : found->second;
  if (bound.kind == Statement::Kind::prepared) {
    const auto parameters = take_parameters(body);
    const auto meant = run_prepared(bound.shape, parameters);
    if (!meant) {
      host_.world().violated("server {} runs p{} under the name {} for '{}'", process_, bound.shape,
                             quoted(name), parameters.empty() ? "" : parameters.back());
    }
    bound = *meant;
  }
  may_take_time(bound);
  portals_[portal] = std::move(bound);
  steps_.push_back({Step::Kind::message, {}, "2"});
}

void Backend::describe(View body) {
  if (body[0] == 'P') {
    return steps_.push_back({Step::Kind::describe, portals_[""]});
  }
  body.remove_prefix(1);
  const std::string name = take_string(body);
  if (name.empty() ? !parsed_ : !statements_.contains(name)) {
    return fail("26000", "prepared statement " + quoted(name) + " does not exist");
  }
  steps_.push_back({Step::Kind::message, {}, "t"});
  steps_.push_back({Step::Kind::message, {}, "n"});
}

// In SQL these go by the same names.
bool Backend::of_protocol(const Statement& statement) {
  if (!statements_.contains(statement.name)) return false;
  if (statement.kind == Statement::Kind::prepare) {
    fail("42P05", "prepared statement " + quoted(statement.name) + " already exists");
    return true;
  }
  if (statement.kind != Statement::Kind::deallocate) return false;
  statements_.erase(statement.name);
  stand_ins_.erase(statement.name);
  complete("DEALLOCATE");
  return true;
}

std::optional<std::string> Backend::text_of(const std::string& name) const {
  if (stand_ins_.contains(name)) return std::string(stand_in);
  return model_.query_of(name);
}

// One that was left is for its own client at most.
void Backend::check_stand_ins(int client) {
  for (auto& [name, whose] : stand_ins_) {
    if (whose == 0) whose = client;
    if (whose != client) {
      host_.world().violated("server {} has a stand-in {} of c{} for c{}", process_, name, whose,
                             client);
    }
  }
}

void Backend::close_one(View body) {
  const bool is_portal = body[0] == 'P';
  body.remove_prefix(1);
  const std::string name = take_string(body);
  (is_portal ? portals_ : statements_).erase(name);
  if (!is_portal) stand_ins_.erase(name);
  if (name.empty() && !is_portal) parsed_.reset();
  steps_.push_back({Step::Kind::message, {}, "3"});
}

}  // namespace headgate::sim
