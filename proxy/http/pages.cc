#include "proxy/http/pages.h"

#include <algorithm>
#include <chrono>

#include "admin/basic_auth.h"
#include "admin/health.h"
#include "admin/live_page.h"
#include "admin/metrics.h"
#include "admin/page_files.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/process.h"

namespace headgate {

namespace {

// A loop that has not answered for so long does not serve its clients either.
constexpr Duration alive_within = seconds(1);

HttpAnswer plain(int status, std::string text) {
  return {status, "text/plain; charset=utf-8", std::move(text)};
}

HttpAnswer answer_of(Health health) {
  return plain(health.good ? 200 : 503, std::move(health.text));
}

}  // namespace

struct Pages::Page {
  View path;
  HttpAnswer (Pages::*answer)(const HttpQuestion& question);
  bool is_free = false;  // to be read without the password
};

const Pages::Page Pages::pages[] = {
    {"/", &Pages::file},
    {"/healthz", &Pages::health, true},
    {"/readyz", &Pages::readiness, true},
    {"/metrics", &Pages::metrics},
    {"/stats.json", &Pages::stats},
    {"/page.css", &Pages::file},
    {"/page.js", &Pages::file},
    {"/uplot.css", &Pages::file},
    {"/uplot.js", &Pages::file},
};

HttpAnswer Pages::answer(const HttpQuestion& question) {
  const auto* page = std::ranges::find(pages, question.path, &Page::path);
  if (page == std::end(pages)) {
    std::string text = "there is nothing here, but there is:\n";
    for (const Page& each : pages) text.append(each.path).append("\n");
    return plain(404, std::move(text));
  }
  if (question.method != "GET" && question.method != "HEAD") {
    HttpAnswer refusal = plain(405, "pages are only to be read\n");
    refusal.allow = "GET, HEAD";
    return refusal;
  }
  if (!page->is_free && !password_.empty()) {
    if (auto refused = refusal(question)) return std::move(*refused);
  }
  return (this->*page->answer)(question);
}

// Whoever has brought too many wrong passwords is not told either whether the next one is right.
std::optional<HttpAnswer> Pages::refusal(const HttpQuestion& question) {
  HttpAnswer refused = plain(401, "a password is needed (http_password)\n");
  refused.asks_password = true;
  if (question.authorization.empty()) return refused;
  const auto clock = std::chrono::steady_clock::now().time_since_epoch();
  const Instant now(std::chrono::duration_cast<Duration>(clock));
  const std::lock_guard guard(mutex_);
  if (const Duration wait = wrong_tries_.wait(question.place, now); wait > Duration::zero()) {
    HttpAnswer later = plain(429, "too many wrong passwords\n");
    later.retry_after_s = std::chrono::ceil<seconds>(wait).count();
    return later;
  }
  if (brings_password(question.authorization, password_)) return std::nullopt;
  wrong_tries_.note(question.place, now);
  if (wrong_tries_.wait(question.place, now) > Duration::zero()) {
    log(LogLevel::warning, "http: too many wrong passwords from {}", question.place);
  }
  return refused;
}

HttpAnswer Pages::health(const HttpQuestion&) {
  HealthFacts facts;
  facts.silent_worker = survey_.find_silent(alive_within);
  return answer_of(live_health(facts));
}

HttpAnswer Pages::readiness(const HttpQuestion&) {
  HealthFacts facts;
  facts.silent_worker = survey_.find_silent(alive_within);
  facts.starting = !pooler_.started();
  facts.shutting_down = pooler_.shutting_down();
  if (pooler_.drain().under_way()) facts.drain = pooler_.drain().progress();
  facts.waits_for_servers = pooler_.waits_for_servers();
  facts.paused = pooler_.paused();
  facts.suspended = pooler_.suspended();
  return answer_of(ready_health(facts));
}

HttpAnswer Pages::metrics(const HttpQuestion& question) {
  const auto snapshot = survey_.snapshot({.connections = false, .meters = true});
  if (!snapshot) return plain(503, snapshot.error().message + "\n");
  const MetricsForm form = preferred_form(question.accept);
  return {200, std::string(content_type(form)), metrics_page(*snapshot, process_use(), form)};
}

HttpAnswer Pages::stats(const HttpQuestion&) {
  const auto snapshot = survey_.snapshot(
      {.connections = false, .meters = true, .holders = most_holders, .troubles = true});
  if (!snapshot) return plain(503, snapshot.error().message + "\n");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t wall_us = std::chrono::duration_cast<microseconds>(now).count();
  return {200, "application/json", stats_json(*snapshot, wall_us)};
}

HttpAnswer Pages::file(const HttpQuestion& question) {
  const auto found = std::ranges::find(page_files(), question.path, &PageFile::path);
  MUST(found != page_files().end());  // the table says what there is
  HttpAnswer answer{200, std::string(found->type), std::string(found->bytes)};
  answer.is_page = true;
  return answer;
}

}  // namespace headgate
