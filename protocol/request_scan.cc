#include "protocol/request_scan.h"

#include <algorithm>
#include <optional>

#include "protocol/frontend.h"
#include "protocol/sql_scanner.h"
#include "protocol/wire.h"

namespace headgate {

namespace {

using End = RequestScan::End;

View up_to_zero(View text) { return text.substr(0, text.find('\0')); }

/// The part up to the first zero, which is taken off with it.
std::optional<View> take_name(View& body) {
  const size_t end = body.find('\0');
  if (end == View::npos) return std::nullopt;
  const View name = body.substr(0, end);
  body.remove_prefix(end + 1);
  return name;
}

// Its client waits for CopyInResponse, maybe, before it says anything more.
bool begins_copy(View text) {
  SqlScanner scanner(text);
  Token token = scanner.next();
  while (token.is(';')) token = scanner.next();
  return token.is("copy");
}

class Reading {
 public:
  Reading(RequestScan& scan, const ClientStatements* known) : scan_(scan), known_(known) {}

  /// What one message makes of it.
  End message(char tag, View body) {
    switch (tag) {
      case frontend::query:
        return begun_ ? End::unclear : add(body, End::complete);
      case frontend::parse:
        return parse(body);
      case frontend::bind:
        return take_name(body) ? use(body) : End::unclear;
      case frontend::describe:
        return body.starts_with('S') ? use(body.substr(1)) : go_on();
      case frontend::close:
        return body.starts_with('P') ? go_on() : End::unclear;
      case frontend::execute:
        ++scan_.executes;
        return go_on();
      case frontend::sync:
        return End::complete;
      default:
        return End::unclear;
    }
  }

 private:
  struct Parsed {
    View name, text;
  };

  End go_on() {
    begun_ = true;
    return End::incomplete;
  }

  End add(View text, End then) {
    begun_ = true;
    text = up_to_zero(text);
    if (then == End::incomplete && begins_copy(text)) return End::unclear;
    const auto texts = scan_.texts();
    if (std::ranges::any_of(texts, [&](View one) { return one.data() == text.data(); })) {
      return then;
    }
    if (scan_.count == RequestScan::most_texts) return End::unclear;
    scan_.all[scan_.count++] = text;
    return then;
  }

  // A name that is taken makes it fail, or would be given twice if it is said again.
  End parse(View body) {
    const auto name = take_name(body);
    if (!name || parsed_count_ == parsed_.size()) return End::unclear;
    if (!name->empty() && (find(*name) || !known_ || known_->find(*name))) return End::unclear;
    parsed_[parsed_count_++] = {*name, body};
    return add(body, End::incomplete);
  }

  End use(View body) {
    const auto name = take_name(body);
    if (!name) return End::unclear;
    if (find(*name)) return go_on();
    if (!known_) return End::unclear;
    if (!name->empty()) {
      const StatementPtr& statement = known_->find(*name);
      return statement ? add(statement->text(), End::incomplete) : End::unclear;
    }
    if (known_->unnamed_shared()) return add(known_->unnamed_shared()->text(), End::incomplete);
    return known_->unnamed().empty() ? End::unclear : add(known_->unnamed(), End::incomplete);
  }

  const Parsed* find(View name) const {
    const auto end = parsed_.begin() + static_cast<std::ptrdiff_t>(parsed_count_);
    const auto found =
        std::find_if(parsed_.begin(), end, [&](const Parsed& one) { return one.name == name; });
    return found == end ? nullptr : &*found;
  }

  RequestScan& scan_;
  const ClientStatements* known_;
  std::array<Parsed, RequestScan::most_texts> parsed_{};
  size_t parsed_count_ = 0;
  bool begun_ = false;
};

}  // namespace

RequestScan scan_request(View said, const ClientStatements* known) {
  RequestScan scan;
  Reading reading(scan, known);
  while (scan.end == End::incomplete) {
    if (said.size() < header_size) break;
    const size_t size = 1 + size_t{load_u32(said.data() + 1)};
    if (size < header_size) scan.end = End::unclear;
    if (size < header_size || said.size() < size) break;
    scan.end = reading.message(said[0], said.substr(header_size, size - header_size));
    said.remove_prefix(size);
  }
  return scan;
}

RouteHint route_hint(View sql) {
  const size_t begin = sql.find_first_not_of(" \t\r\n");
  if (begin == View::npos || !sql.substr(begin).starts_with("/*")) return RouteHint::none;
  View comment = sql.substr(begin + 2);
  comment = comment.substr(0, std::min(comment.find("*/"), size_t{200}));
  constexpr View key = "headgate:route=";
  const size_t at = comment.find(key);
  if (at == View::npos) return RouteHint::none;
  View value = comment.substr(at + key.size());
  value = value.substr(0, value.find_first_of(" \t\r\n,;*"));
  if (value == "replica") return RouteHint::replica;
  return value == "primary" ? RouteHint::primary : RouteHint::none;
}

}  // namespace headgate
