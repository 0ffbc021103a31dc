// What really happened to each request, as the simulated servers see it; and what excuses there
// were for failing one. Shared by clients, servers and the watch.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "tests/sim/session.h"
#include "tests/sim/world.h"

namespace headgate::sim {

struct Ledger {
  explicit Ledger(World& w) : world(w) {}
  World& world;

  /// A server carries the request out.
  void executed(int client, int request) {
    if (++times[request] > 1)
      world.violated("request c{} r{} was carried out twice", client, request);
  }
  std::map<int, int> times;
  /// A standby does: what it has begun its primary may do once more, but nobody else.
  void executed_at_standby(int client, int request) {
    if (++times_at_standbys[request] > 1)
      world.violated("request c{} r{} was carried out by standbys twice", client, request);
  }
  std::map<int, int> times_at_standbys;

  /// What is notified on the channel of a client that listens to it, by numbers that grow.
  struct Notified {
    int number;
    Instant when;
  };
  int notifications = 0;                         // the number of the last
  std::map<int, std::deque<Notified>> notified;  // by client: what it has still to hear
  // By client, for each of its LISTENs that it has yet to see answered: the last that is older.
  std::map<int, std::deque<int>> older_than_listen;
  /// Since long before then nobody has given the listening connection a reason to end.
  bool hears_all_since(Instant when) const {
    constexpr Duration long_before = seconds(60);
    const auto came_before = [&](const Faults& faults) {
      return faults.last == Instant{} || faults.last + long_before < when;
    };
    return came_before(server_faults) && came_before(operator_faults) && trouble_until < when;
  }

  // Asked of the clients, by their numbers.
  struct ClientFacts {
    bool exists = false;
    std::string database, user, application_name;
    bool may_be_cancelled = false;  // it asked for it, it is gone, or a timeout of ours may strike
    Settings start{};               // what its session begins with
  };
  std::function<ClientFacts(int client)> facts_of;

  /// What the session of this client must be like: what servers have carried out for it.
  SessionModel& session_of(int client) {
    const auto found = sessions_.find(client);
    if (found != sessions_.end()) return found->second;
    SessionModel& session = sessions_[client];
    session.start_with(facts_of(client).start);
    return session;
  }
  bool role_exists = true;

  /// What may legitimately fail a client's request: a server that died or broke, an operator's
  /// KILL.
  struct Faults {
    uint64_t count = 0;
    Instant last{};
  };
  Faults server_faults, operator_faults;
  void fault(Faults& faults) {
    ++faults.count;
    faults.last = world.now();
  }
  /// Whether there was one since `before` of them were known; news may be on their way for long.
  bool since(const Faults& faults, uint64_t before) const {
    constexpr Duration on_its_way = seconds(5);
    return faults.count > before ||
           (faults.last != Instant{} && world.now() - faults.last < on_its_way);
  }
  /// What operators do that others have to know of: how often, and how much of it is under way.
  struct Deeds {
    uint64_t count = 0;
    int under_way = 0;
    void begin() { ++count, ++under_way; }
    void end() { ++count, --under_way; }
    /// None was done since `before` of them were known.
    bool none_since(uint64_t before) const { return count == before && under_way == 0; }
  };
  std::map<std::string, Deeds> resumes;  // by the database; empty: of all
  Deeds new_settings;
  bool disabled = false;  // some database was
  /// How often Headgate has forgotten a database: those made from `*` that nobody uses. Their
  /// counts go with them.
  std::map<std::string, uint64_t> forgotten;
  /// Until then servers cannot be reached, or log-ins are still held back for that reason.
  Instant trouble_until{};

 private:
  std::map<int, SessionModel> sessions_;
};

}  // namespace headgate::sim
