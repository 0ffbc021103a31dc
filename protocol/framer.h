// Cuts a byte stream into messages without copying it. Stretches of messages that nobody needs to
// see are handed on in one piece, also when a message is longer than the bytes at hand; only what
// must be seen whole is gathered. One Framer for each direction of a connection; it holds memory
// only while a header or a gathered message is incomplete.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/buffer.h"
#include "base/bytes.h"
#include "protocol/wire.h"

namespace headgate {

/// What is to be done with a message whose header has been seen.
enum class Treat : uint8_t {
  pass,    // hand its bytes on as they come
  drop,    // swallow its bytes as they come
  gather,  // hand it over whole
  peek,    // hand its beginning over, at most Framer::peek_bytes of the body, then pass the rest
  stop,    // not now: feed() returns in front of it, and shows the header again next time
  bad,     // the stream is broken: feed() returns and must not be called again
};

class Framer {
 public:
  static constexpr size_t peek_bytes = 4096;

  /// Walks over `in`, calling the handler:
  ///   Treat on_header(char tag, uint32_t body_size)   once for each message (again after a stop)
  ///   void on_pass(View bytes, bool lent)             bytes to hand on; `lent` ones belong to `in`
  ///                                                   and outlive this call, others do not
  ///   bool on_message(char tag, View body, bool more) a gathered message, complete; `more` says
  ///                                                   that bytes follow it in `in`. False stops.
  /// A gathered message must be bounded by the handler: on_header sees its size first.
  /// Returns how many bytes of `in` were consumed: all, unless stopped() or broken(). What was not
  /// consumed after a stop is to be fed again, in front of what follows.
  template <class Handler>
  size_t feed(View in, Handler& handler);

  bool stopped() const { return stopped_; }
  bool broken() const { return broken_; }

  /// Between two messages: nothing is half passed and nothing is held.
  bool at_boundary() const { return remaining_ == 0 && held_.empty(); }
  /// A message has been passed or dropped in part: this many bytes of it are still to come.
  uint32_t remaining() const { return remaining_; }
  /// A message has been passed in part.
  bool passing() const { return remaining_ > 0 && !dropping_; }
  /// The bytes of an incomplete header or gathered message.
  View held() const { return held_.view(); }

 private:
  template <class Handler>
  Treat decide(View bytes, Handler& handler);
  template <class Handler>
  size_t continue_held(View in, Handler& handler);
  static size_t whole_size(View header) { return size_t{1} + load_u32(header.data() + 1); }
  /// So much of a message of that size is handed over at once.
  size_t gathered_size(size_t whole) const {
    return peeking_ ? std::min(whole, header_size + peek_bytes) : whole;
  }

  Buffer held_;
  uint32_t remaining_ = 0;
  bool dropping_ = false;
  bool gathering_ = false;
  bool peeking_ = false;
  bool stopped_ = false;
  bool broken_ = false;
};

/// A handler for who wants every message whole: `hear(tag, body)` says whether to go on. One whose
/// body is longer than `most` breaks the stream.
template <class Hear>
struct WholeMessages {
  size_t most;
  Hear hear;

  Treat on_header(char, uint32_t body_size) const {
    return body_size <= most ? Treat::gather : Treat::bad;
  }
  void on_pass(View, bool) const {}
  bool on_message(char tag, View body, bool) { return hear(tag, body); }
};
template <class Hear>
WholeMessages(size_t, Hear) -> WholeMessages<Hear>;

// The length field counts itself, so less than 4 is a lie; the arithmetic is done in 64 bits.
inline bool length_is_sane(uint32_t length) {
  return length >= length_size && length <= 0x7fffffff;
}

template <class Handler>
size_t Framer::feed(View in, Handler& handler) {
  stopped_ = false;
  size_t at = held_.empty() ? 0 : continue_held(in, handler);
  size_t pass_from = at;
  const auto hand_on = [&](size_t end) {
    if (end > pass_from) handler.on_pass(View(in.data() + pass_from, end - pass_from), true);
    pass_from = end;
  };
  while (!stopped_ && !broken_ && at < in.size()) {
    if (remaining_ > 0) {
      const size_t part = std::min<size_t>(remaining_, in.size() - at);
      if (dropping_) hand_on(at);
      at += part;
      if (dropping_) pass_from = at;
      remaining_ -= static_cast<uint32_t>(part);
      continue;
    }
    const View rest(in.data() + at, in.size() - at);
    if (rest.size() < header_size) {
      hand_on(at);
      held_.append(rest);
      at = pass_from = in.size();
      break;
    }
    const size_t whole = whole_size(rest);
    switch (decide(rest, handler)) {
      case Treat::gather:
      case Treat::peek: {
        const size_t gathered = gathered_size(whole);
        hand_on(at);
        if (rest.size() < gathered) {
          gathering_ = true;
          held_.append(rest);
          at = pass_from = in.size();
          break;
        }
        at = pass_from = at + gathered;
        remaining_ = static_cast<uint32_t>(whole - gathered);
        stopped_ =
            !handler.on_message(rest[0], View(rest.data() + header_size, gathered - header_size),
                                rest.size() > gathered);
        break;
      }
      case Treat::pass:
        if (whole <= rest.size()) {
          at += whole;
          break;
        }
        [[fallthrough]];
      case Treat::drop:
        remaining_ = static_cast<uint32_t>(whole);
        break;
      case Treat::stop:
      case Treat::bad:
        break;
    }
  }
  hand_on(at);
  return at;
}

// Asks the handler about the header at the front of `bytes` and notes what it said.
template <class Handler>
Treat Framer::decide(View bytes, Handler& handler) {
  const uint32_t length = load_u32(bytes.data() + 1);
  const Treat treat =
      length_is_sane(length) ? handler.on_header(bytes[0], length - length_size) : Treat::bad;
  dropping_ = treat == Treat::drop;
  peeking_ = treat == Treat::peek;
  stopped_ = treat == Treat::stop;
  broken_ = treat == Treat::bad;
  return treat;
}

// The rare way: a header or a gathered message that began in an earlier view.
template <class Handler>
size_t Framer::continue_held(View in, Handler& handler) {
  size_t at = 0;
  const auto fill = [&](size_t wanted) {
    const size_t part = std::min(wanted - std::min(wanted, held_.size()), in.size() - at);
    held_.append(in.substr(at, part));
    at += part;
    return held_.size() >= wanted;
  };
  if (!fill(header_size)) return at;
  const size_t whole = whole_size(held_.view());
  if (!gathering_) {
    switch (decide(held_.view(), handler)) {
      case Treat::gather:
      case Treat::peek:
        gathering_ = true;
        break;
      case Treat::pass:
        handler.on_pass(held_.view(), false);
        [[fallthrough]];
      case Treat::drop:
        remaining_ = static_cast<uint32_t>(whole - header_size);
        held_.clear();
        return at;
      case Treat::stop:
      case Treat::bad:
        return at;
    }
  }
  if (!fill(gathered_size(whole))) return at;
  remaining_ = static_cast<uint32_t>(whole - held_.size());
  gathering_ = false;
  Buffer message;
  std::swap(message, held_);  // the handler may end this Framer's exchange, but not this message
  stopped_ =
      !handler.on_message(message.view()[0], message.view().substr(header_size), at < in.size());
  return at;
}

}  // namespace headgate
