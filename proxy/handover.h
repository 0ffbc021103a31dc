// Online restart, the old process: a private socket beside that of the clients, where a new process
// of the same user may ask for all there is. First it gets holds on the listening sockets; until it
// says that it has taken over, nothing has changed here. Then each client that can move goes over
// as it comes to rest (proxy/departures.h), what the pools keep is told as it becomes less, and
// cancel requests come back for clients that are still here. On worker 0.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/deadlines.h"
#include "protocol/framer.h"
#include "protocol/handover.h"
#include "proxy/link.h"

namespace headgate {

class Pooler;
class Handover;

/// A connection to the private socket.
class Successor final : public LinkUser {
 public:
  /// How long it may take from one step to the next before it has taken over.
  static constexpr Duration patience = seconds(60);

  Successor(Handover& handover, ParcelPtr connection);
  void send(View message);
  void send_with(View message, ParcelPtr attached);
  bool takes_over() const { return taken_; }
  /// What it understands beyond the first of its version.
  int32_t additions() const { return additions_; }
  std::optional<Stream::PeerProcess> peer() const { return link_.stream().peer_process(); }
  /// All that was said has left this process.
  bool all_sent() const { return !link_.open() || link_.stream().queued() == 0; }
  void close() { link_.close(false); }

 private:
  void on_link_bytes(View bytes) override;
  void on_link_drained() override {}
  void on_link_end(int error) override;
  void message(char tag, View body);
  void greeted(const handover::Hello& hello);

  Handover& handover_;
  Link link_;
  Framer framer_;
  Deadline deadline_;
  int32_t process_ = 0;  // 0: it has not said Hello
  int32_t additions_ = 0;
  bool taken_ = false;
};

class Handover final : public ListenerUser {
 public:
  explicit Handover(Pooler& pooler);
  ~Handover();

  Pooler& pooler() { return pooler_; }
  /// The private socket: a new one, or the old process's.
  Result<Done> listen(const Address& at, const ListenOptions& options);
  /// The private socket, if it is this one.
  Listener* listener_at(int descriptor) const {
    return listener_ && listener_->descriptor() == descriptor ? listener_.get() : nullptr;
  }
  void close_everything();

  /// A client that has come to rest; if the new process is gone, it stays.
  void give(const Bytes& record, ParcelPtr connection);
  /// What has changed of the servers here; behind the first time, and when asked for `all`.
  void tell_what_is_held(bool all = false);
  /// What the pools here may do from now on is settled: the new process may begin.
  void go();
  void cancel_is_done(uint64_t requester);
  bool has_successor() const { return successor_ != nullptr; }
  bool all_sent() const { return !successor_ || successor_->all_sent(); }

  // --- told by the connection
  void asked(Successor& successor);
  void taken(int process);
  void cancel(const handover::Cancel& cancel);
  void lost(Successor& successor, const std::string& why);

 private:
  void tell_timelines();
  void on_accept(ParcelPtr connection, bool from_unix) override;
  void on_accept_failed(int) override {}

  Pooler& pooler_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Successor> successor_;
  std::vector<std::unique_ptr<Successor>> dead_;
  std::map<std::pair<std::string, std::string>, int> told_;  // of a pool
  std::map<uint64_t, int32_t> cancels_;                      // by who asks here: its number there
};

}  // namespace headgate
