#include "conf/example.h"

#include <fmt/format.h>

#include "conf/setting.h"

namespace headgate {
namespace {

constexpr View introduction =
    R"(; Headgate: every setting with its default. This file is made from conf/settings_table.cc.
;
; A line that begins with ; or # is a comment, and one may follow a value. Times are seconds or have
; a unit: 100ms, 30s, 5min, 1h, 1d; sizes are bytes or have one: 64kB, 256MB. Switches are 1 or 0,
; yes or no, true or false, on or off.
; A pgbouncer.ini can be used as it is.

[databases]
; name = key=value ...
; Keys: host port dbname user password pool_size min_pool_size reserve_pool_size pool_mode
;       session_state session_policy max_pinned_servers max_db_connections
;       max_db_client_connections server_lifetime query_wait_timeout connect_query
;       load_balance_hosts host_weights target_session_attrs read_routing read_consistency
;       client_encoding datestyle timezone application_name auth_user auth_query auth_dbname
; A value with blanks stands in single quotes; '' is a quote in it.
;shop = host=10.0.0.1 port=5432 dbname=shop pool_size=50
;reports = host=10.0.0.2 user=reporter password='it''s a secret' pool_mode=session

; Any other database, under the name that the client asks for.
* = host=127.0.0.1 port=5432

[users]
; name = key=value ...
; Keys: pool_mode session_state session_policy max_pinned_servers pool_size reserve_pool_size
;       max_user_connections max_user_client_connections query_timeout query_wait_timeout
;       client_idle_timeout idle_transaction_timeout transaction_timeout
;batch = pool_mode=session max_user_connections=5

[pgbouncer]
)";

/// The settings that the example sets, because nearly everybody does.
struct Chosen {
  View name, value;
};
constexpr Chosen chosen[] = {
    {"auth_file", "/etc/headgate/userlist.txt"},
    {"auth_type", "scram-sha-256"},
    {"listen_addr", "127.0.0.1"},
    {"max_client_conn", "1000"},
    {"pool_mode", "transaction"},
};

View chosen_value(View name) {
  for (const Chosen& choice : chosen) {
    if (choice.name == name) return choice.value;
  }
  return {};
}

std::string remarks(const Setting& setting) {
  std::string text;
  if (setting.effect == Effect::never) text += " Has no effect.";
  if (setting.takes == Takes::restart) text += " Needs a restart.";
  return text;
}

std::string line(const Setting& setting) {
  const std::string by_default = show(default_settings(), setting).value_or("");
  const View value = chosen_value(setting.name);
  std::string text = fmt::format("{}{} = {}", value.empty() ? ";" : "", setting.name,
                                 value.empty() ? View(by_default) : value);
  if (text.ends_with(' ')) text.pop_back();
  return text;
}

}  // namespace

std::string example_ini() {
  std::string text(introduction);
  View between;
  for (const Setting& setting : all_settings()) {
    text += fmt::format("{}; {}{}\n{}\n", between, setting.help, remarks(setting), line(setting));
    between = "\n";
  }
  return text;
}

}  // namespace headgate
