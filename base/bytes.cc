#include "base/bytes.h"

namespace headgate {

void wipe(Bytes& secret) {
  explicit_bzero(secret.data(), secret.size());
  secret.clear();
}

bool is_utf8(View text) {
  const auto byte = [&](size_t at) { return static_cast<unsigned char>(text[at]); };
  for (size_t i = 0; i < text.size();) {
    const unsigned first = byte(i++);
    if (first < 0x80) continue;
    const size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    if (first < 0xc2 || first > 0xf4 || text.size() - i < more) return false;
    const unsigned low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (byte(i) < low || byte(i) > high) return false;
    for (size_t next = 1; next < more; ++next) {
      if (byte(i + next) < 0x80 || byte(i + next) > 0xbf) return false;
    }
    i += more;
  }
  return true;
}

}  // namespace headgate
