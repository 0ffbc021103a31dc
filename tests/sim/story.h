// One simulation, made from a seed: the settings, the clients and what befalls everybody. It ends
// well when every client has got its answers or its one error, and nothing is left of anybody.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/cluster.h"
#include "tests/sim/house.h"
#include "tests/sim/operator.h"
#include "tests/sim/watch.h"

namespace headgate::sim {

class Story {
 public:
  explicit Story(uint64_t seed, bool recording = false);
  ~Story();

  /// Throws a Violation.
  void run();
  World& world() { return world_; }
  /// What the story is about, for the report.
  const std::string& title() const { return title_; }
  const std::string& ini() const { return ini_; }
  int answered() const;

 private:
  /// What befalls everybody while the clients are at work, so many of each.
  struct Misfortunes {
    bool clients_break = false, servers_die = false, servers_freeze = false, doors_close = false;
    bool threads_stall = false, operators = false, slow_cancels = false, network_holds = false;
    bool lookups_fail = false, role_goes = false;
  };

  /// What befalls its hosts, if there are several.
  struct HostMisfortunes {
    bool standbys_fail = false, primary_fails = false, failovers = false, pauses = false;
  };

  void choose_hosts(uint64_t seed);
  std::string choose_databases();
  std::string choose_routing();
  void choose_reads();
  int choose_requests();
  void schedule_host_misfortunes();
  void host_misfortune();
  void primary_in_trouble();
  void choose_misfortunes();
  std::string choose_settings();
  std::string choose_timeouts();
  const char* choose_policy();
  void choose_passwords();
  void choose_manners();
  void add_actors();
  void choose_start(Actor& actor);
  void add_operators();
  void schedule_misfortunes();
  void misfortune();
  void notify_somebody();
  void server_misfortune();
  void operator_acts();
  void close_door();
  void change_ini();
  void heal();
  void run_for(Duration time);
  void run_until_finished();
  void empty_the_house();
  bool everybody_finished() const;
  Backend* any_backend();

  World world_;
  Network network_{world_};
  Ledger ledger_{world_};
  std::string title_, ini_;
  WorkerId workers_ = 1;
  Misfortunes misfortunes_;
  Watch::Limits limits_;
  Allowances allowances_;
  Manners manners_;
  Passwords passwords_;
  Cluster::Habits habits_;
  HostMisfortunes host_misfortunes_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<House> house_;
  std::unique_ptr<Watch> watch_;
  std::vector<std::unique_ptr<Actor>> actors_;
  std::unique_ptr<Scene> scene_;
  std::vector<std::unique_ptr<Operator>> operators_;
};

}  // namespace headgate::sim
