// What a client asks for in its first request: the texts of SQL that it runs, and where it ends.
// For deciding where it goes before anything of it is sent.
//
// No I/O, no state; it lends the texts.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "protocol/statements.h"
#include "protocol/wire.h"

namespace headgate {

struct RequestScan {
  enum class End : uint8_t {
    complete,    // one simple query, or a batch up to its Sync
    incomplete,  // the rest is to come
    unclear,     // it runs what cannot be told, or waits for an answer in between
  };
  /// The most texts of one batch.
  static constexpr size_t most_texts = 16;

  End end = End::incomplete;
  size_t count = 0;
  size_t executes = 0;  // the same text may be run several times
  std::array<View, most_texts> all;

  /// None: it runs nothing.
  std::span<const View> texts() const { return std::span(all).first(count); }
};

/// Of what a client has said, from the beginning of a message on. `known` are its statements; null:
/// it has none that can be told.
RequestScan scan_request(View said, const ClientStatements* known);

/// Calls visit(name) for each statement that a scanned request gives a name to.
template <class Visit>
void for_each_named_parse(View request, Visit&& visit) {
  while (request.size() >= header_size) {
    const size_t size = std::min<size_t>(1 + size_t{load_u32(request.data() + 1)}, request.size());
    const View body = request.substr(header_size, size - std::min(size, header_size));
    const View name = body.substr(0, body.find('\0'));
    if (request[0] == 'P' && !name.empty()) visit(name);
    request.remove_prefix(size);
  }
}

/// Where a text itself says that it goes: a comment in front, as in
/// `/* headgate:route=replica */ SELECT ...`.
enum class RouteHint : uint8_t { none, primary, replica };
RouteHint route_hint(View sql);

}  // namespace headgate
