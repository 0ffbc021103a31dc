// One value of a configuration: its text read and printed, for each type a setting can have. The
// readers take the whole text or nothing; they accept all that PgBouncer does, and a little more.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "conf/settings.h"

namespace headgate {

/// An integer as strtol reads it with base 0: `0x20` is 32 and `010` is 8.
std::optional<int64_t> parse_integer(View text);

/// 1/0, yes/no, true/false, on/off. Any other integer but 0 is true, as in PgBouncer.
std::optional<bool> parse_switch(View text);

/// Seconds with or without a fraction, or a number with a unit: us, ms, s, min, h, d. Not negative;
/// what is longer than `longest_duration` is held to it.
std::optional<Duration> parse_duration(View text);
inline constexpr Duration longest_duration = seconds(100'000'000'000);

inline constexpr View duration_units = "us, ms, s, min, h, d";

/// A number of bytes: an integer, or a number with a unit: B, kB, MB, GB, TB, each 1024 times the
/// one before, in upper or lower case. Whole bytes that fit; nothing else.
std::optional<int64_t> parse_size(View text);
inline constexpr View size_units = "B, kB, MB, GB, TB";

/// Versions of TLS, a bit for each: 1.0 is the lowest. A list of words (tlsv1.0 to tlsv1.3, tlsv1
/// or all, secure or default) between commas or colons; `!` takes one away. Nothing for an unknown
/// word, or if no version is left.
std::optional<uint8_t> parse_tls_versions(View text);

/// Seconds as a plain decimal number: `15`, `1.5`.
std::string to_text(Duration duration);

/// A text for a message: cut where it is very long, control characters replaced.
std::string printable(View text);

bool equal_ignoring_case(View a, View b);

/// A value of an enum and the word for it in files and in SHOW.
template <class E>
struct Word {
  E value;
  View text;
};

inline constexpr Word<PoolMode> pool_mode_words[] = {
    {PoolMode::session, "session"},
    {PoolMode::transaction, "transaction"},
    {PoolMode::statement, "statement"},
};
inline constexpr Word<SessionPolicy> session_policy_words[] = {
    {SessionPolicy::track, "track"},
    {SessionPolicy::strict, "strict"},
    {SessionPolicy::pgbouncer, "pgbouncer"},
};
inline constexpr Word<AuthMethod> auth_method_words[] = {
    {AuthMethod::any, "any"},
    {AuthMethod::trust, "trust"},
    {AuthMethod::plain, "plain"},
    {AuthMethod::md5, "md5"},
    {AuthMethod::cert, "cert"},
    {AuthMethod::hba, "hba"},
    {AuthMethod::pam, "pam"},
    {AuthMethod::ldap, "ldap"},
    {AuthMethod::scram_sha_256, "scram-sha-256"},
};
inline constexpr Word<SslMode> ssl_mode_words[] = {
    {SslMode::disable, "disable"},     {SslMode::allow, "allow"},
    {SslMode::prefer, "prefer"},       {SslMode::require, "require"},
    {SslMode::verify_ca, "verify-ca"}, {SslMode::verify_full, "verify-full"},
};
inline constexpr Word<LoadBalance> load_balance_words[] = {
    {LoadBalance::round_robin, "round-robin"},
    {LoadBalance::disable, "disable"},
};
inline constexpr Word<TargetRole> target_role_words[] = {
    {TargetRole::any, "any"},
    {TargetRole::primary, "primary"},
    {TargetRole::standby, "standby"},
    {TargetRole::prefer_standby, "prefer-standby"},
    {TargetRole::primary, "read-write"},
    {TargetRole::standby, "read-only"},
};
inline constexpr Word<ReadRouting> read_routing_words[] = {
    {ReadRouting::off, "off"},
    {ReadRouting::declared, "explicit"},
    {ReadRouting::report, "report"},
    {ReadRouting::automatic, "auto"},
};
inline constexpr Word<TimeoutAction> timeout_action_words[] = {
    {TimeoutAction::cancel, "cancel"},
    {TimeoutAction::close, "close"},
};
inline constexpr Word<LogFormat> log_format_words[] = {
    {LogFormat::pgbouncer, "pgbouncer"},
    {LogFormat::json, "json"},
};
inline constexpr Word<ErrorCodes> error_codes_words[] = {
    {ErrorCodes::postgres, "postgres"},
    {ErrorCodes::pgbouncer, "pgbouncer"},
};

constexpr std::span<const Word<PoolMode>> words_of(PoolMode) { return pool_mode_words; }
constexpr std::span<const Word<SessionPolicy>> words_of(SessionPolicy) {
  return session_policy_words;
}
constexpr std::span<const Word<AuthMethod>> words_of(AuthMethod) { return auth_method_words; }
constexpr std::span<const Word<SslMode>> words_of(SslMode) { return ssl_mode_words; }
constexpr std::span<const Word<LoadBalance>> words_of(LoadBalance) { return load_balance_words; }
constexpr std::span<const Word<TargetRole>> words_of(TargetRole) { return target_role_words; }
constexpr std::span<const Word<ReadRouting>> words_of(ReadRouting) { return read_routing_words; }
constexpr std::span<const Word<TimeoutAction>> words_of(TimeoutAction) {
  return timeout_action_words;
}
constexpr std::span<const Word<LogFormat>> words_of(LogFormat) { return log_format_words; }
constexpr std::span<const Word<ErrorCodes>> words_of(ErrorCodes) { return error_codes_words; }

template <class E>
concept Worded = requires(E value) {
  words_of(value);
};

/// The word for a value, as SHOW prints it.
template <Worded E>
constexpr View name_of(E value) {
  for (const auto& word : words_of(value)) {
    if (word.value == value) return word.text;
  }
  return {};
}

/// The value of a word, upper or lower case.
template <Worded E>
std::optional<E> parse_word(View text) {
  for (const auto& word : words_of(E{})) {
    if (equal_ignoring_case(word.text, text)) return word.value;
  }
  return std::nullopt;
}

}  // namespace headgate
