#include "proxy/http/pages.h"

#include "admin/health.h"
#include "admin/metrics.h"
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
};

const Pages::Page Pages::pages[] = {
    {"/healthz", &Pages::health},
    {"/readyz", &Pages::readiness},
    {"/metrics", &Pages::metrics},
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
  return (this->*page->answer)(question);
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

}  // namespace headgate
