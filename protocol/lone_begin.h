// Statements that open a transaction or end an empty one, alone in their text: what a client can be
// answered without a server (proxy/client_begin.cc). Only what every PostgreSQL surely accepts is
// taken for one; all else is for a server to judge.
//
// No I/O, no state.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace headgate {

enum class LoneStatement : uint8_t {
  other,
  begin,              // BEGIN [WORK | TRANSACTION] [modes]
  start_transaction,  // START TRANSACTION [modes]
  commit,             // COMMIT or END [WORK | TRANSACTION]
  rollback,           // ROLLBACK or ABORT [WORK | TRANSACTION]
};

/// The longest text that is looked at: room for all modes and a comment.
constexpr size_t max_lone_statement = 1024;

/// What the text is, with any white space, comments and semicolons around it. Texts that are not
/// ASCII are `other`: nobody knows how they are encoded.
LoneStatement lone_statement(View sql);

inline bool opens_transaction(LoneStatement statement) {
  return statement == LoneStatement::begin || statement == LoneStatement::start_transaction;
}

/// What a text that opens a transaction says of its access to data.
enum class Access : uint8_t {
  as_usual,   // nothing
  read_only,  // READ ONLY
  primary,    // READ WRITE, or SERIALIZABLE, which a hot standby does not have
};
Access access_of(View begin);

/// As in the CommandComplete of it.
View command_of(LoneStatement statement);

}  // namespace headgate
