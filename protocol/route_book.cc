#include "protocol/route_book.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "protocol/statement_shape.h"

namespace headgate {

RouteBook::Judged RouteBook::judge(View sql, const UserFunctionsPtr& functions) {
  // Every verdict may be wrong then: a function may stand in front of one of PostgreSQL's. What was
  // counted is as true as before; and what was refused, if only now anything is known of them.
  if (functions != functions_) {
    ++edition_;
    if (functions_) refused_.clear();
    functions_ = functions;
  }
  text_.clear();
  append_shape(text_, sql);
  // Where strings end is for each such text to say: it is looked at by itself.
  const bool is_open = sql.find('\\') != View::npos;
  if (is_open) text_ += " \\";
  const uint64_t number = XXH3_64bits_withSeed(text_.data(), text_.size(), seed_);
  RouteShape* known = find(number);
  if (known && known->edition == edition_ && !is_open) return {number, *known};
  RouteShape& shape = known ? *known : add(number, RouteShape());
  if (!known) shape.text = text_.substr(0, longest_text);
  shape.verdict = read_verdict(sql, functions.get());
  if (shape.edition != edition_) shape.refused = refused_.contains(number);
  shape.edition = edition_;
  return {number, shape};
}

RouteShape& RouteBook::add(uint64_t number, RouteShape shape) {
  if (late_.size() >= most) {
    before_ = std::move(late_);
    late_ = Shapes();
  }
  return late_.emplace(number, std::move(shape)).first->second;
}

RouteShape* RouteBook::find(uint64_t number) {
  if (const auto found = late_.find(number); found != late_.end()) return &found->second;
  const auto found = before_.find(number);
  if (found == before_.end()) return nullptr;
  RouteShape shape = std::move(found->second);
  before_.erase(found);
  return &add(number, std::move(shape));
}

void RouteBook::refuse(uint64_t number) {
  if (refused_.size() >= 2 * most) refused_.clear();
  refused_.insert(number);
  if (RouteShape* known = find(number)) known->refused = true;
}

}  // namespace headgate
