#include "admin/binary_value.h"

#include <charconv>
#include <vector>

namespace headgate {

namespace {

int64_t number_in(View text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Bytes big_endian(uint64_t number, size_t size) {
  Bytes bytes(size, '\0');
  for (size_t i = size; i > 0; number >>= 8) bytes[--i] = static_cast<char>(number);
  return bytes;
}

// int16 count, weight of the first, sign and scale; then the digits, to the base of 10,000.
Bytes numeric(View text) {
  constexpr uint64_t base = 10000;
  constexpr uint64_t negative_sign = 0x4000;
  const int64_t number = number_in(text);
  uint64_t rest =
      number < 0 ? uint64_t{0} - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  std::vector<uint64_t> digits;  // the last first
  for (; rest > 0; rest /= base) digits.push_back(rest % base);
  Bytes bytes = big_endian(digits.size(), 2);
  bytes += big_endian(digits.empty() ? 0 : digits.size() - 1, 2);
  bytes += big_endian(number < 0 ? negative_sign : 0, 2);
  bytes += big_endian(0, 2);
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    bytes += big_endian(*digit, 2);
  }
  return bytes;
}

int nibble(char digit) { return digit <= '9' ? digit - '0' : digit - 'a' + 10; }

Bytes from_hex(View text) {
  Bytes bytes;
  for (size_t at = 2; at + 1 < text.size(); at += 2) {  // behind \x
    bytes += static_cast<char>(nibble(text[at]) << 4 | nibble(text[at + 1]));
  }
  return bytes;
}

}  // namespace

Bytes binary_value(SqlType type, View text) {
  switch (type) {
    case SqlType::boolean:
      return big_endian(text == "t", 1);
    case SqlType::int4:
      return big_endian(static_cast<uint64_t>(number_in(text)), 4);
    case SqlType::int8:
      return big_endian(static_cast<uint64_t>(number_in(text)), 8);
    case SqlType::numeric:
      return numeric(text);
    case SqlType::bytea:
      return from_hex(text);
    case SqlType::text:
      break;
  }
  return Bytes(text);
}

}  // namespace headgate
