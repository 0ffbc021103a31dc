// What was found out about the statements that a pool's clients say, by their shapes
// (protocol/statement_shape.h): whether a replica may run them, why not, and what became of them.
// The shapes of late are remembered, in a bounded number. Owned by one worker's end of a pool.
//
// No I/O.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "base/bytes.h"
#include "protocol/read_verdict.h"

namespace headgate {

struct RouteShape {
  std::string text;  // the shape, cut after RouteBook::longest_text bytes
  ReadVerdict verdict;
  bool refused = false;   // by a replica, though it looks like a read
  uint64_t reads = 0;     // times that it was taken for one
  uint64_t replica = 0;   // times that a replica was asked
  uint64_t repeated = 0;  // and the primary then, in its place
  uint64_t primary = 0;   // times that the primary was asked at once
  uint64_t edition = 0;   // of the book, in which that verdict was given

  bool is_read() const { return !refused && verdict.is_read(); }
};

class RouteBook {
 public:
  /// So many shapes are remembered at least, of the last that were said, and at most twice as many.
  static constexpr size_t most = 500;
  static constexpr size_t longest_text = 400;

  /// `seed` keeps others from making up texts that are taken for each other; the same for all
  /// books between which numbers of shapes are told.
  explicit RouteBook(uint64_t seed) : seed_(seed) {}

  /// The shape of a text, with what it is told by. It holds until the next call.
  struct Judged {
    uint64_t number;
    RouteShape& shape;
  };
  Judged judge(View sql, const UserFunctionsPtr& functions);
  /// Null: it is not remembered.
  RouteShape* find(uint64_t number);
  /// A replica would not run a statement of this shape: from now on it is for the primary.
  void refuse(uint64_t number);
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Shapes* shapes : {&late_, &before_}) {
      for (const auto& [number, shape] : *shapes) visit(shape);
    }
  }

 private:
  using Shapes = std::unordered_map<uint64_t, RouteShape>;

  RouteShape& add(uint64_t number, RouteShape shape);

  const uint64_t seed_;
  UserFunctionsPtr functions_;  // by which it judges
  uint64_t edition_ = 1;        // another with each change of these
  Shapes late_, before_;
  std::unordered_set<uint64_t> refused_;
  Bytes text_;  // memory for the shape at hand
};

}  // namespace headgate
