// The addresses of hosts that are given by name: looked up once for the whole process, remembered
// for dns_max_ttl (or, if the look-up failed, dns_nxdomain_ttl), handed out in rotation, and looked
// up again while servers live at them. Arithmetic on names and time: who looks up and who is told
// is passed in. On worker 0's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/snapshot.h"
#include "base/result.h"
#include "base/time.h"
#include "proxy/io.h"

namespace headgate {

/// A host in use: who is connected to one of its addresses keeps it. Equal pointers are one host.
using HostUse = std::shared_ptr<const std::string>;

/// What is known of a host: its addresses, the next in turn in front; none if it cannot be found.
struct KnownHost {
  HostUse use;
  std::vector<Address> addresses;
};

class Names {
 public:
  using Told = std::function<void(const KnownHost&)>;
  /// Starts a look-up; answered() follows.
  using LookUp = std::function<void(const std::string& host)>;
  /// These addresses are no longer the host's: connections to them should go.
  using Vanished = std::function<void(const HostUse& host, const std::vector<Address>& addresses)>;

  /// However short a time to live is, a host in use is not looked up again more often.
  static constexpr Duration shortest_refresh = seconds(1);

  Names(LookUp look_up, Vanished vanished)
      : look_up_(std::move(look_up)), vanished_(std::move(vanished)) {}

  /// dns_max_ttl and dns_nxdomain_ttl, for answers to come.
  void set_lifetimes(Duration found, Duration failed);

  /// Tells the addresses of a host, at once or when they have been looked up.
  void find(const std::string& host, Instant now, Told told);
  void answered(const std::string& host, Result<std::vector<Address>> addresses, Instant now);

  /// Looks up again what is in use and out of date, and forgets what is not in use.
  void refresh(Instant now);
  /// When refresh() has something to do.
  std::optional<Instant> next_refresh() const;

  std::vector<DnsHostRow> rows(Instant now) const;
  /// How many look-ups are under way.
  size_t look_ups() const;

 private:
  struct Entry {
    HostUse use;
    std::vector<Address> addresses;  // of the last look-up that worked
    bool found = false;              // the last look-up worked
    bool looking_up = false;
    size_t turn = 0;
    Instant fresh_until{};
    Instant refresh_at{};
    std::vector<Told> waiting;
  };
  static KnownHost next_of(Entry& entry);
  void start(const std::string& host, Entry& entry);

  const LookUp look_up_;
  const Vanished vanished_;
  Duration found_lifetime_{}, failed_lifetime_{};
  std::map<std::string, Entry> entries_;  // hosts of the configuration
};

}  // namespace headgate
