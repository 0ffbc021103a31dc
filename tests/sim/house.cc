#include "tests/sim/house.h"

#include "conf/load.h"

namespace headgate::sim {

const Address& House::address() {
  static const Address at{Address::Kind::ip4, 6432, "10.0.0.9"};
  return at;
}

House::House(World& world, Network& network, std::string ini, WorkerId workers,
             std::string user_list)
    : world_(world), ini_(std::move(ini)), user_list_(std::move(user_list)) {
  ProcessFacts facts;
  facts.read_file = [this](const std::string& path) -> Result<std::string> {
    if (path == "headgate.ini") return ini_;
    if (path == "users.txt") return user_list_;
    return Error(ErrorCode::io, path + ": no such file");
  };
  facts.listen_on = {address()};
  facts.mock_key = Bytes(32, 'k');
  facts.statement_salt = Bytes(16, 's');
  facts.channel_salt = Bytes(8, 'c');
  facts.set_up_log = [](const Settings&) {};
  facts.describe_error = [](int error) { return std::to_string(error); };
  facts.stop = [this](int) { stopped_ = true; };
  auto config = load_config("headgate.ini", facts.read_file);
  if (!config) world.violated("the configuration is refused: {}", config.error().message);
  pooler_ = std::make_unique<Pooler>(std::make_shared<const Config>(std::move(*config)), workers,
                                     std::move(facts));
  for (WorkerId id = 0; id < workers; ++id) {
    Worker& worker = pooler_->worker(id);
    outsides_.push_back(std::make_unique<SimOutside>(world, network, worker, id));
    outsides_.back()->names = {
        {"pg", {"10.0.0.1"}}, {"h0", {"10.0.0.1"}}, {"h1", {"10.0.0.2"}}, {"h2", {"10.0.0.3"}}};
    worker.set_outside(*outsides_.back());
  }
  MUST(static_cast<bool>(pooler_->listen()));
  pooler_->start();
}

// As main() ends.
House::~House() {
  for (const auto& outside : outsides_) outside->stop();
  pooler_->monitors().stop();
  for (WorkerId id = 0; id < workers(); ++id) pooler_->worker(id).close_everything();
  pooler_->close_listeners();
  world_.forget_everything();
}

}  // namespace headgate::sim
