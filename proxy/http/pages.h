// What can be read by HTTP: a table of paths, each with what it answers. The texts are made by
// admin/; what they are made of is asked of the workers. Used by several threads at once.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include "admin/wrong_tries.h"
#include "base/bytes.h"
#include "proxy/http/survey.h"

namespace headgate {

/// What a request asks for, as far as an answer depends on it.
struct HttpQuestion {
  View method, path, accept, authorization;
  std::string place{};  // where it comes from
};

struct HttpAnswer {
  int status = 200;
  std::string type;
  std::string body;
  std::string allow{};  // the methods there are, where the one asked for is none of them
  bool asks_password = false;
  int64_t retry_after_s = 0;  // 0: it is not said
  bool is_page = false;       // a page of ours, with files of ours
};

class Pages {
 public:
  /// `password`: without it only the health is told; empty: everything is.
  Pages(Pooler& pooler, std::string password)
      : pooler_(pooler), survey_(pooler), password_(std::move(password)) {}

  HttpAnswer answer(const HttpQuestion& question);
  /// Who waits for an answer of the workers stops waiting.
  void close() { survey_.close(); }

 private:
  struct Page;
  static const Page pages[];

  std::optional<HttpAnswer> refusal(const HttpQuestion& question);
  HttpAnswer health(const HttpQuestion& question);
  HttpAnswer readiness(const HttpQuestion& question);
  HttpAnswer metrics(const HttpQuestion& question);
  HttpAnswer stats(const HttpQuestion& question);
  HttpAnswer file(const HttpQuestion& question);

  Pooler& pooler_;
  Survey survey_;
  const std::string password_;
  std::mutex mutex_;  // guards what follows
  WrongTries wrong_tries_;
};

}  // namespace headgate
