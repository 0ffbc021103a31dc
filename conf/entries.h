// Lines of [databases], [users] and [peers]: connection strings given their meaning. Error texts
// are PgBouncer's and never contain the string itself, which may hold a password.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "conf/settings.h"

namespace headgate {

inline constexpr size_t longest_database_name = 63;  // bytes, as in PostgreSQL
inline constexpr size_t longest_user_name = 127;     // bytes, as in PgBouncer

/// The largest of host_weights.
inline constexpr int most_host_weight = 100;

/// The database that is the admin console.
inline constexpr View console_database = "pgbouncer";

/// The keys of a line in each section, in the order of the tables.
std::vector<View> database_keys();
std::vector<View> user_keys();
std::vector<View> peer_keys();

/// `name = connection string` of [databases]. `warnings` gets a line for each thing that was
/// accepted but looks wrong or has no effect yet.
Result<DatabaseEntry> parse_database(const std::string& name, const std::string& text,
                                     std::vector<std::string>& warnings);

Result<UserEntry> parse_user(const std::string& name, const std::string& text,
                             std::vector<std::string>& warnings);

/// `id = connection string` of [peers].
Result<PeerEntry> parse_peer(const std::string& id, const std::string& text,
                             std::vector<std::string>& warnings);

}  // namespace headgate
