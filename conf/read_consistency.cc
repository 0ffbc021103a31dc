#include "conf/read_consistency.h"

#include "conf/values.h"

namespace headgate {

namespace {

constexpr View lag_prefix = "lag:";

}  // namespace

std::optional<std::string> parse_read_consistency(View text, ReadConsistency& into) {
  using Kind = ReadConsistency::Kind;
  if (equal_ignoring_case(text, "session") || equal_ignoring_case(text, "eventual")) {
    into = {equal_ignoring_case(text, "session") ? Kind::session : Kind::eventual, {}};
    return std::nullopt;
  }
  const bool bounded = equal_ignoring_case(text.substr(0, lag_prefix.size()), lag_prefix);
  const auto lag = bounded ? parse_duration(text.substr(lag_prefix.size())) : std::nullopt;
  if (!lag) return "session, eventual or lag:TIME, as in lag:2s";
  into = {Kind::lag, *lag};
  return std::nullopt;
}

std::string to_text(const ReadConsistency& consistency) {
  switch (consistency.kind) {
    case ReadConsistency::Kind::session:
      return "session";
    case ReadConsistency::Kind::eventual:
      return "eventual";
    case ReadConsistency::Kind::lag:
      break;
  }
  return std::string(lag_prefix) + to_text(consistency.lag);
}

}  // namespace headgate
