// A listening socket in a loop: hands every new connection on as a parcel, and pauses for a second
// where the system has no descriptor or memory left (the clients wait in the backlog meanwhile).
//
// Owned by who asked for it; may be destroyed within its own callbacks.
#pragma once

#include "proxy/descriptor.h"
#include "proxy/io.h"
#include "proxy/uv/loop_state.h"
#include "proxy/uv/unix_path.h"

namespace headgate {

/// Binds and listens; errors read "cannot listen on ADDRESS: STEP(): REASON".
Result<std::unique_ptr<Listener>> listen_on(LoopState& state, const Address& on,
                                            const ListenOptions& options, ListenerUser& user);

class UvListener final : public Listener {
 public:
  static constexpr int most_accepts_at_once = 64;
  static constexpr int most_accepts_at_end = 4096;
  static constexpr uint64_t pause_ms = 1000;

  UvListener(Address address, UnixPath path)
      : address_(std::move(address)), path_(std::move(path)) {}
  ~UvListener() override;
  UvListener(const UvListener&) = delete;
  UvListener& operator=(const UvListener&) = delete;

  /// Starts to accept; 0 or an errno.
  int start(LoopState& state, Descriptor socket, ListenerUser& user);
  const Address& address() const override { return address_; }
  void accept_waiting() override;
  void set_defer_accept(bool defer) override;
  void leave_path() override { path_.leave(); }
  void take_path() override {
    if (address_.is_unix()) path_ = UnixPath(address_);
  }
  void accept(bool wanted) override;
  int descriptor() const override;
  ParcelPtr duplicate() const override;

 private:
  struct Handles;

  Address address_;
  UnixPath path_;
  Handles* handles_ = nullptr;  // they live until libuv lets their timer go
};

}  // namespace headgate
