// What a server has been asked and has not yet answered: the explicit queue that decides when an
// exchange is over and what becomes of each answer. A server may go to somebody else only when this
// queue is empty. It follows the message flow of the protocol (PostgreSQL documentation, chapter
// "Frontend/Backend Protocol", "Message Flow"), COPY and the skipping after errors included.
//
// One Exchange for each server connection. It sees tags only, never text, and holds no sockets.
//
// COPY FROM STDIN makes some counting impossible: while a server copies in it ignores Sync, but it
// may end the COPY at any moment, and after that it answers Sync. When a COPY fails behind a Sync
// that was sent too early, the server owes one ReadyForQuery more or does not: the exchange is then
// `unsure` and not over, until a later answer shows which. A client that sends anything else into a
// COPY breaks the protocol, and there the count is `lost` for good: only closing the server helps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace headgate {

/// A message to the server that will be answered, or that changes how others are answered.
enum class Asked : uint8_t {
  query,
  function_call,
  sync,
  parse,
  bind,
  describe_statement,
  describe_portal,
  execute,
  close,
  copy_end,  // CopyDone or CopyFail
};

/// What is to become of an answer.
enum class Fate : uint8_t {
  forward,  // to the client, as it is
  swallow,  // it answers something that Headgate injected
  quiet,    // injected into the client's batch: an error is for the client, success is swallowed
  replace,  // a Close sent in place of the client's Parse: its success is told as ParseComplete
};

/// What a message from the server means.
struct Answer {
  Fate fate = Fate::forward;
  /// The server said something that nothing asked for: it must not be used any more.
  bool unexpected = false;
  /// A ReadyForQuery of which it was not certain that it would come.
  bool stray = false;
  /// It is the success of a message that was sent as `noted`; or the failure of such a Parse.
  bool noted = false;
  /// The simple query that it ends has failed.
  bool failed = false;
  /// So many `noted` messages, the oldest that are owed, have failed or were skipped.
  uint32_t given_up = 0;
};

/// The transaction status of ReadyForQuery, in its letters.
enum class TransactionStatus : char { idle = 'I', in_transaction = 'T', failed = 'E' };

class Exchange {
 public:
  /// A message was sent to the server, behind all others. (Flush, CopyData and Terminate are not
  /// told: nothing answers them.) `noted`: its success or failure will be told, each in turn.
  /// False: the server skips it, because of an error.
  bool sent(Asked asked, Fate fate = Fate::forward, bool noted = false);

  /// A message of a batch is answered without the server, which will hear of the batch by what
  /// follows, be it the Sync alone.
  void begin_batch() { batch_open_ = true; }

  /// A message came from the server: any tag but 'Z'. `describe` of a statement is answered by 't'
  /// and then 'T' or 'n'. Messages that may come at any time (N, S, A) change nothing; a NOTIFY (A)
  /// is for the client, whatever is being answered. 'E' with nothing owed, as from a server that is
  /// told to shut down, is unexpected.
  Answer received(char tag);

  /// ReadyForQuery came. Any letter but I, T and E is unexpected.
  Answer received_ready(char status);

  /// Nothing is owed any more (whoever copies is still owed an answer), the batch in progress is
  /// closed by a Sync, and the count is neither unsure nor lost.
  bool over() const { return count_ == 0 && !batch_open_ && stray_readies_ == 0 && !lost_; }
  /// Nothing is owed and no transaction is open: the server's session is between transactions.
  bool clean() const { return over() && status_ == TransactionStatus::idle; }

  TransactionStatus status() const { return status_; }
  /// How many answers are expected. The relay bounds it, by pausing the client.
  size_t owed() const { return count_; }
  bool copying_in() const { return copy_ == Copy::in; }
  /// Extended-protocol messages were said that no Sync has followed yet.
  bool batch_open() const { return batch_open_; }
  /// One of them has failed, and all that is sent up to the next Sync does nothing.
  bool skipping() const { return skipping_; }
  /// A ReadyForQuery is owed: status() may not be the last word.
  bool ready_owed() const { return entries_through_ready() > 0; }
  /// So many of them.
  size_t readies_owed() const;
  /// The answer that is expected next was asked for by Headgate, not by the client.
  bool next_is_swallowed() const { return count_ > 0 && front().fate == Fate::swallow; }

  /// One ReadyForQuery more may come than is owed. Any other answer settles it: who wants to know
  /// sends a Close of no statement and a Sync, to be swallowed, if nothing else is owed.
  bool unsure() const { return stray_readies_ > 0; }
  /// It cannot be told any more which answer belongs to what: over() stays false for ever.
  bool lost() const { return lost_; }

  /// Answers still owed to the client are swallowed from now on: the client has gone.
  void swallow_all();

 private:
  struct Entry {
    Asked asked;
    Fate fate;
    bool noted;
    bool failed = false;
  };
  enum class Copy : uint8_t { none, in, both };  // COPY OUT needs no state

  const Entry& front() const { return ring_[first_]; }
  const Entry& at(size_t index) const { return ring_[(first_ + index) & (ring_.size() - 1)]; }
  void push(Entry entry);
  void drop_front(size_t entries);
  void pop_copy_ends();
  void grow();

  void sent_into_copy(Asked asked);
  bool sent_while_skipping(Asked asked, Fate fate);
  Answer received_otherwise(char tag);
  Answer received_stray_ready(char status);
  Answer unexpected() const;
  Fate next_fate() const { return next_is_swallowed() ? Fate::swallow : Fate::forward; }
  uint32_t fail();
  uint32_t skip_to_sync();
  uint32_t noted_among(size_t entries) const;
  void doubt_early_syncs();
  void copy_step(char tag);
  void begin_copy_in();
  size_t entries_through_ready() const;

  std::vector<Entry> ring_;  // its size is a power of two; grows by doubling, never shrinks
  size_t first_ = 0;
  size_t count_ = 0;          // the front is never a copy_end: those are not answered
  size_t early_syncs_ = 0;    // Syncs that the COPY in progress has ignored, if it did not fail
  size_t stray_readies_ = 0;  // early Syncs of a COPY that failed: answered, or ignored?
  Fate stray_fate_ = Fate::forward;
  TransactionStatus status_ = TransactionStatus::idle;
  Copy copy_ = Copy::none;
  bool batch_open_ = false;  // since the last Sync, messages of the extended protocol were said
  bool skipping_ = false;    // after an error in a batch the server ignores all up to Sync
  bool lost_ = false;
};

}  // namespace headgate
