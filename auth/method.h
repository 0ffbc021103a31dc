// The ways a client can prove who it is, in the words of the setting auth_type.
#pragma once

#include <cstdint>

namespace headgate {

enum class AuthMethod : uint8_t { any, trust, plain, md5, scram_sha_256, cert, hba, pam, ldap };

}  // namespace headgate
