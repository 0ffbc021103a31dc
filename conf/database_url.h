// DATABASE_URL: a database as a link, in the form of libpq.
//
//   postgres[ql]://[user[:password]@][host[:port]][,host...][/name][?key=value[&...]]
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "conf/connstr.h"

namespace headgate {

struct DatabaseUrl {
  std::string user, password, host, port, name;  // empty where it does not say
  std::vector<KeyValue> parameters;              // behind the `?`
};

/// An error says what is wrong without repeating the text, which may hold a password.
Result<DatabaseUrl> parse_database_url(View text);

}  // namespace headgate
