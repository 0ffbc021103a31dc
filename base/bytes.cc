#include "base/bytes.h"

namespace headgate {

void wipe(Bytes& secret) {
  explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

}  // namespace headgate
