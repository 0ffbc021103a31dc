// A simulated operator: logs in to the console, looks and acts at random moments, and checks that
// every answer can be true. One that may only look is refused everything else.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/house.h"
#include "tests/sim/watch.h"

namespace headgate::sim {

/// What the console has shown.
struct Shown {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  const std::string& at(size_t row, View column) const;
  int64_t number(size_t row, View column) const;
};

/// What an operator has to know of the story.
struct Scene {
  World& world;
  Network& network;
  Ledger& ledger;
  House& house;
  const Passwords& passwords;
  Watch::Limits limits;
  const std::vector<std::unique_ptr<Actor>>& actors;
};

class Operator {
 public:
  enum class Role : uint8_t { admin, viewer, stranger };
  Operator(const Scene& scene, Role role, bool acts, int commands);

  /// The settings that its next RELOAD finds.
  std::function<void()> change_ini;

  void start();
  /// From now on it only looks.
  void rest() { acts_ = false; }
  bool finished() const { return phase_ == Phase::gone; }
  std::string describe() const;

 private:
  enum class Phase : uint8_t { connecting, login, ready, gone };

  void hear();
  void message(char tag, View body);
  void login_message(char tag, View body);
  void answer(char tag, View body);
  void error(View body);
  void over();
  void say(char tag, View body);
  void think();
  void act();
  std::string choose();
  std::string choose_deed();
  void begin(const std::string& command);
  void end();
  Ledger::Deeds* deeds();
  bool is(View word) const { return View(command_).starts_with(word); }
  bool may_fail(View error) const;

  // --- what can be true
  void check_done();
  void check_paused();
  void check_shown();
  void check_pools();
  void check_servers();
  void check_clients();
  void check_databases();
  void check_totals();
  void check_config();
  void check_number(View what, const std::string& of, int64_t number, int64_t most);
  size_t actors_of(const std::string& database, const std::string& user) const;

  const Scene scene_;
  World& world_;
  const Role role_;
  bool acts_;
  int commands_left_;
  Visitor visitor_;
  EndPtr end_;
  Phase phase_ = Phase::connecting;
  Bytes in_, out_;
  std::string command_, database_;  // what was asked, of which database
  Shown shown_;
  bool answered_ = false;  // something has come
  bool failed_ = false, told_ = false;
  Instant asked_at_{};
  uint64_t ids_before_ = 0, resumes_before_ = 0, all_resumed_before_ = 0, settings_before_ = 0;
  std::optional<std::string> lifetime_set_;
  /// As seen last, and how often the database had been forgotten when it was asked for.
  struct Total {
    int64_t value = 0;
    uint64_t forgotten = 0;
  };
  std::map<std::string, Total> totals_;
  std::map<std::string, uint64_t> forgotten_before_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace headgate::sim
