// Sessions of servers and the taking of descriptors.

#include "tests/sim/server.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "handoff/pass_attributes.h"
#include "handoff/proxy_header.h"
#include "tests/sim/mail_session.h"

namespace lychgate::sim {

using ring::Op;

namespace {

std::string greeting_line(uint32_t session) {
  return fmt::format("220 {:08x}\r\n", session);
}

}  // namespace

ServerSession::ServerSession(Cast& cast, const SocketPtr& socket, const config::Pool& pool,
                             const ServerScript& script)
    : Actor(cast.stage),
      cast_(cast),
      socket_(socket),
      script_(script),
      number_(static_cast<uint32_t>(cast.sessions.size())),
      connected_at_(cast.stage.agenda.now()),
      in_(client_key(socket->client)),
      out_(server_key(number_)) {
  std::array<char, handoff::kProxyHeaderMax> bytes;
  const ClientScript& client_script = client().script();
  const size_t size = handoff::write_proxy_header(
      pool.proxy, {.client = client_script.from, .server = client_script.to}, bytes);
  header_.assign(bytes.data(), size);
  if (script.manner == Manner::kServe) greeting_ = greeting_line(number_);
  if (script.manner == Manner::kBusy) greeting_ = "421 busy\r\n";
  wake_at(connected_at_ + script.greets_after);
}

void ServerSession::fault(const std::string& text) {
  stage_.reactor.violation(
      fmt::format("server session {} of client {}: {}", number_, socket_->client, text));
}

void ServerSession::written(Op op, std::span<const char> bytes) {
  if (op == Op::kBackendHeader) {
    if (std::string_view(bytes.data(), bytes.size()) != header_) fault("a wrong PROXY header");
    if (header_sent_) fault("a second PROXY header");
    header_sent_ = true;
  } else if (op != Op::kRelaySend) {
    fault("written to by an operation that should not");
  }
}

void ServerSession::act() {
  read();
  if (socket_->near_closed || socket_->broken || left_) return;
  const Time now = stage_.agenda.now();
  if (script_.dies && now >= connected_at_ + *script_.dies) {
    left_ = true;
    return stage_.reactor.reset(*socket_, ECONNRESET);
  }
  if (now >= connected_at_ + script_.greets_after) greet();
  if (left_) return;
  write();
  maybe_finish();
  if (script_.dies) wake_at(std::max(now + 1, connected_at_ + *script_.dies));
  if (!greeted_) wake_at(std::max(now + 1, connected_at_ + script_.greets_after));
  if (next_write_ > now) wake_at(next_write_);
  const bool slow = script_.reading == Reading::kSlow && !socket_->tx.empty();
  if (slow) wake_at(now + 1 + stage_.random.between(0, script_.pace));
}

void ServerSession::read() {
  if (script_.reading == Reading::kNever) return;
  char chunk[16384];
  for (;;) {
    const size_t most =
        script_.reading == Reading::kSlow ? stage_.random.between(1, 2000) : sizeof(chunk);
    const size_t bytes = stage_.reactor.take(*socket_, std::span(chunk).first(most));
    if (bytes == 0) return;
    hear({chunk, bytes});
    if (script_.reading == Reading::kSlow && !socket_->near_closed) return;
  }
}

void ServerSession::hear(std::string_view bytes) {
  const size_t of_header = std::min(header_.size(), bytes.size());
  if (bytes.substr(0, of_header) != header_.substr(0, of_header)) fault("no PROXY header");
  header_.erase(0, of_header);
  bytes.remove_prefix(of_header);
  if (!in_.receive(bytes)) fault("a byte of its client is lost, repeated or foreign");
  if (in_.received() > client().sent()) fault("more bytes than the client has sent");
}

void ServerSession::greet() {
  if (greeted_) return;
  switch (script_.manner) {
    case Manner::kMute:
      greeted_ = true;  // as far as it ever will be
      return;
    case Manner::kCloseEarly:
      left_ = true;
      return stage_.reactor.leave(*socket_);
    case Manner::kResetEarly:
      left_ = true;
      return stage_.reactor.reset(*socket_, ECONNRESET);
    case Manner::kServe:
    case Manner::kBusy:
      break;
  }
  const size_t most = script_.in_pieces ? stage_.random.between(1, greeting_.size()) : 64;
  const auto part = std::string_view(greeting_).substr(0, most);
  greeting_.erase(0, stage_.reactor.deliver(*socket_, part));
  greeted_ = greeting_.empty();
}

void ServerSession::write() {
  const Time now = stage_.agenda.now();
  const bool ready = greeted_ && script_.manner == Manner::kServe && now >= next_write_;
  if (!ready || socket_->far_ended || out_.sent() >= script_.total) return;
  const size_t bytes = stage_.random.between(1, script_.chunk);
  if (out_.send(stage_.reactor, *socket_, std::min(bytes, script_.total - out_.sent())) > 0) {
    next_write_ = now + stage_.random.between(1, script_.pace);
  }
}

void ServerSession::maybe_finish() {
  const bool done = greeted_ && script_.manner == Manner::kServe && out_.sent() >= script_.total;
  if (script_.manner == Manner::kBusy && greeted_) return stage_.reactor.end(*socket_);
  if (!done || socket_->far_ended) return;
  const bool they_ended = socket_->near_shut && socket_->tx.empty();
  switch (script_.finish) {
    case ServerFinish::kAfterAll:
      if (they_ended || in_.received() >= client().script().total) stage_.reactor.end(*socket_);
      return;
    case ServerFinish::kWaitForEnd:
      if (they_ended) stage_.reactor.end(*socket_);
      return;
    case ServerFinish::kClose:
      left_ = true;
      return stage_.reactor.leave(*socket_);
    case ServerFinish::kReset:
      left_ = true;
      return stage_.reactor.reset(*socket_, ECONNRESET);
    case ServerFinish::kNothing:
      return;
  }
}

void ServerSession::judge() {
  Client& other = client();
  if (other.server() != number_ || other.was_killed()) return;
  const ClientScript& script = other.script();
  const bool waits_for_ever =
      script.finish == Finish::kAfterThem && script_.finish == ServerFinish::kWaitForEnd;
  if (!script_.polite() || !script.polite() || waits_for_ever || !cast_.scenario.plenty) return;
  if (in_.received() != script.total) {
    fault(fmt::format("has {} of the client's {} bytes", in_.received(), script.total));
  }
  if (other.received() != script_.total) {
    fault(fmt::format("the client has {} of its {} bytes", other.received(), script_.total));
  }
  if (!header_.empty()) fault("never got the PROXY header");
}

namespace {

ServerScript draw_script(const Cast& cast) {
  Random& random = cast.stage.random;
  ServerScript out;
  out.greets_after = random.pick<Time>({0, 5, 100});
  out.in_pieces = random.one_in(5);
  const bool bulk = random.chance(cast.scenario.bulk_percent);
  out.total = bulk ? random.between(0, 400000) : random.between(0, 500);
  out.chunk = bulk ? 16384 : 100;
  out.pace = bulk ? 2 : random.pick<Time>({1, 20, 300});
  out.finish = random.pick({ServerFinish::kAfterAll, ServerFinish::kWaitForEnd});
  if (!random.chance(cast.scenario.sick_percent)) return out;
  out.manner = random.pick({Manner::kServe, Manner::kServe, Manner::kBusy, Manner::kMute,
                            Manner::kCloseEarly, Manner::kResetEarly});
  out.reading = random.pick({Reading::kPrompt, Reading::kPrompt, Reading::kSlow, Reading::kNever});
  out.finish = random.pick({ServerFinish::kAfterAll, ServerFinish::kWaitForEnd,
                            ServerFinish::kClose, ServerFinish::kReset, ServerFinish::kNothing});
  out.greets_after = random.pick<Time>({0, 50, 2000, 20000});
  if (random.one_in(3)) out.dies = random.between(0, 5000);
  return out;
}

// One that the gate may talk to.
std::unique_ptr<MailSession> make_mail_session(Cast& cast, const SocketPtr& socket,
                                               const config::Pool& pool, bool by_pass,
                                               const std::vector<std::string>& capabilities) {
  const bool sick = cast.stage.random.chance(cast.scenario.sick_percent);
  ServerScript manners;
  manners = draw_script(cast);
  MailScript script = draw_mail_script(cast.stage.random, manners, sick, capabilities);
  return std::make_unique<MailSession>(cast, socket, pool, by_pass, std::move(script));
}

void offer(Cast& cast, const Socket& socket, const config::Pool& pool) {
  if (socket.client != kNobody) cast.clients[socket.client]->offered_to(pool);
}

}  // namespace

Backend::Backend(Cast& cast, const config::Pool& pool, const config::Backend& settings)
    : cast_(cast),
      pool_(pool),
      local_(settings.address.family() == AF_UNIX),
      capabilities_(draw_capabilities(cast.stage.random)) {}

// A unix socket connects at once; a TCP one when the network brings the answer.
void Backend::connecting(const SocketPtr& socket) {
  offer(cast_, *socket, pool_);
  Random& random = cast_.stage.random;
  const bool sick = random.chance(cast_.scenario.sick_percent);
  if (local_) return answer(socket, sick && random.one_in(2));
  if (sick && random.one_in(4)) return;  // never answers
  const bool refuses = sick && random.one_in(2);
  cast_.stage.agenda.after(random.pick<Time>({0, 1, 10}), [this, socket, refuses] {
    if (!socket->near_closed) answer(socket, refuses);
  });
}

void Backend::answer(const SocketPtr& socket, bool refuses) {
  if (!refuses && cast_.scenario.talks) {
    auto session = make_mail_session(cast_, socket, pool_, false, capabilities_);
    socket->far = session.get();
    cast_.sessions.push_back(std::move(session));
  } else if (!refuses) {
    auto session = std::make_unique<ServerSession>(cast_, socket, pool_, draw_script(cast_));
    socket->far = session.get();
    cast_.sessions.push_back(std::move(session));
  }
  cast_.stage.reactor.connect_done(*socket, refuses ? -ECONNREFUSED : 0);
}

PassService::PassService(Cast& cast, const config::Pool& pool)
    : Actor(cast.stage),
      cast_(cast),
      pool_(pool),
      backlog_(cast.stage.random.pick<size_t>({1, 5, 100})),
      capabilities_(draw_capabilities(cast.stage.random)) {}

Time PassService::draw_delay() {
  const bool sick = stage_.random.chance(cast_.scenario.sick_percent);
  return stage_.random.between(0, sick ? 6000 : 10);
}

void PassService::connecting(const SocketPtr& socket) {
  offer(cast_, *socket, pool_);
  if (dead_) return stage_.reactor.connect_done(*socket, -ECONNREFUSED);
  if (queue_.size() <= backlog_) return admit(socket);
  // Full: a worker thread of the kernel asks again, and there may be room by then.
  stage_.agenda.after(stage_.random.between(0, 3), [this, socket] {
    if (socket->near_closed) return;
    if (dead_ || queue_.size() <= backlog_) return connecting(socket);
    stage_.reactor.connect_done(*socket, -EAGAIN);
  });
}

void PassService::admit(const SocketPtr& socket) {
  socket->far = this;
  queue_.push_back(socket);
  next_take_ = std::max(next_take_, stage_.agenda.now() + draw_delay());
  stage_.reactor.connect_done(*socket, 0);
}

void PassService::act() {
  const Time now = stage_.agenda.now();
  const bool falls = !queue_.empty() && stage_.random.chance(cast_.scenario.sick_percent) &&
                     stage_.random.one_in(20);
  if (falls) die();
  if (queue_.empty()) return;
  if (now < next_take_) return wake_at(next_take_);
  for (size_t waiting = queue_.size(); waiting > 0; --waiting) {
    const SocketPtr connection = queue_.front();
    queue_.pop_front();
    if (!take(*connection)) queue_.push_back(connection);
  }
}

bool PassService::take(Socket& connection) {
  if (connection.parcels.empty()) return connection.near_closed;
  const Parcel parcel = std::move(connection.parcels.front());
  connection.parcels.pop_front();
  if (parcel.passed->client != kNobody) check(parcel);
  parcel.pair ? serve_pair(parcel.passed) : serve(parcel.passed);
  if (!connection.near_closed) stage_.reactor.end(connection);
  return true;
}

// What smtpd would see: true ends, and the client's bytes from the first on.
void PassService::check(const Parcel& parcel) {
  const Socket& socket = *parcel.passed;
  Client& client = *cast_.clients[socket.client];
  std::array<char, handoff::kPassBytesMax> bytes;
  const size_t size = handoff::write_pass_attributes(
      {.client = client.script().from, .server = client.script().to}, bytes);
  if (parcel.bytes != std::string_view(bytes.data(), size)) {
    stage_.reactor.violation(fmt::format("client {} passed with wrong attributes", socket.client));
  }
  if (!parcel.pair && !client.is_untouched()) {
    stage_.reactor.violation(fmt::format("client {} passed without its bytes", socket.client));
  }
}

void PassService::serve(const SocketPtr& client) {
  const auto number = static_cast<uint32_t>(cast_.sessions.size());
  cast_.sessions.push_back(nullptr);
  const std::string line = greeting_line(number);
  if (!client->far_gone) client->tx.push(line);
  client->far->poke();
  stage_.agenda.after(stage_.random.between(50, 2000), [this, client] {
    client->rx.clear();
    stage_.reactor.let_go(*client);
  });
}

// What is said to the gate's end is said to a session that it talks to.
void PassService::serve_pair(const SocketPtr& pair) {
  auto session = make_mail_session(cast_, pair, pool_, true, capabilities_);
  pair->far = session.get();
  cast_.sessions.push_back(std::move(session));
  pair->far->poke();
}

// With the queue unread: each connection is reset and each descriptor in it closed (unix(7)).
void PassService::die() {
  dead_ = true;
  for (const SocketPtr& connection : std::exchange(queue_, {})) {
    for (Parcel& parcel : connection->parcels) {
      if (parcel.pair) {
        stage_.reactor.end_of_pair(*parcel.passed);
        continue;
      }
      --parcel.passed->claims;
      cast_.clients[parcel.passed->client]->dropped_by_service(parcel.passed->references == 1);
      stage_.reactor.let_go(*parcel.passed);
    }
    connection->parcels.clear();
    stage_.reactor.reset(*connection, ECONNRESET);
  }
  stage_.agenda.after(stage_.random.between(10, 5000), [this] { dead_ = false; });
}

}  // namespace lychgate::sim
