// What a login is checked against where there is nothing to check it with: an unknown user, or one
// without a usable secret. All of it follows from the user's name and a key that stays the same for
// the life of the process, so that asking twice shows nothing: a real user's salt does not change
// either.
#pragma once

#include "auth/scram.h"
#include "base/bytes.h"

namespace headgate {

/// The salt shown for a user who has none stored: 16 bytes, PostgreSQL's usual size. Users with a
/// plain secret get theirs here too, so that it differs from an unknown user's in nothing.
Bytes made_up_salt(View mock_key, View user);

/// A verifier with that salt, which no password is known to fit.
ScramVerifier made_up_verifier(View mock_key, View user, int iterations);

}  // namespace headgate
