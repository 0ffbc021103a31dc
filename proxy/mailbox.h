// How workers talk: a worker posts a letter to another, which opens it on its own thread at the
// next turn of its loop. Letters of one sender to one receiver keep their order. Post from any
// thread.
#pragma once

#include <concepts>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace headgate {

class Worker;

/// Something to do on another worker's thread; may carry what can only be moved.
class Letter {
 public:
  template <class Open>
  requires std::invocable<Open&, Worker&> Letter(Open open)
      : content_(std::make_unique<Content<Open>>(std::move(open))) {}
  void open(Worker& worker) { content_->open(worker); }

 private:
  struct ContentBase {
    virtual ~ContentBase() = default;
    virtual void open(Worker& worker) = 0;
  };
  template <class Open>
  struct Content final : ContentBase {
    explicit Content(Open open) : open_(std::move(open)) {}
    void open(Worker& worker) override { open_(worker); }
    Open open_;
  };
  std::unique_ptr<ContentBase> content_;
};

class Mailbox {
 public:
  /// True: the box was empty, so its owner must be woken.
  bool put(Letter letter) {
    const std::lock_guard lock(mutex_);
    letters_.push_back(std::move(letter));
    return letters_.size() == 1;
  }
  std::vector<Letter> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(letters_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Letter> letters_;
};

}  // namespace headgate
