#include "conf/audit_rate.h"

#include <climits>

#include "conf/values.h"

namespace headgate {

namespace {

constexpr View sample = "sample:";

}  // namespace

std::optional<std::string> parse_audit_rate(View text, AuditRate& into) {
  if (equal_ignoring_case(text, "off")) {
    into.every = 0;
    return std::nullopt;
  }
  if (equal_ignoring_case(text, "all")) {
    into.every = 1;
    return std::nullopt;
  }
  const bool samples = equal_ignoring_case(text.substr(0, sample.size()), sample);
  const auto number = samples ? parse_integer(text.substr(sample.size())) : std::nullopt;
  if (!number || *number < 1 || *number > INT_MAX) {
    return "off, all or sample:N, which looks at one of N servers that come back";
  }
  into.every = static_cast<int>(*number);
  return std::nullopt;
}

std::string to_text(AuditRate rate) {
  if (rate.every == 0) return "off";
  return rate.every == 1 ? "all" : std::string(sample) + std::to_string(rate.every);
}

}  // namespace headgate
