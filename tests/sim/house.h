// A whole Headgate in a simulated world: the real pooler with its workers, each on a simulated
// outside, all in one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/pooler.h"
#include "tests/sim/outside.h"

namespace headgate::sim {

class House {
 public:
  /// Throws a Violation where the configuration is refused.
  House(World& world, Network& network, std::string ini, WorkerId workers,
        std::string user_list = "");
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  static const Address& address();
  Pooler& pooler() { return *pooler_; }
  SimOutside& outside(size_t worker) { return *outsides_[worker]; }
  WorkerId workers() const { return static_cast<WorkerId>(outsides_.size()); }
  /// What the files say from the next reload on.
  void set_ini(std::string ini) { ini_ = std::move(ini); }
  /// Does something on worker 0, as signals and the console do.
  void command(std::function<void(Pooler&)> action) { pooler_->post(std::move(action)); }
  bool stopped() const { return stopped_; }

 private:
  World& world_;
  std::string ini_;
  const std::string user_list_;
  std::unique_ptr<Pooler> pooler_;
  std::vector<std::unique_ptr<SimOutside>> outsides_;
  bool stopped_ = false;
};

}  // namespace headgate::sim
