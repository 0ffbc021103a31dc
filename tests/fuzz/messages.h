// What must hold for every message there is: its body is decoded in one way only, so coding it
// again gives the same bytes.
#pragma once

#include <tuple>
#include <utility>

#include "protocol/messages.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {

template <Message M>
void check_message(View body) {
  const Result<M> decoded = decode<M>(body);
  if (!decoded) {
    MUST(decoded.error().code == ErrorCode::bad_packet);
    return;
  }
  Bytes encoded;
  encode(encoded, *decoded);
  MUST(encoded[0] == M::tag);
  MUST(load_u32(encoded.data() + 1) == encoded.size() - 1);
  MUST(View(encoded).substr(header_size) == body);
}

/// Reads the body as the message with this number in the list.
template <class... Messages>
void check_one_of(std::tuple<Messages...>*, size_t number, View body) {
  size_t index = 0;
  ((index++ == number ? check_message<Messages>(body) : void()), ...);
}

/// Input: a byte that chooses the message, its body.
template <class List>
void check_messages(const uint8_t* data, size_t size) {
  FuzzInput input(data, size);
  const size_t number = input.byte() % std::tuple_size_v<List>;
  check_one_of(static_cast<List*>(nullptr), number, input.rest());
}

}  // namespace headgate::fuzz
