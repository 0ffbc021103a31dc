#include "auth/saslprep.h"

#include <openssl/crypto.h>
#include <stringprep.h>

#include <cstdlib>

namespace headgate {

Bytes saslprep(View password) {
  Bytes plain(password);
  const bool as_it_is = is_ascii(password) || password.size() > longest_prepared_password ||
                        password.find('\0') != View::npos;
  if (as_it_is) return plain;
  char* prepared = nullptr;
  const int result =
      stringprep_profile(plain.c_str(), &prepared, "SASLprep", STRINGPREP_NO_UNASSIGNED);
  if (result != STRINGPREP_OK) return plain;
  Bytes found(prepared);
  OPENSSL_cleanse(prepared, found.size());
  std::free(prepared);
  if (found.empty()) return plain;
  wipe(plain);
  return found;
}

}  // namespace headgate
