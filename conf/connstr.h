// Connection strings: `key=value key = 'it''s one'`. Turns one into pairs; what the keys mean is
// said in conf/entries. PgBouncer's rules: a value may stand in single quotes, where '' is one
// quote; an unquoted value ends at white space; there is no backslash escape and no empty value.
// Behind the last pair a comment may follow (see conf/ini.h).
#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

struct KeyValue {
  std::string key, value;
};

/// The pairs in the order of the text. Characters between a closing quote and the next white space
/// are skipped, as in PgBouncer, and reported through `warnings`.
Result<std::vector<KeyValue>> parse_connection_string(View text,
                                                      std::vector<std::string>& warnings);

/// A text that is read as these pairs; none of their values may be empty.
std::string to_connection_string(const std::vector<KeyValue>& pairs);

}  // namespace headgate
