// One conversation on the console: the client's messages become commands, and their outcomes become
// messages. PgBouncer knows the simple protocol alone; here the extended one works as well, for
// commands without parameters, because most drivers speak nothing else.
//
// As in PostgreSQL an error in a batch skips what follows up to Sync. There are no transactions, so
// a portal lives until the next Sync. Nothing here runs a command or sees a session.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "admin/console.h"
#include "protocol/rows.h"

namespace headgate {

/// What is to happen after a message, or after a command.
struct ConsoleStep {
  enum class Next : uint8_t {
    read,    // the next message
    run,     // carry out command(), and call answered()
    broken,  // the client breaks the protocol
  };
  Next next = Next::read;
  Bytes out;                   // for the client
  std::optional<Error> error;  // it is in `out`, if it was not swallowed; for the log
};

class ConsoleProtocol {
 public:
  /// The longest message (PgBouncer: pkt_buf).
  static constexpr uint32_t max_message = 4096;
  /// Prepared statements and portals at a time; drivers keep a hundred at most.
  static constexpr size_t max_statements = 128, max_portals = 32;

  explicit ConsoleProtocol(ConsoleRights rights) : rights_(rights) {}

  /// Whether a client may say this.
  static bool understands(char tag);

  ConsoleStep message(char tag, View body);

  const ConsoleCommand& command() const { return command_; }
  /// The command was carried out: its rows, notices and tag as the simple protocol has them.
  ConsoleStep answered(Result<Bytes> answer);

 private:
  struct Statement {
    ConsoleCommand command;
    std::vector<SqlType> types;  // of its columns
  };
  struct Portal {
    Statement statement;
    std::vector<int16_t> formats;
    std::optional<Bytes> rest{};  // what is left of its answer; nothing: it has not run
  };

  ConsoleStep query(View body);
  ConsoleStep parse(View body);
  ConsoleStep bind(View body);
  ConsoleStep describe(View body);
  ConsoleStep execute(View body);
  ConsoleStep close(View body);
  ConsoleStep sync();
  ConsoleStep fail(Error error);
  ConsoleStep send_rows(Portal& portal);

  const ConsoleRights rights_;
  std::map<std::string, Statement, std::less<>> statements_;
  std::map<std::string, Portal, std::less<>> portals_;
  ConsoleCommand command_{};
  Portal* running_ = nullptr;  // null: the command came as a simple query
  int32_t max_rows_ = 0;       // of the Execute; zero: all
  bool skipping_ = false;      // up to Sync, after an error
};

}  // namespace headgate
