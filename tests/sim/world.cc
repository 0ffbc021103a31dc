#include "tests/sim/world.h"

#include <algorithm>

namespace headgate::sim {

void World::at(Instant when, Action action) {
  queue_.push_back({std::max(when, now_), ++order_, std::move(action)});
  std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
}

bool World::step() {
  if (queue_.empty()) return false;
  std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
  Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.when;
  ++events_;
  mark(static_cast<uint64_t>(now_.time_since_epoch().count()));
  event.action();
  return true;
}

void World::record(std::string line) {
  const auto micro = now_.time_since_epoch().count() - 1'000'000'000;
  notes_.push_back(fmt::format("{:>11.6f}  {}", static_cast<double>(micro) / 1e6, line));
  if (notes_.size() > kept_notes) notes_.pop_front();
}

}  // namespace headgate::sim
