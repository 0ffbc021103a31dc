#include "protocol/statements.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/check.h"

namespace headgate {

using OnServer = StatementChange::OnServer;
using OfClient = StatementChange::OfClient;

Statement::Statement(uint64_t number, Bytes text_and_copy)
    : id(number),
      key(std::move(text_and_copy)),
      server_name(std::string(statement_prefix).append(std::to_string(number))) {}

uint64_t statement_number(View server_name) {
  if (!server_name.starts_with(statement_prefix)) return 0;
  server_name.remove_prefix(statement_prefix.size());
  uint64_t number = 0;
  const char* end = server_name.data() + server_name.size();
  const auto read = std::from_chars(server_name.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? number : 0;
}

// --- clients

const StatementPtr& ClientStatements::find(View name) const {
  static const StatementPtr none;
  const auto found = names_.find(name);
  return found == names_.end() ? none : found->second;
}

void ClientStatements::set(View name, StatementPtr statement) {
  const auto [place, added] = names_.emplace(name, std::move(statement));
  MUST(added);
  bytes_ += place->second->key.size();
  by_id_.emplace(place->second->id, place->first);
}

void ClientStatements::forget(View name) {
  const auto found = names_.find(name);
  if (found == names_.end()) return;
  bytes_ -= found->second->key.size();
  by_id_.erase(found->second->id);
  names_.erase(found);
}

void ClientStatements::clear() {
  by_id_.clear();
  names_.clear();
  bytes_ = 0;
}

View ClientStatements::name_of(uint64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? View() : found->second;
}

// --- servers

namespace {

bool forgets(const StatementChange& change) {
  return change.of_client == OfClient::forgotten || change.of_client == OfClient::deallocated;
}

/// It is about more than the unnamed statement.
bool is_of_statements(const StatementChange& change) {
  return change.of_client != OfClient::unnamed || change.on_server != OnServer::nothing;
}

}  // namespace

void ServerStatements::begin_lease() {
  ++lease_;
  unnamed_known_ = false;
}

bool ServerStatements::use(const Statement& statement) {
  const auto place = places_.find(statement.id);
  if (place == places_.end()) return false;
  Known& known = *place->second;
  known.lease = lease_;
  known_.splice(known_.begin(), known_, place->second);
  return known.edition == statement.edition.load(std::memory_order_relaxed);
}

std::set<std::string, std::less<>> ServerStatements::names() const {
  std::set<std::string, std::less<>> names;
  for (const Known& known : known_) names.insert(known.statement->server_name);
  return names;
}

void ServerStatements::renew_used() {
  for (const Known& known : known_) {
    if (known.lease != lease_) break;
    uint32_t edition = known.edition;  // another server may have found out already
    known.statement->edition.compare_exchange_strong(edition, edition + 1);
  }
}

StatementPtr ServerStatements::evictable(size_t limit) const {
  if (known_.size() < limit || known_.empty()) return nullptr;
  const Known& oldest = known_.back();
  return oldest.lease == lease_ ? nullptr : oldest.statement;
}

void ServerStatements::add(StatementPtr statement, uint32_t edition) {
  const uint64_t id = statement->id;
  known_.push_front({std::move(statement), edition, lease_});
  const bool added = places_.emplace(id, known_.begin()).second;
  MUST(added);
}

// Returns the edition that it had.
uint32_t ServerStatements::remove(const Statement& statement) {
  const auto place = places_.find(statement.id);
  if (place == places_.end()) return 0;
  const uint32_t edition = place->second->edition;
  known_.erase(place->second);
  places_.erase(place);
  return edition;
}

void ServerStatements::change(StatementChange change, ClientStatements* client) {
  uint32_t edition = 0;
  if (change.statement) edition = change.statement->edition.load(std::memory_order_relaxed);
  if (is_of_statements(change)) ++in_batch_;
  if (change.of_client == OfClient::unnamed) ++unnamed_in_batch_;
  if (change.on_server == OnServer::added) add(change.statement, edition);
  if (change.on_server == OnServer::removed) edition = remove(*change.statement);
  if (change.of_client == OfClient::named) client->set(change.name, change.statement);
  if (forgets(change)) client->forget(change.name);
  changes_.push_back({std::move(change), batch_, edition});
}

void ServerStatements::change_at_once(StatementChange what, ClientStatements& client) {
  MUST(changes_.empty());
  change(std::move(what), &client);
  confirmed(&client);
}

const StatementChange* ServerStatements::latest_unnamed() const {
  for (size_t left = unnamed_in_batch_ > 0 ? changes_.size() : 0; left > 0; --left) {
    const StatementChange& change = changes_[left - 1].change;
    if (change.of_client == OfClient::unnamed) return &change;
  }
  return nullptr;
}

const SessionMarksPtr& ServerStatements::unnamed_marks(const ClientStatements& client) const {
  const StatementChange* latest = latest_unnamed();
  return latest ? latest->marks : client.unnamed_marks();
}

const StatementPtr& ServerStatements::unnamed_shared(const ClientStatements& client) const {
  const StatementChange* latest = latest_unnamed();
  return latest ? latest->statement : client.unnamed_shared();
}

bool ServerStatements::was_unnamed(uint64_t id, const ClientStatements& client) const {
  if (client.unnamed_shared() && client.unnamed_shared()->id == id) return true;
  return std::ranges::any_of(changes_, [id](const Sent& sent) {
    const StatementChange& change = sent.change;
    return change.of_client == OfClient::unnamed && change.statement && change.statement->id == id;
  });
}

void ServerStatements::batch_ended() {
  ++batch_;
  unsettled_ += std::exchange(in_batch_, 0);
  unnamed_unsettled_ += std::exchange(unnamed_in_batch_, 0);
}

void ServerStatements::drop_changes(size_t count) {
  for (; count > 0; --count) {
    const Sent& oldest = changes_.front();
    const bool is_new = oldest.batch == batch_;
    if (is_of_statements(oldest.change)) --(is_new ? in_batch_ : unsettled_);
    if (oldest.change.of_client == OfClient::unnamed) {
      --(is_new ? unnamed_in_batch_ : unnamed_unsettled_);
    }
    changes_.pop_front();
  }
}

void ServerStatements::confirmed(ClientStatements* client, bool failed) {
  MUST(!changes_.empty());
  StatementChange& change = changes_.front().change;
  if (change.of_client == OfClient::deallocated) {
    unnamed_known_ = true;
    if (client) client->set_unnamed({}, nullptr);
  }
  if (client && failed && forgets(change)) client->set(change.name, change.statement);
  if (change.of_client == OfClient::unnamed) {
    unnamed_known_ = !change.statement;
    if (client) {
      client->set_unnamed(std::move(change.name), std::move(change.marks), change.statement);
    }
  }
  drop_changes(1);
}

void ServerStatements::oldest_failed(ClientStatements* client) {
  MUST(!changes_.empty());
  const StatementChange& change = changes_.front().change;
  if (change.of_client != OfClient::unnamed) return;
  unnamed_known_ = !change.statement;  // a shared one has taken nothing from the server's own
  if (client) client->set_unnamed({}, nullptr);
}

void ServerStatements::take_back(size_t count, ClientStatements* client) {
  MUST(count <= changes_.size());
  for (size_t left = count; left > 0; --left) {
    const auto& [change, batch, edition] = changes_[left - 1];
    if (change.on_server == OnServer::added) remove(*change.statement);
    if (change.on_server == OnServer::removed && !has(*change.statement)) {
      add(change.statement, edition);
    }
    if (!client) continue;
    if (change.of_client == OfClient::named) client->forget(change.name);
    if (forgets(change)) client->set(change.name, change.statement);
  }
  drop_changes(count);
}

View ServerStatements::name_being_closed(uint64_t id) const {
  for (const Sent& sent : changes_) {
    const StatementChange& change = sent.change;
    if (forgets(change) && change.statement->id == id) return change.name;
  }
  return {};
}

void ServerStatements::forget_client() {
  for (Sent& sent : changes_) {
    if (sent.change.of_client != OfClient::unnamed) sent.change.of_client = OfClient::nothing;
  }
}

void ServerStatements::clear(ClientStatements* client) {
  known_.clear();
  places_.clear();
  if (client) client->clear();
  for (auto& [change, batch, edition] : changes_) {
    if (change.on_server == OnServer::added && !has(*change.statement)) {
      add(change.statement, edition);
    } else if (change.on_server == OnServer::removed) {
      if (!has(*change.statement)) change.on_server = OnServer::nothing;
      remove(*change.statement);
    }
    if (!client) continue;
    if (change.of_client == OfClient::named) {
      client->forget(change.name);
      client->set(change.name, change.statement);
    } else if (forgets(change)) {
      if (!client->find(change.name)) change.of_client = OfClient::nothing;
      client->forget(change.name);
    }
  }
}

}  // namespace headgate
