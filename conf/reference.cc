#include "conf/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "conf/entries.h"
#include "conf/setting.h"
#include "conf/values.h"

namespace headgate {
namespace {

constexpr View introduction =
    R"(# Settings

This page is what `headgate --print-settings` prints. How files and the environment are written stands in
[configuration.md](configuration.md).

Times are seconds, or have a unit: `us`, `ms`, `s`, `min`, `h`, `d`. Sizes are bytes, or have one: `B`, `kB`, `MB`, `GB`,
`TB`. Switches are `1` or `0`, `yes` or `no`, `true` or `false`, `on` or `off`. "also in" names the sections whose lines
may have the setting as a key, for one database, user or peer.
)";

/// A key of the other sections that is no setting.
struct OwnKey {
  View name, type, default_text, help;
};
constexpr OwnKey own_keys[] = {
    {"dbname", "text", "the same name", "The database's name on the server."},
    {"host", "text", "",
     "The server: a name, a number, a directory with its unix socket, or a comma list; empty = "
     "unix_socket_dir."},
    {"port", "number from 1 to 65535", "5432; 6432 of a peer", "Its port."},
    {"user", "text", "", "Log in to servers as this user, whoever the client is."},
    {"password", "text", "", "That user's password; else the one of auth_file."},
    {"pool_size", "number", "`default_pool_size`",
     "Server connections of each pool; 0 = no limit."},
    {"reserve_pool", "number", "", "The old name of reserve_pool_size."},
    {"connect_query", "text", "", "Run on each new server connection before anybody gets it."},
    {"load_balance_hosts", "round-robin, disable", "`round-robin`",
     "Whether the hosts of a list take turns, or the first that works is used."},
    {"host_weights", "list of numbers", "", "How much each host of the list gets; 0 = no reads."},
    {"target_session_attrs", "any, primary, standby, prefer-standby, read-write, read-only",
     "`any`", "Which of the hosts are used, by the role that they have."},
    {"client_encoding", "text", "", "Start-up parameter of the servers."},
    {"datestyle", "text", "", "Start-up parameter of the servers."},
    {"timezone", "text", "", "Start-up parameter of the servers."},
    {"application_name", "text", "", "Start-up parameter of the servers."},
};

bool contains(const std::vector<View>& names, View name) {
  return std::ranges::find(names, name) != names.end();
}

std::string sections_with(View name) {
  std::string text;
  const auto add = [&](const std::vector<View>& keys, View section) {
    if (contains(keys, name)) text += fmt::format("{}{}", text.empty() ? "" : ", ", section);
  };
  add(database_keys(), "[databases]");
  add(user_keys(), "[users]");
  add(peer_keys(), "[peers]");
  return text;
}

std::string number_type(const Setting& setting) {
  switch (setting.counts) {
    case Counts::bytes:
      return "size";
    case Counts::seconds:
      return "time, whole seconds";
    case Counts::milliseconds:
      return "time, counted in milliseconds";
    case Counts::things:
      break;
  }
  const Range& range = setting.range;
  if (range.lowest >= 0 && range.highest != INT_MAX) {
    return fmt::format("number from {} to {}", range.lowest, range.highest);
  }
  return "number";
}

/// The type in words, by where the value lives.
struct TypeNamer {
  const Setting& setting;

  std::string operator()(int Settings::*) const { return number_type(setting); }
  std::string operator()(uint32_t Settings::*) const { return number_type(setting); }
  std::string operator()(bool Settings::*) const { return "switch"; }
  std::string operator()(Duration Settings::*) const { return "time"; }
  std::string operator()(Octal) const { return "octal number"; }
  std::string operator()(StatePolicies Settings::*) const { return "list of kind=policy"; }
  std::string operator()(AuditRate Settings::*) const { return "off, sample:N, all"; }
  std::string operator()(ReadConsistency Settings::*) const {
    return "session, eventual, lag:TIME";
  }
  template <Worded E>
  std::string operator()(E Settings::*) const {
    std::string list;
    for (const auto& word : words_of(E{})) {
      list += fmt::format("{}{}", list.empty() ? "" : ", ", word.text);
    }
    return list;
  }
  std::string operator()(std::string Settings::*) const { return "text"; }
  std::string operator()(std::optional<std::string> Settings::*) const { return "text"; }
  std::string operator()(FreeText) const { return "text"; }
  std::string operator()(const Other& other) const {
    if (other.type == Other::Type::duration) return "time";
    return other.type == Other::Type::integer ? number_type(setting) : "text";
  }
};

std::string row(const Setting& setting) {
  const std::string value = show(default_settings(), setting).value_or("");
  const bool names_itself = setting.name == "conffile" || value.empty();
  const View effect = setting.effect == Effect::never ? " Has no effect." : "";
  const auto same_name = [&](const OwnKey& key) { return key.name == setting.name; };
  const bool other_meaning = std::ranges::any_of(own_keys, same_name);  // `user`
  return fmt::format("| `{}` | {} | {} | {} | {} | {}{} |\n", setting.name,
                     other_meaning ? "" : sections_with(setting.name),
                     std::visit(TypeNamer{setting}, setting.home),
                     names_itself ? "" : fmt::format("`{}`", value),
                     setting.takes == Takes::restart ? "restart" : "reload", setting.help, effect);
}

std::string row(const OwnKey& key) {
  return fmt::format("| `{}` | {} | {} | {} | {} |\n", key.name, sections_with(key.name), key.type,
                     key.default_text, key.help);
}

}  // namespace

std::string settings_reference() {
  std::string text(introduction);
  text +=
      "\n## [pgbouncer] of an ini file, [headgate] of a TOML file\n\n"
      "| setting | also in | type | default | changes by | |\n|---|---|---|---|---|---|\n";
  for (const Setting& setting : all_settings()) text += row(setting);
  text += "\nOld names, accepted with a warning:";
  for (const OldName& old : old_names()) {
    text += fmt::format(" `{}` for `{}`.", old.old_name, old.name);
  }
  text +=
      "\n\n## Keys of [databases], [users] and [peers] alone\n\nA reload changes them all.\n\n"
      "| key | in | type | default | |\n|---|---|---|---|---|\n";
  for (const OwnKey& key : own_keys) text += row(key);
  return text;
}

}  // namespace headgate
