// Result<T>: a value, or the Error that stands in its place. For what the outside can cause.
#pragma once

#include <utility>
#include <variant>

#include "base/check.h"
#include "base/error.h"

namespace headgate {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// The value; MUST be ok().
  T& value() & {
    MUST(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    MUST(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    MUST(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

  /// The error; MUST not be ok().
  const Error& error() const& {
    MUST(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    MUST(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

/// The value of a Result that only says whether it worked.
struct Done {};

}  // namespace headgate
