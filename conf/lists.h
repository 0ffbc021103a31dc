// Settings that are lists of words, such as `admin_users = alice, bob`.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// Whether `name` is one of the words, which are separated by commas and white space (admin_users,
/// stats_users, ignore_startup_parameters). Exact.
bool list_contains(View list, View name);

/// The parts between commas, without the white space around them and without empty ones
/// (listen_addr, track_extra_parameters).
std::vector<std::string> split_at_commas(View list);

/// What a list of weights (host_weights) says of one of a list of names; 1 where it says nothing.
int weight_of(View name, View names, std::span<const int> weights);

}  // namespace headgate
