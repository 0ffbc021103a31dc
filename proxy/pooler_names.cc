// How workers come by the addresses of hosts: asked of worker 0 by letter, answered by letter. The
// look-ups are the system's, through worker 0's loop.
#include <algorithm>

#include "proxy/log.h"
#include "proxy/pooler.h"

namespace headgate {

namespace {

bool is_name(const std::string& host) {
  if (host.starts_with('/') || host.starts_with('@')) return false;
  return host.find(':') == std::string::npos &&
         host.find_first_not_of("0123456789.") != std::string::npos;
}

}  // namespace

void Pooler::find_host(Worker& asker, const std::string& host, uint16_t port, Names::Told told) {
  if (!is_name(host)) {
    return asker.outside().resolve(
        host, port, [told = std::move(told), &asker](const Result<std::vector<Address>>& found) {
          asker.begin_event();
          told(KnownHost{nullptr, found ? *found : std::vector<Address>()});
          asker.outbox().flush();
        });
  }
  post([id = asker.id(), host, port, told = std::move(told)](Pooler& pooler) {
    pooler.names().find(
        host, pooler.workers_[0]->now(), [&pooler, id, port, told](KnownHost known) {
          for (Address& address : known.addresses) address.port = port;
          pooler.workers_[id]->post([told, known = std::move(known)](Worker&) { told(known); });
        });
  });
}

Names& Pooler::names() {
  if (names_) return *names_;
  names_.emplace([this](const std::string& host) { look_up(host); },
                 [this](const HostUse& host, const std::vector<Address>& addresses) {
                   addresses_vanished(host, addresses);
                 });
  refresh_.emplace(
      workers_[0]->deadlines(),
      [](void* self, Instant now) {
        static_cast<Pooler*>(self)->names_->refresh(now);
        static_cast<Pooler*>(self)->arm_refresh();
      },
      this);
  set_name_lifetimes();
  return *names_;
}

void Pooler::set_name_lifetimes() {
  if (names_)
    names_->set_lifetimes(config_->settings.dns_max_ttl, config_->settings.dns_nxdomain_ttl);
}

void Pooler::look_up(const std::string& host) {
  workers_[0]->outside().resolve(host, 0, [this, host](Result<std::vector<Address>> addresses) {
    workers_[0]->begin_event();
    if (!addresses) log(LogLevel::warning, "{}", addresses.error().message);
    names_->answered(host, std::move(addresses), workers_[0]->now());
    arm_refresh();
  });
}

void Pooler::arm_refresh() {
  if (const auto next = names_->next_refresh()) {
    refresh_->arm(*next);
  } else {
    refresh_->disarm();
  }
}

void Pooler::addresses_vanished(const HostUse& host, const std::vector<Address>& addresses) {
  for (const Address& address : addresses) {
    log(LogLevel::log, "{} is no longer an address of {}", address.host, *host);
  }
  post_to_all([host, addresses](Worker& worker) { worker.close_servers_at(host, addresses); });
  monitors_.addresses_vanished(host, addresses);
}

}  // namespace headgate
