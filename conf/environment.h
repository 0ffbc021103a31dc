// What the environment of a container says, as items like those of a file. All names are in
// capitals:
//
//   HEADGATE_<SETTING>, PGBOUNCER_<SETTING>     a setting of [pgbouncer]; ours beats theirs
//   <NAME>_FILE                                 any of these: the file that holds the value
//
// They override a configuration file. Without a file, the database comes from here too, in the
// words of whichever image people know; the first of these whose host (or URL) is set counts:
//
//   DATABASES_HOST, DATABASES_<KEY>             the keys of [databases]
//   DATABASE_URL                                postgres://user:password@host:port/name?sslmode=...
//   DB_HOST, DB_PORT, DB_USER, DB_PASSWORD, DB_NAME
//   POSTGRESQL_HOST, _PORT, _USERNAME, _PASSWORD, _DATABASE; PGBOUNCER_DATABASE is its name here
//   PGBOUNCER_DSN_<n>                           name=connection string: more databases
//   PGBOUNCER_USERLIST                          lines as in auth_file
//
// Their user and password also let a client in: they are one more line of auth_file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "conf/ini.h"

namespace headgate {

struct EnvironmentVariable {
  std::string name, value;
};
using Environment = std::vector<EnvironmentVariable>;

/// What an environment says, as far as it can be read.
struct EnvironmentItems {
  std::vector<IniItem> items;
  std::vector<std::pair<std::string, std::string>> users;  // of auth_file: name and secret
  std::string user_list;                                   // more of auth_file, as text
  std::vector<std::string> warnings;
  std::vector<Error> errors;
};

/// Whether a variable of this name may be meant for Headgate; others need not be kept.
bool may_concern_us(View name);

/// Whether there is enough to run without a file: a database, or a setting.
bool configures(const Environment& environment);

/// `alone`: there is no configuration file.
EnvironmentItems read_environment(const Environment& environment, bool alone,
                                  const FileReader& read);

}  // namespace headgate
