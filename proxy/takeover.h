// Online restart, the new process: clients come from the old one as they come to rest, and cancel
// requests go there for those that have not come yet. It lives as long as the old process does. On
// worker 0.
#pragma once

#include <cstdint>
#include <map>

#include "base/deadlines.h"
#include "protocol/framer.h"
#include "protocol/handover.h"
#include "protocol/startup.h"
#include "proxy/cancel.h"
#include "proxy/link.h"

namespace headgate {

class Pooler;

class Takeover final : public LinkUser {
 public:
  /// New clients are accepted by then, whatever the old process has said.
  static constexpr Duration patience = seconds(5);

  /// Says that this process has taken over.
  Takeover(Pooler& pooler, ParcelPtr channel);
  /// Whether the old process is still there.
  bool goes_on() const { return link_.open(); }
  /// A cancel request whose key nobody has here.
  void pass_on(const CancelRequest& request, Requester requester);
  void close() { link_.close(false); }

 private:
  void on_link_bytes(View bytes) override;
  void on_link_drained() override {}
  void on_link_end(int error) override;
  bool message(char tag, View body);
  void client_comes(View body);
  void accept();
  void end(const char* why);

  Pooler& pooler_;
  Link link_;
  Framer framer_;
  Deadline accept_at_;
  bool accepts_ = false;
  size_t clients_ = 0;
  int32_t last_number_ = 0;
  std::map<int32_t, Requester> cancels_;
};

}  // namespace headgate
