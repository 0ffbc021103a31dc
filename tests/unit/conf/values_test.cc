#include "conf/values.h"

#include <doctest/doctest.h>

using namespace headgate;

TEST_CASE("values: integers are read as strtol reads them, the whole text or nothing") {
  struct Case {
    View text;
    std::optional<int64_t> value;
  };
  const Case cases[] = {
      {"0", 0},
      {"42", 42},
      {"-7", -7},
      {"+7", 7},
      {"0x20", 32},
      {"010", 8},
      {"", {}},
      {"abc", {}},
      {"12x", {}},
      {"1.5", {}},
      {"08", {}},
      {"1 2", {}},
      {"99999999999999999999", {}},
      {View("1\0", 2), {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(parse_integer(c.text) == c.value);
  }
}

TEST_CASE("values: a switch is a word or, as in PgBouncer, any integer") {
  for (View text : {"1", "yes", "TRUE", "on", "7", "-1", "0x1"}) {
    CAPTURE(text);
    CHECK(parse_switch(text) == true);
  }
  for (View text : {"0", "no", "False", "off", "00"}) {
    CAPTURE(text);
    CHECK(parse_switch(text) == false);
  }
  for (View text : {"", "maybe", "y", "1 1", "enabled"}) {
    CAPTURE(text);
    CHECK(!parse_switch(text));
  }
}

TEST_CASE("values: a time is seconds, with or without a fraction, or a number with a unit") {
  struct Case {
    View text;
    std::optional<int64_t> microseconds;
  };
  const Case cases[] = {
      {"15", 15'000'000},
      {"1.5", 1'500'000},
      {".5", 500'000},
      {"5.", 5'000'000},
      {"+2", 2'000'000},
      {"0", 0},
      {"-0", 0},
      {"1e3", 1'000'000'000},
      {"0x10", 16'000'000},  // strtod reads these, so PgBouncer does
      {"0x1d", 29'000'000},
      {"100ms", 100'000},
      {"250us", 250},
      {"30s", 30'000'000},
      {"30 s", 30'000'000},
      {"5min", 300'000'000},
      {"1.5h", 5'400'000'000},
      {"1d", 86'400'000'000},
      {"1e300", longest_duration.count()},
      {"", {}},
      {"-1", {}},
      {"-1s", {}},
      {"5m", {}},
      {"5 minutes", {}},
      {"s", {}},
      {"nan", {}},
      {"inf", {}},
      {"1,5", {}},
      {"0x", {}},
      {"1e999", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    const auto duration = parse_duration(c.text);
    CHECK(duration.has_value() == c.microseconds.has_value());
    if (duration && c.microseconds) CHECK(duration->count() == *c.microseconds);
  }
}

TEST_CASE("values: a size is bytes, or a number with a unit in any case") {
  struct Case {
    View text;
    std::optional<int64_t> bytes;
  };
  const Case cases[] = {
      {"4096", 4096},
      {"0x1000", 4096},
      {"-1", -1},
      {"64kB", 65536},
      {"64KB", 65536},
      {"64 kb", 65536},
      {"1.5MB", 1'572'864},
      {"256MB", 268'435'456},
      {"1GB", 1'073'741'824},
      {"2TB", 2'199'023'255'552},
      {"10B", 10},
      {"", {}},
      {"kB", {}},
      {"-1kB", {}},
      {"1.5", {}},
      {"0.5B", {}},
      {"64k", {}},
      {"64KiB", {}},
      {"1PB", {}},
      {"1e30GB", {}},
      {"1,5MB", {}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(parse_size(c.text) == c.bytes);
  }
}

TEST_CASE("values: a time is shown as a plain number of seconds") {
  CHECK(to_text(Duration(0)) == "0");
  CHECK(to_text(seconds(15)) == "15");
  CHECK(to_text(milliseconds(1500)) == "1.5");
  CHECK(to_text(microseconds(250)) == "0.00025");
  CHECK(to_text(seconds(123456789)) == "123456789");
}

TEST_CASE("values: every word is read in any case and printed in its own") {
  CHECK(parse_word<PoolMode>("Transaction") == PoolMode::transaction);
  CHECK(parse_word<AuthMethod>("SCRAM-SHA-256") == AuthMethod::scram_sha_256);
  CHECK(parse_word<SslMode>("verify-full") == SslMode::verify_full);
  CHECK(!parse_word<SslMode>("disabled"));
  CHECK(!parse_word<AuthMethod>("crypt"));
  CHECK(!parse_word<PoolMode>(""));
  CHECK(name_of(LoadBalance::round_robin) == "round-robin");
  CHECK(name_of(TimeoutAction::close) == "close");
}

TEST_CASE("values: a message never carries control characters or a value of any length") {
  CHECK(printable("a\x1b[31mb\x7f") == "a?[31mb?");
  CHECK(printable("\xc3\xa4") == "\xc3\xa4");
  CHECK(printable(std::string(1000, 'x')) == std::string(200, 'x') + "...");
}

TEST_CASE("values: versions of TLS by their words, with what is taken away again") {
  CHECK(parse_tls_versions("secure") == 0b1100);
  CHECK(parse_tls_versions("default") == 0b1100);
  CHECK(parse_tls_versions("all") == 0b1111);
  CHECK(parse_tls_versions("tlsv1") == 0b1111);
  CHECK(parse_tls_versions("TLSv1.0") == 0b0001);
  CHECK(parse_tls_versions("tlsv1.1:tlsv1.3") == 0b1010);
  CHECK(parse_tls_versions("tlsv1.2, tlsv1.3") == 0b1100);
  CHECK(parse_tls_versions("secure,!tlsv1.2") == 0b1000);
  CHECK(parse_tls_versions("!tlsv1.0") == 0b1110);
  for (const View wrong : {"", "tls", "tlsv1.4", "secure,", "all,!all", "!", "tlsv1.2 tlsv1.3"}) {
    CAPTURE(wrong);
    CHECK(!parse_tls_versions(wrong));
  }
}
