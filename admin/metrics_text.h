// The two text forms in which Prometheus reads metrics: its own (version 0.0.4) and OpenMetrics
// (1.0.0). They differ in the names of counters, in what kinds there are, and in how the text ends.
//
//   # HELP headgate_pool_clients_waiting Clients waiting for a server.
//   # TYPE headgate_pool_clients_waiting gauge
//   headgate_pool_clients_waiting{database="app",user="app"} 3
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "pool/meters.h"

namespace headgate {

enum class MetricsForm : uint8_t { prometheus, open_metrics };
enum class MetricType : uint8_t { gauge, counter, histogram, info };

/// The form that an HTTP Accept header prefers (RFC 9110, 12.5.1); Prometheus' own in doubt.
MetricsForm preferred_form(View accept);
/// The Content-Type of a form.
View content_type(MetricsForm form);

/// The labels of a sample as text: `database="app",user="o\"neil"`.
class Labels {
 public:
  Labels& add(View name, View value);
  const Bytes& text() const { return text_; }

 private:
  Bytes text_;
};

/// A label's value in UTF-8, which both forms demand: a byte that is none becomes U+FFFD and its
/// two hex digits. So do the bytes of a U+FFFD that was there: different names stay different.
Bytes as_utf8(View name);

class MetricsText {
 public:
  explicit MetricsText(MetricsForm form) : form_(form) {}

  /// Begins a metric. `name` is that of its samples, without _bucket, _sum and _count.
  void begin(View name, MetricType type, View help);
  void count(const Bytes& labels, int64_t value);
  /// A time in microseconds, told in seconds.
  void time(const Bytes& labels, int64_t value_us);
  void histogram(const Bytes& labels, const TimeHistogram& times);
  /// The whole text, once.
  Bytes take();

 private:
  void sample(View suffix, const Bytes& labels);

  const MetricsForm form_;
  Bytes out_;
  View name_;
};

}  // namespace headgate
