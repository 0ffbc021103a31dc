#include "proxy/descriptors.h"

#include "protocol/backend.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

DescriptorRow row_of(const char* task, const Address& peer, int listen_port) {
  DescriptorRow row;
  row.task = task;
  row.address = peer.is_unix() ? "unix" : peer.host;
  row.port = peer.is_unix() ? listen_port : peer.port;
  return row;
}

void set_parameters(DescriptorRow& row, const TrackedValues& values) {
  const auto text = [&](Tracked parameter) {
    const Text& value = values.get(parameter);
    return value ? *value : std::string();
  };
  row.client_encoding = text(Tracked::client_encoding);
  row.standard_strings = text(Tracked::standard_conforming_strings);
  row.datestyle = text(Tracked::date_style);
  row.timezone = text(Tracked::time_zone);
}

// As it stands in BackendKeyData; keys of other lengths fit no column.
uint64_t key_of(const Server& server) {
  if (server.secret().size() != 4) return 0;
  return uint64_t{static_cast<uint32_t>(server.process())} << 32 | load_u32(server.secret().data());
}

bool can_move(const Link& link) { return link.open() && link.tls() == nullptr; }

}  // namespace

void Worker::describe_descriptors(DescriptorsFound& found, bool attach) {
  const int listen_port = config().settings.listen_port;
  clients_.for_each([&](Client& client) {
    const bool in_pool = client.pool() && !client.login();
    if (!in_pool || client.state() == ClientState::closed || !can_move(client.link())) return;
    const Stream& stream = client.link().stream();
    DescriptorRow row = row_of("client", stream.peer(), listen_port);
    row.user = client.user();
    row.database = client.pool()->entry().database.name;
    row.cancel_key = client.cancel_key().bits;
    if (Server* server = client.server()) row.link = server->link().stream().descriptor();
    set_parameters(row, client.values());
    if (const auto keys = client.pool()->entry().keys()) {
      row.scram_client_key = std::string(keys->client_key);
      row.scram_server_key = std::string(keys->server_key);
    }
    found.add(stream, std::move(row), attach);
  });
  servers_.for_each([&](Server& server) {
    // Whoever took a connection that listens for an idle one would lend out what is notified there.
    const bool listens = server.task() == Server::Task::listening && !attach;
    const bool at_work = server.task() == Server::Task::idle || server.relay() || listens;
    if (!at_work || !can_move(server.link())) return;
    const Stream& stream = server.link().stream();
    DescriptorRow row = row_of("server", stream.peer(), server.pool().settings().entry.port);
    row.user = server.pool().entry().user.name;
    row.database = server.pool().entry().database.name;
    row.cancel_key = key_of(server);
    if (Relay* relay = server.relay()) row.link = relay->client().link().stream().descriptor();
    set_parameters(row, server.values());
    found.add(stream, std::move(row), attach);
  });
}

void Pooler::descriptors(bool attach, std::function<void(std::shared_ptr<DescriptorsFound>)> done) {
  const auto all = std::make_shared<DescriptorsFound>();
  for (const auto& listener : listeners_) {
    const Address& at = listener->address();
    all->add(*listener, row_of("pooler", at, config_->settings.listen_port), attach);
  }
  sum_over_workers(
      [this, all, attach](Worker& worker) -> size_t {
        const auto part = std::make_shared<DescriptorsFound>();
        worker.describe_descriptors(*part, attach);
        post([all, part](Pooler&) {
          merge(all->rows, std::move(part->rows));
          std::ranges::move(part->parcels, std::back_inserter(all->parcels));
          all->exhausted |= part->exhausted;
        });
        return 0;
      },
      [all, done = std::move(done)](size_t) { done(all); });
}

size_t send_with_descriptors(Link& link, View answer, std::vector<ParcelPtr>& parcels) {
  size_t at = 0;
  for (size_t row = 0; row < parcels.size() && at < answer.size();) {
    const View message = answer.substr(at, 1 + size_t{load_u32(answer.data() + at + 1)});
    if (message[0] == backend::data_row) {
      link.stream().write_with(message, std::move(parcels[row++]));
    } else {
      link.stream().write({&message, 1});
    }
    at += message.size();
  }
  return at;
}

}  // namespace headgate
