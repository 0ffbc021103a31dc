// The threads on which directories are asked. Bounded in number, and so is what waits for them; one
// directory that does not answer holds at most half of them, so that others are still heard. Those
// are never waited for: a directory that hangs must not keep the process from ending.
#pragma once

#include "proxy/directories.h"

namespace headgate {

class DirectoryThreads final : public Directories {
 public:
  static constexpr size_t most_threads = 32;
  static constexpr size_t most_for_one = most_threads / 2;
  static constexpr size_t most_waiting = 1024;
  using Check = std::function<bool(const DirectoryQuestion&)>;

  /// `check` asks the directory and may take its time; called on several threads at once.
  explicit DirectoryThreads(Check check);
  ~DirectoryThreads() override { close(); }

  bool ask(DirectoryQuestion question, std::weak_ptr<bool> wanted, Answer answer) override;
  /// From here on nobody is answered. False: a directory still holds a thread, and exit() would
  /// take down the libraries that it is in, so the process has to leave without.
  bool close();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// Asks PAM or LDAP, as the question says.
bool directory_accepts(const DirectoryQuestion& question);

}  // namespace headgate
