// Advice about a configuration that loads: values that are risky, contradict each other or do
// nothing, each with the reason. Every rule is one row of the tables in conf/advice.cc. Only
// --check gives it: a pooler that has run for years must not start to complain.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "conf/check.h"
#include "conf/settings.h"

namespace headgate {

/// What the rules look at.
struct Situation {
  const Config& config;
  const Places& places;                 // of the settings that are set, wherever
  std::optional<uint64_t> descriptors;  // how many this process may have; nothing: not known
};

/// What one rule has to say.
struct Advice {
  View rule;         // its name
  std::string text;  // the values, the reason and, where there is one, the place
};

/// What all rules say, in the order of the tables.
std::vector<Advice> advise(const Situation& situation);

/// The connections that the pools of one user in each database may take together, by server, as in
/// `10.0.0.1:5432`. Without databases at unix sockets.
std::map<std::string, int64_t> most_connections(const Config& config);

/// The descriptors that this configuration may come to need.
uint64_t expected_descriptors(const Config& config);

}  // namespace headgate
