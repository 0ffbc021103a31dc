// How many of the servers that come back from clients are looked at: the setting session_audit.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"

namespace headgate {

struct AuditRate {
  int every = 0;  // each so many-th; 0: none
  bool operator==(const AuditRate&) const = default;
};

/// Reads `off`, `all` or `sample:N`, upper or lower case. If it is not valid, changes nothing and
/// says what would be.
std::optional<std::string> parse_audit_rate(View text, AuditRate& into);

/// In the words of the file.
std::string to_text(AuditRate rate);

}  // namespace headgate
