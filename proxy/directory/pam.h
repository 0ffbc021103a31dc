// A password checked by PAM.
#pragma once

#include "proxy/directories.h"

namespace headgate {

/// Asks the PAM service `pgbouncer`; takes as long as its modules do.
bool pam_accepts(const DirectoryQuestion& question);

}  // namespace headgate
