// A password checked by an LDAP directory: the user's name is bound with it, after a search for
// that name if the options say so (auth/ldap_options.h).
#pragma once

#include "proxy/directories.h"

namespace headgate {

/// Blocks, at most about as long as the question's patience for each server that does not answer.
bool ldap_accepts(const DirectoryQuestion& question);

}  // namespace headgate
