// A client on the admin console: hears its messages, has its commands carried out, and answers.
// What needs other workers is posted to them, and the answer comes when they have replied; until
// then the console hears no further message.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "admin/console_protocol.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/framer.h"
#include "proxy/io.h"

namespace headgate {

class Client;
class Pooler;
struct DescriptorsFound;

class AdminSession {
 public:
  AdminSession(Client& client, ConsoleRights rights);
  ~AdminSession();

  void bytes(View in);
  /// Somebody sent a cancel request with this console's key.
  void cancel_requested();
  /// It may be able to hear what it was sent meanwhile: it has been answered, or has read.
  void go_on();

 private:
  struct Input;
  /// What will be called with the answer, on any thread.
  using Reply = std::function<void(Result<Bytes>)>;
  using Outcome = Result<Bytes>;

  bool listens() const;
  void message(char tag, View body);
  void carry_out(const ConsoleCommand& command);
  void run(std::function<std::optional<Error>(Pooler&)> action);
  void wait(const ConsoleCommand& command);
  void show(const ConsoleCommand& command);
  void show_descriptors(const ConsoleCommand& command);
  void send_descriptors(const DescriptorsFound& found, Bytes rows);
  /// Runs `action` where the pooler lives; its result is the answer to the command.
  void on_pooler(std::function<Outcome(Pooler&)> action);
  /// The same for what takes its time.
  void wait_on_pooler(std::function<void(Pooler&, Reply)> action);
  void shut_down_now();
  void answer(Result<Bytes> out);
  void take_step(ConsoleStep step);
  bool is_owner() const;
  Reply later();

  Client& client_;
  ConsoleProtocol protocol_;
  Framer framer_;
  Buffer pending_;
  Instant busy_since_{};
  bool busy_ = false;
  bool goodbye_ = false;
  bool broken_ = false;
  std::vector<ParcelPtr> attached_;  // to the rows of SHOW FDS
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace headgate
