// What a server is asked and what it answers, told with the letters of the messages.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "protocol/exchange.h"

namespace headgate {

// What was asked: the message's letter, but 'D' describes a portal, 'd' a statement and 'c' stands
// for CopyDone and CopyFail. What is heard: the message's letter; 'Z' is ReadyForQuery, idle.
struct ExchangeRig {
  Exchange exchange;

  static Asked asked(char letter) {
    switch (letter) {
      case 'Q':
        return Asked::query;
      case 'F':
        return Asked::function_call;
      case 'S':
        return Asked::sync;
      case 'P':
        return Asked::parse;
      case 'B':
        return Asked::bind;
      case 'd':
        return Asked::describe_statement;
      case 'D':
        return Asked::describe_portal;
      case 'E':
        return Asked::execute;
      case 'C':
        return Asked::close;
      default:
        REQUIRE(letter == 'c');
        return Asked::copy_end;
    }
  }

  void ask(std::string_view letters, Fate fate = Fate::forward) {
    for (const char letter : letters) exchange.sent(asked(letter), fate);
  }
  void inject(std::string_view letters) { ask(letters, Fate::swallow); }

  static char fate_letter(Answer answer) {
    if (answer.unexpected) return '!';
    switch (answer.fate) {
      case Fate::forward:
        return 'f';
      case Fate::swallow:
        return 's';
      case Fate::quiet:
        return 'q';
      case Fate::replace:
        return 'r';
    }
    return '?';
  }
  /// The fate of each: f for forward, s for swallow, q for quiet, r for replace, ! for unexpected.
  std::string hear(std::string_view tags) {
    std::string fates;
    for (const char tag : tags) {
      fates += fate_letter(tag == 'Z' ? exchange.received_ready('I') : exchange.received(tag));
    }
    return fates;
  }
  std::string ready(char status) { return {fate_letter(exchange.received_ready(status))}; }

  bool over() const { return exchange.over(); }
};

}  // namespace headgate
