// The SHOW commands and EXPLAIN ROUTE, each as a function that appends its columns and rows. All
// take the same, so that the console can look them up in a table. They only read, and never see a
// session.
#pragma once

#include "admin/console.h"

namespace headgate {

/// What a SHOW is answered from.
struct ShowRequest {
  const ConsoleCommand& command;
  const Snapshot& snapshot;
  const Config& config;
};

// connection_views.cc
void show_clients(Bytes& out, const ShowRequest& asked);
void show_servers(Bytes& out, const ShowRequest& asked);
void show_sockets(Bytes& out, const ShowRequest& asked);
void show_active_sockets(Bytes& out, const ShowRequest& asked);

// views.cc
void show_pools(Bytes& out, const ShowRequest& asked);
void show_databases(Bytes& out, const ShowRequest& asked);
void show_users(Bytes& out, const ShowRequest& asked);

// neighbour_views.cc
void show_peers(Bytes& out, const ShowRequest& asked);
void show_peer_pools(Bytes& out, const ShowRequest& asked);
void show_dns_hosts(Bytes& out, const ShowRequest& asked);
void show_dns_zones(Bytes& out, const ShowRequest& asked);

// audit_view.cc
void show_audit(Bytes& out, const ShowRequest& asked);
// hosts_view.cc
void show_hosts(Bytes& out, const ShowRequest& asked);

// wait_views.cc
void show_waits(Bytes& out, const ShowRequest& asked);
void show_holders(Bytes& out, const ShowRequest& asked);

// route_view.cc
void explain_route(Bytes& out, const ShowRequest& asked);
void show_routes(Bytes& out, const ShowRequest& asked);

// fds_view.cc
void show_fds(Bytes& out, const ShowRequest& asked);

// stats_views.cc
void show_stats(Bytes& out, const ShowRequest& asked);
void show_stats_totals(Bytes& out, const ShowRequest& asked);
void show_stats_averages(Bytes& out, const ShowRequest& asked);
void show_totals(Bytes& out, const ShowRequest& asked);

// state_views.cc
void show_lists(Bytes& out, const ShowRequest& asked);
void show_config(Bytes& out, const ShowRequest& asked);
void show_mem(Bytes& out, const ShowRequest& asked);
void show_state(Bytes& out, const ShowRequest& asked);
void show_version(Bytes& out, const ShowRequest& asked);
void show_help(Bytes& out, const ShowRequest& asked);
void show_parameter(Bytes& out, const ShowRequest& asked);

/// The PgBouncer whose behaviour is promised. Exporters and scripts read it from SHOW VERSION, and
/// drivers from server_version, to know which columns to expect.
constexpr View compatible_version = "1.26.0";

}  // namespace headgate
