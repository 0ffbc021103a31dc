#include "tests/sim/postgres.h"

#include <algorithm>

namespace headgate::sim {

Backend::Backend(Postgres& host, EndPtr end, int process)
    : host_(host), end_(std::move(end)), process_(process) {
  secret_ = static_cast<int32_t>(host.world().dice.next());
  end_->on_change = [this] { hear(); };
}

bool Backend::frozen() const { return host_.world().now() < frozen_until_; }

void Backend::hear() {
  if (gone_ || frozen()) return;
  if (end_->broken()) return close();
  if (std::exchange(cancel_when_thawed_, false)) return cancel(secret_);
  in_.append(end_->arrived());
  if (!end_->arrived().empty()) end_->take(end_->arrived().size());
  pump();
  if (gone_) return;
  tell_notified();
  flush();
  lags_ &= working_.has_value();
  if (end_->at_end() && !working_) close();
}

void Backend::pump() {
  while (!gone_ && !working_ && out_.size() < 32768) {
    if (pending_cancel_ && copying_) {
      pending_cancel_ = false;
      fail("57014", "canceling statement due to user request");
      continue;
    }
    if (!steps_.empty()) {
      Step step = std::move(steps_.front());
      steps_.pop_front();
      do_step(std::move(step));
      continue;
    }
    if (!(started_ ? take_message() : take_packet())) return;
  }
}

void Backend::flush() {
  if (gone_) return;
  out_.erase(0, end_->send(out_));
}

void Backend::close() {
  if (gone_) return;
  gone_ = true;
  ++work_;
  abandon();
  end_.close();
}

// --- what may befall it

void Backend::crash() {
  if (gone_) return;
  fault();
  gone_ = true;
  ++work_;
  abandon();
  end_->reset();
  end_.close();
}

void Backend::terminate() {
  if (gone_ || !started_) return;
  fault();
  fail("57P01", "terminating connection due to administrator command", true);
}

void Backend::freeze(Duration time) {
  host_.ledger().fault(host_.ledger().server_faults);
  World& world = host_.world();
  frozen_until_ = std::max(frozen_until_, world.now() + time);
  lags_ = true;
  world.after(time + microseconds(1), [weak = weak_from_this()] {
    if (const auto still = weak.lock()) still->hear();
  });
}

void Backend::cancel(int32_t secret) {
  if (secret != secret_) return;
  if (frozen()) {
    cancel_when_thawed_ = true;
    return;
  }
  const Statement* hit = working_ ? &*working_ : copying_ ? &*copying_ : nullptr;
  if (!hit) return hear();
  if (hit->client != 0) {
    const auto facts = host_.ledger().facts_of(hit->client);
    if (!facts.may_be_cancelled) {
      host_.world().violated("a cancel hit {}, which nobody wanted cancelled", signature(*hit));
    }
  }
  if (!working_) {
    pending_cancel_ = true;
    return hear();
  }
  ++work_;
  fail("57014", "canceling statement due to user request");
  working_.reset();
  hear();
}

// --- messages

bool Backend::take_message() {
  if (in_.size() < 5) return false;
  const size_t size = load_u32(in_.data() + 1);
  if (size < 4 || size > 1 << 24) {
    host_.world().violated("server {} got a message of length {}", process_, size);
  }
  if (in_.size() < 1 + size) return false;
  const Bytes whole = in_.substr(0, 1 + size);
  in_.erase(0, 1 + size);
  message(whole[0], View(whole).substr(5));
  return true;
}

void Backend::message(char tag, View body) {
  host_.world().note("server {} hears {} {}", process_, tag, body.substr(0, 600));
  if (tag == 'X') return close();
  if (proof_) return take_proof(tag, body);
  if (copying_) return copy_message(tag, body);
  if (tag == 'd' || tag == 'c' || tag == 'f') return;  // of a COPY that has failed
  if (tag == 'S') return steps_.push_back({Step::Kind::sync});
  if (skipping_) return;
  if (tag == 'Q') implicit_ = false;  // its errors end with it, though a batch is open
  if (tag == 'Q') return query(body.substr(0, body.size() - 1));
  if (tag == 'F') return call_function(body);
  implicit_ = true;
  switch (tag) {
    case 'P':
      return parse(body);
    case 'B':
      return bind(body);
    case 'D':
      return describe(body);
    case 'E': {
      const std::string portal(body.substr(0, body.find('\0')));
      Statement statement = {.kind = Statement::Kind::stray};
      if (portal.empty() || portals_.contains(portal)) statement = portals_[portal];
      return steps_.push_back({Step::Kind::execute, statement});
    }
    case 'C':
      return close_one(body);
    case 'H':
      return;
    default:
      host_.world().violated("server {} got an unknown message {}", process_,
                             static_cast<int>(tag));
  }
}

void Backend::query(View text) {
  parsed_.reset();
  auto statements = parse_query(text);
  if (!statements) host_.world().violated("server {} got a query nobody sent: {}", process_, text);
  for (Statement& statement : *statements) {
    statement.query = text;
    may_take_time(statement);
    steps_.push_back({Step::Kind::execute, std::move(statement), {}, true});
  }
  steps_.back().last = true;
}

// What Headgate asks for itself.
void Backend::may_take_time(Statement& statement) {
  Dice& dice = host_.world().dice;
  using Kind = Statement::Kind;
  const bool ours = statement.client == 0 &&
                    (statement.kind == Kind::assign || statement.kind == Kind::question ||
                     statement.kind == Kind::audit || statement.kind == Kind::prepare ||
                     statement.kind == Kind::deallocate);
  const bool deferred = statement.kind == Kind::begin && implicit_;
  if ((ours || deferred) && host_.busy && dice.chance(200))
    statement.milliseconds = dice.between(1, 3);
}

void Backend::do_step(Step step) {
  switch (step.kind) {
    case Step::Kind::message:
      return say(step.message[0], {});
    case Step::Kind::describe:
      if (answers_rows(step.statement)) {
        return say('T', signature(step.statement));
      }
      return say('n', {});
    case Step::Kind::sync:
      skipping_ = false;
      return ready();
    case Step::Kind::prove:
      return proceed(proof_->worked());
    case Step::Kind::execute:
      break;
  }
  check_asker(step.statement);
  if (start_work(step)) return;
  step_failed_ = false;
  execute(step.statement);
  if (copying_) {
    copy_simple_ = step.simple;
    copy_last_ = step.last;
    if (copy_is_bad()) return fail("22P04", signature(*copying_));
  }
  if (step.last && !copying_ && !step_failed_ && !gone_) ready();
}

// Work takes time, and what comes meanwhile waits.
bool Backend::start_work(const Step& step) {
  if (step.statement.milliseconds == 0) return false;
  working_ = step.statement;
  World& world = host_.world();
  const uint64_t number = ++work_;
  world.after(milliseconds(step.statement.milliseconds), [weak = weak_from_this(), step, number] {
    const auto self = weak.lock();
    if (!self || self->gone_ || number != self->work_) return;
    Step quick = step;
    quick.statement.milliseconds = 0;
    self->steps_.push_front(quick);
    self->working_.reset();
    self->hear();
  });
  return true;
}

// A transaction, or a batch, is one client's alone; and each statement comes to where its client
// wanted to go, with the parameters of that client.
void Backend::check_asker(const Statement& statement) {
  if (statement.client == 0) return;
  World& world = host_.world();
  if (owner_ != 0 && owner_ != statement.client) {
    world.violated("{} came into a transaction of c{}", signature(statement), owner_);
  }
  const auto facts = host_.ledger().facts_of(statement.client);
  if (!facts.exists) world.violated("{}: nobody has asked for this", signature(statement));
  if (facts.database != database_ || facts.user != user_) {
    world.violated("{} of {}/{} came to a server of {}/{}", signature(statement), facts.database,
                   facts.user, database_, user_);
  }
  if (facts.application_name != values_["application_name"]) {
    world.violated("{} runs with application_name '{}' instead of '{}'", signature(statement),
                   values_["application_name"], facts.application_name);
  }
  owner_ = statement.client;
  // Behind a RESET that fails with it there is no moment to bring back what it has begun with.
  if (statement.kind != Statement::Kind::fail) check_session(statement);
  check_stand_ins(statement.client);
}

// What the state of the session forbids; it has been told then.
bool Backend::session_refuses(const Statement& statement) {
  using Kind = Statement::Kind;
  const std::string refusal = model_.refusal(statement, host_.ledger().role_exists);
  if (refusal.empty()) return false;
  const bool by_name = statement.kind == Kind::prepare || statement.kind == Kind::deallocate;
  if (statement.client == 0 && by_name) {
    host_.world().violated("server {} tells Headgate: {}", process_, refusal);
  }
  fail("22023", refusal);
  return true;
}

void Backend::end_transaction(bool committed) {
  status_ = 'I';
  settings_settle(committed);
  complete(committed ? "COMMIT" : "ROLLBACK");
}

void Backend::execute(const Statement& statement) {
  using Kind = Statement::Kind;
  if (status_ == 'E' && statement.kind != Kind::rollback && statement.kind != Kind::commit) {
    return fail("25P02", "current transaction is aborted");
  }
  if (const auto refused = standby_refuses(statement)) return fail(refused->first, refused->second);
  if (statement.client != 0) note_execution(statement);
  if (of_protocol(statement)) return;
  if (session_refuses(statement)) return;
  switch (statement.kind) {
    case Kind::nothing:
      return say('I', {});
    case Kind::begin:
    case Kind::begin_reading:
      status_ = 'T';
      return complete(statement.spelling == 2 ? "START TRANSACTION" : "BEGIN");
    case Kind::commit:
    case Kind::rollback:
      return end_transaction(status_ != 'E' && statement.kind == Kind::commit);
    case Kind::run:
    case Kind::copy_out:
      return answer_rows(statement);
    case Kind::fail:
      return fail("22012", signature(statement));
    case Kind::die:
      host_.ledger().fault(host_.ledger().server_faults);
      return fail("57P01", signature(statement), true);
    case Kind::copy_in:
    case Kind::copy_bad:
      copying_ = statement;
      copied_ = 0;
      return say('G', Bytes(3, '\0'));
    case Kind::look:
    case Kind::unlock:
    case Kind::lock:
    case Kind::make:
    case Kind::unmake:
    case Kind::assign:
    case Kind::assign_local:
    case Kind::reset:
    case Kind::reset_all:
    case Kind::secret:
    case Kind::prepare:
    case Kind::run_made:
    case Kind::deallocate:
      return change_session(statement);
    case Kind::discard:
      return discard(statement);
    case Kind::question:
      return answer_question(statement);
    case Kind::audit:
      return answer_audit(statement);
    case Kind::check:
      return complete("SELECT 1");
    case Kind::hear:
      model_.apply(statement);
      return complete("LISTEN");
    case Kind::unhear:
      model_.apply(statement);
      if (statement.size == 0) meets_.reset();
      return complete("UNLISTEN");
    case Kind::meet:
      to_meet_ = statement.name;
      return complete("LISTEN");
    case Kind::cross:
      crossing_ = statement.value;
      return complete("NOTIFY");
    case Kind::read:
    case Kind::write:
    case Kind::sly:
    case Kind::call:
      return answer_data(statement);
    case Kind::ask_role:
      return answer_role(statement);
    case Kind::ask_functions:
      return answer_functions();
    case Kind::stray:
      return fail("34000", "portal does not exist");
    case Kind::prepared:
      host_.world().violated("server {} is to run a prepared statement as it is", process_);
  }
}

// --- COPY

void Backend::copy_message(char tag, View body) {
  switch (tag) {
    case 'd':
      check_row(body);
      ++copied_;
      if (copy_is_bad()) fail("22P04", signature(*copying_));
      return;
    case 'c':
      if (copying_->kind == Statement::Kind::copy_bad) {
        return fail("22P04", signature(*copying_));
      }
      if (copied_ != copying_->rows) {
        host_.world().violated("{}: {} rows of {} came", signature(*copying_), copied_,
                               copying_->rows);
      }
      complete(fmt::format("COPY {}", copied_));
      copying_.reset();
      if (copy_simple_ && copy_last_) ready();
      return;
    case 'f':
      return fail("57014", signature(*copying_));
    case 'H':
    case 'S':
      return;
    case 'E':  // Headgate's own, for a client that has vanished before the COPY began
      if (body[0] != '\0') {
        return fail("08P01", "protocol synchronization was lost", true);
      }
      [[fallthrough]];
    default:
      host_.world().violated("server {} got a message {} in a COPY", process_, tag);
  }
}

// One with an odd number of rows fails before it reads any.
bool Backend::copy_is_bad() const {
  return copying_->kind == Statement::Kind::copy_bad &&
         (copying_->rows % 2 == 1 || (copied_ > 0 && copied_ >= copying_->rows / 2));
}

// A row whose sender has vanished in the middle is filled up by Headgate.
void Backend::check_row(View body) const {
  const Bytes wanted = row_content(*copying_, copied_);
  const auto differs = std::mismatch(body.begin(), body.end(), wanted.begin(), wanted.end());
  const View rest = body.substr(static_cast<size_t>(differs.first - body.begin()));
  if (body.size() == wanted.size() && rest.find_first_not_of('\n') == rest.npos) return;
  host_.world().violated("{}: CopyData {} is not what was sent", signature(*copying_), copied_);
}

}  // namespace headgate::sim
