// How a simulated server lets somebody in: the start-up packet, a proof if it demands one, and the
// welcome.
#include "auth/crypto.h"
#include "tests/sim/postgres.h"

namespace headgate::sim {

bool Backend::take_packet() {
  if (host_.door() == Postgres::Door::silent) return false;
  if (in_.size() < 8) return false;
  const size_t size = load_u32(in_.data());
  if (in_.size() < size) return false;
  const Bytes packet = in_.substr(0, size);
  in_.erase(0, size);
  startup(packet);
  return !gone_;
}

void Backend::startup(View packet) {
  constexpr uint32_t cancel_request = 80877102;
  World& world = host_.world();
  if (load_u32(packet.data() + 4) == cancel_request) {
    const auto process = static_cast<int>(load_u32(packet.data() + 8));
    const auto secret = static_cast<int32_t>(load_u32(packet.data() + 12));
    working_.emplace();  // nothing more is heard meanwhile
    world.after(world.dice.between(microseconds(1), host_.cancel_delay),
                [self = shared_from_this(), host = &host_, process, secret] {
                  host->cancel(process, secret);
                  self->close();
                });
    return;
  }
  if (host_.door() == Postgres::Door::failing) {
    fault();
    return fail(world.dice.chance(500) ? "53300" : "57P03", "cannot accept this connection now",
                true);
  }
  View rest = packet.substr(8);
  while (rest.size() > 1) {
    const std::string name(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(name.size() + 1);
    const std::string value(rest.substr(0, rest.find('\0')));
    rest.remove_prefix(value.size() + 1);
    if (name == "user") user_ = value;
    if (name == "database") database_ = value;
  }
  started_ = true;
  if (host_.on_session) host_.on_session();
  if (host_.passwords.servers == AuthMethod::trust) return welcome();
  locked_ = host_.door() == Postgres::Door::locked;
  proof_ = std::make_unique<ClientAuth>(
      ClientAuth::Who{
          .method = host_.passwords.servers,
          .user = user_,
          .secret = locked_ ? Secret("another password") : host_.passwords.kept_by_server(user_),
          .scram_iterations = 1,
          .random = sha256(std::to_string(world.dice.next())),
          .mock_key = Bytes(32, 'm')},
      host_.keys);
  proceed(proof_->start());
}

// --- the proof

void Backend::take_proof(char tag, View body) {
  if (tag != 'p') {
    host_.world().violated("server {} got '{}' instead of a proof", process_, tag);
  }
  proceed(proof_->answer(body));
}

void Backend::proceed(AuthStep step) {
  World& world = host_.world();
  out_.append(step.out);
  switch (step.next) {
    case AuthStep::Next::read:
      return;
    case AuthStep::Next::done:
      proof_.reset();
      return welcome();
    case AuthStep::Next::failed:
      if (locked_) {
        fault();
      } else if (host_.passwords.servers_let_in()) {
        world.violated("server {} got a wrong proof from {}: {}", process_, user_,
                       step.error->message);
      }
      return fail("28P01", "password authentication failed", true);
    case AuthStep::Next::ask:
      MUST(false);  // it has no directory
      return;
    case AuthStep::Next::work:
      break;
  }
  working_.emplace();  // nothing more is heard meanwhile
  world.after(world.dice.between(microseconds(10), milliseconds(5)),
              [weak = weak_from_this(), work = std::move(step.work), number = ++work_] {
                work();
                const auto self = weak.lock();
                if (!self || self->gone_ || number != self->work_) return;
                self->steps_.push_front({Step::Kind::prove});
                self->working_.reset();
                self->hear();
              });
}

void Backend::welcome() {
  values_ = values_at_start();
  say('R', Bytes(4, '\0'));
  for (const auto& [name, value] : values_) report(name);
  tell_role();
  char key[8];
  store_u32(key, static_cast<uint32_t>(process_));
  store_u32(key + 4, static_cast<uint32_t>(secret_));
  say('K', View(key, sizeof key));
  ready();
}

void Backend::report(View name) {
  Bytes body(name);
  body.push_back('\0');
  body.append(values_[std::string(name)]);
  body.push_back('\0');
  say('S', body);
}

}  // namespace headgate::sim
