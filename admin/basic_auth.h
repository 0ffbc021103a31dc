// The password in front of what is read by HTTP (RFC 7617, "Basic").
#pragma once

#include "base/bytes.h"

namespace headgate {

/// Whether an Authorization header brings this password, under any user name. Compared in constant
/// time.
bool brings_password(View authorization, View password);

}  // namespace headgate
