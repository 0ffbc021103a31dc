// A client on the admin console: reads its queries, has them carried out, and answers. What needs
// other workers is posted to them, and the answer comes when they have replied; until then the
// console reads no further query.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "admin/console.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/framer.h"

namespace headgate {

class Client;
class Pooler;

class AdminSession {
 public:
  /// The longest query that the console reads (PgBouncer: pkt_buf).
  static constexpr uint32_t max_query = 4096;

  AdminSession(Client& client, ConsoleRights rights);

  void bytes(View in);

 private:
  struct Input;

  void query(View body);
  void carry_out(const ConsoleCommand& command);
  void show(const ConsoleCommand& command);
  /// Runs `action` where the pooler lives; its result is the answer to the command.
  void on_pooler(const ConsoleCommand& command,
                 std::function<std::optional<Error>(Pooler&)> action);
  void shut_down_now();
  void pause(const ConsoleCommand& command);
  static Bytes outcome(const ConsoleCommand& command, const std::optional<Error>& error);
  void answer(View out);
  void answer_error(const Error& error);
  std::function<void(Bytes)> later();

  Client& client_;
  const ConsoleRights rights_;
  Framer framer_;
  Buffer pending_;
  bool busy_ = false;
  bool goodbye_ = false;
  bool extended_ = false;  // it tried the extended protocol
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace headgate
