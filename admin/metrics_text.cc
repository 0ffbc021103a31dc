#include "admin/metrics_text.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>
#include <optional>

namespace headgate {

namespace {

constexpr View replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr View total = "_total";

View word_of(MetricType type, MetricsForm form) {
  switch (type) {
    case MetricType::gauge:
      return "gauge";
    case MetricType::counter:
      return "counter";
    case MetricType::histogram:
      return "histogram";
    case MetricType::info:
      return form == MetricsForm::open_metrics ? "info" : "gauge";
  }
  return {};
}

// How many bytes at the beginning are one character; 0: none.
size_t character_size(View text) {
  for (size_t size = 1; size <= std::min<size_t>(text.size(), 4); ++size) {
    if (is_utf8(text.substr(0, size))) return size;
  }
  return 0;
}

View trimmed(View text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == View::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

View next_part(View& list, char separator) {
  const size_t end = std::min(list.find(separator), list.size());
  const View part = trimmed(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return part;
}

// `type;version=1.0.0;q=0.5`: how much it is wanted, from 0 to 1.
double quality(View parameters) {
  while (!parameters.empty()) {
    const View parameter = next_part(parameters, ';');
    if (!parameter.starts_with("q=") && !parameter.starts_with("Q=")) continue;
    double value = 0;
    const View number = parameter.substr(2);
    const auto read = std::from_chars(number.data(), number.data() + number.size(), value);
    return read.ec == std::errc() ? std::clamp(value, 0.0, 1.0) : 0;
  }
  return 1;
}

}  // namespace

MetricsForm preferred_form(View accept) {
  double open = 0;
  std::optional<double> plain;  // by its name, or by what covers it
  while (!accept.empty()) {
    View entry = next_part(accept, ',');
    const View type = next_part(entry, ';');
    const double wanted = quality(entry);
    if (type == "application/openmetrics-text") open = std::max(open, wanted);
    if (type == "text/plain" || type == "text/*" || type == "*/*") {
      plain = std::max(plain.value_or(0), wanted);
    }
  }
  return open > plain.value_or(0) ? MetricsForm::open_metrics : MetricsForm::prometheus;
}

View content_type(MetricsForm form) {
  return form == MetricsForm::open_metrics
             ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
             : "text/plain; version=0.0.4; charset=utf-8";
}

Bytes as_utf8(View name) {
  Bytes out;
  while (!name.empty()) {
    const size_t size = character_size(name);
    if (size > 0 && name.substr(0, size) != replacement) {
      out.append(name.substr(0, size));
      name.remove_prefix(size);
      continue;
    }
    const size_t bad = std::max<size_t>(size, 1);
    for (const char byte : name.substr(0, bad)) {
      fmt::format_to(std::back_inserter(out), "{}{:02X}", replacement,
                     static_cast<unsigned char>(byte));
    }
    name.remove_prefix(bad);
  }
  return out;
}

Labels& Labels::add(View name, View value) {
  if (!text_.empty()) text_ += ',';
  text_.append(name).append("=\"");
  for (const char byte : as_utf8(value)) {
    if (byte == '\\' || byte == '"') text_ += '\\';
    byte == '\n' ? text_.append("\\n") : text_.append(1, byte);
  }
  text_ += '"';
  return *this;
}

void MetricsText::begin(View name, MetricType type, View help) {
  name_ = name;
  View family = name;
  if (form_ == MetricsForm::open_metrics) {
    if (type == MetricType::counter) family.remove_suffix(total.size());
    if (type == MetricType::info) family.remove_suffix(View("_info").size());
  }
  const auto line = std::back_inserter(out_);
  fmt::format_to(line, "# HELP {} {}\n# TYPE {} {}\n", family, help, family, word_of(type, form_));
  if (form_ == MetricsForm::prometheus) return;
  for (const View unit : {"seconds", "bytes"}) {
    if (family.ends_with(unit)) fmt::format_to(line, "# UNIT {} {}\n", family, unit);
  }
}

void MetricsText::sample(View suffix, const Bytes& labels) {
  out_.append(name_).append(suffix);
  if (!labels.empty()) out_.append("{").append(labels).append("}");
  out_ += ' ';
}

void MetricsText::count(const Bytes& labels, int64_t value) {
  sample("", labels);
  fmt::format_to(std::back_inserter(out_), "{}\n", value);
}

void MetricsText::time(const Bytes& labels, int64_t value_us) {
  sample("", labels);
  constexpr int64_t second_us = 1'000'000;
  fmt::format_to(std::back_inserter(out_), "{}{}.{:06}\n", value_us < 0 ? "-" : "",
                 std::abs(value_us / second_us), std::abs(value_us % second_us));
}

void MetricsText::histogram(const Bytes& labels, const TimeHistogram& times) {
  uint64_t up_to = 0;
  for (size_t bucket = 0; bucket <= TimeHistogram::bounds; ++bucket) {
    up_to += times.in_bucket(bucket);
    const double bound = static_cast<double>(TimeHistogram::bound(bucket).count()) / 1e6;
    const auto line = std::back_inserter(out_);
    if (bucket == TimeHistogram::bounds) {
      fmt::format_to(line, "{}_bucket{{{},le=\"+Inf\"}} {}\n", name_, labels, up_to);
    } else {
      fmt::format_to(line, "{}_bucket{{{},le=\"{}\"}} {}\n", name_, labels, bound, up_to);
    }
  }
  sample("_count", labels);
  fmt::format_to(std::back_inserter(out_), "{}\n", up_to);
  sample("_sum", labels);
  fmt::format_to(std::back_inserter(out_), "{}.{:06}\n", times.sum_us() / 1'000'000,
                 times.sum_us() % 1'000'000);
}

Bytes MetricsText::take() {
  if (form_ == MetricsForm::open_metrics) out_ += "# EOF\n";
  return std::move(out_);
}

}  // namespace headgate
