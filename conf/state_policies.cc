#include "conf/state_policies.h"

#include <fmt/format.h>

#include "conf/values.h"

namespace headgate {

namespace {

constexpr std::array<View, pin_count> kind_words = {
    "advisory_lock", "temporary", "cursor", "prepared", "listen", "load", "setting"};

constexpr Word<StatePolicy> policy_words[] = {
    {StatePolicy::track, "track"},   {StatePolicy::pin, "pin"},       {StatePolicy::warn, "warn"},
    {StatePolicy::refuse, "refuse"}, {StatePolicy::ignore, "ignore"},
};

constexpr View between = ", \t";

std::optional<Pin> kind_of(View word) {
  for (size_t i = 0; i < pin_count; ++i) {
    if (equal_ignoring_case(kind_words[i], word)) return static_cast<Pin>(i);
  }
  return std::nullopt;
}

std::optional<StatePolicy> policy_of(View word) {
  for (const auto& [policy, text] : policy_words) {
    if (equal_ignoring_case(text, word)) return policy;
  }
  return std::nullopt;
}

std::string expected_list() {
  return "a list such as advisory_lock=refuse, temporary=warn, of setting, prepared, listen, "
         "advisory_lock, temporary, cursor and load, each track, pin, warn, refuse or ignore";
}

}  // namespace

View word_of(Pin kind) { return kind_words[static_cast<size_t>(kind)]; }

bool StatePolicies::can_follow(Pin kind) { return StatePolicies().of(kind) == StatePolicy::track; }

Pins StatePolicies::with(StatePolicy policy) const {
  Pins kinds;
  for (size_t i = 0; i < pin_count; ++i) {
    if (policies_[i] == policy) kinds.add(static_cast<Pin>(i));
  }
  return kinds;
}

std::optional<std::string> parse_state_policies(View text, StatePolicies& into) {
  StatePolicies read;
  for (size_t at = text.find_first_not_of(between); at != View::npos;
       at = text.find_first_not_of(between)) {
    text.remove_prefix(at);
    const View item = text.substr(0, text.find_first_of(between));
    text.remove_prefix(item.size());
    const size_t equals = item.find('=');
    if (equals == View::npos) return expected_list();
    const auto kind = kind_of(item.substr(0, equals));
    const auto policy = policy_of(item.substr(equals + 1));
    if (!kind || !policy) return expected_list();
    if (*policy == StatePolicy::track && !StatePolicies::can_follow(*kind)) {
      return fmt::format("pin, warn, refuse or ignore for {}: it cannot go to another server",
                         word_of(*kind));
    }
    read.policies_[static_cast<size_t>(*kind)] = *policy;
  }
  into = read;
  return std::nullopt;
}

std::string to_text(const StatePolicies& policies) {
  const StatePolicies defaults;
  std::string text;
  for (size_t i = 0; i < pin_count; ++i) {
    const auto kind = static_cast<Pin>(i);
    if (policies.of(kind) == defaults.of(kind)) continue;
    const View word = policy_words[static_cast<size_t>(policies.of(kind))].text;
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", word_of(kind), word);
  }
  return text;
}

}  // namespace headgate
