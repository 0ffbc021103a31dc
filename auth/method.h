// The ways a client can prove who it is, in the words of the setting auth_type; `peer` and `reject`
// only stand in an HBA file.
#pragma once

#include <cstdint>

namespace headgate {

enum class AuthMethod : uint8_t {
  any,
  trust,
  plain,
  md5,
  scram_sha_256,
  cert,
  hba,
  pam,
  ldap,
  peer,
  reject,
};

}  // namespace headgate
