// SASLprep (RFC 4013): the form of a password that SCRAM keys are made from, so that an umlaut
// typed in one piece opens what was set with one of two pieces. As PostgreSQL does it: what cannot
// be normalised (no UTF-8, forbidden or unassigned characters, nothing left) is taken as it is.
#pragma once

#include "base/bytes.h"

namespace headgate {

/// Longer passwords are taken as they are: sorting the combining marks of a text takes the square
/// of its length, and a stranger chooses it.
constexpr size_t longest_prepared_password = 2048;

Bytes saslprep(View password);

}  // namespace headgate
