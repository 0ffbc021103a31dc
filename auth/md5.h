// PostgreSQL's md5 password method: what is stored is "md5" + md5(password + user), what travels is
// "md5" + md5(that hash + four bytes of salt). Kept for old servers and old files; SCRAM is the
// better way.
#pragma once

#include <optional>

#include "auth/secret.h"
#include "base/bytes.h"

namespace headgate {

constexpr size_t md5_salt_size = 4;

/// "md5" and 32 digits, as userlist.txt stores it; nothing where the system forbids MD5.
std::optional<Bytes> md5_secret(View password, View user);

/// The password message that answers a challenge, made from a plain or md5 secret; nothing for
/// other kinds, or where the system forbids MD5.
std::optional<Bytes> md5_answer(const Secret& secret, View user, View salt);

}  // namespace headgate
