// What the gate hands clients to: SMTP servers that it connects to, and services that take
// descriptors. Each connection or descriptor becomes a session that checks what it is given.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/actor.h"
#include "tests/sim/client.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {

// What servers know of the rest of the world.
struct Cast {
  Stage& stage;
  const Scenario& scenario;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::unique_ptr<Actor>> sessions;  // a session's number is its place here
};

enum class Manner : uint8_t {
  kServe,
  kBusy,        // greets with 421
  kMute,        // never greets
  kCloseEarly,  // before greeting
  kResetEarly,
};
enum class ServerFinish : uint8_t {
  kAfterAll,    // when it has the client's whole stream and has sent its own
  kWaitForEnd,  // when the client has ended
  kClose,       // when it has sent its own
  kReset,
  kNothing,
};

struct ServerScript {
  Manner manner = Manner::kServe;
  Reading reading = Reading::kPrompt;
  ServerFinish finish = ServerFinish::kAfterAll;
  Time greets_after = 0;
  bool in_pieces = false;  // the greeting
  uint64_t total = 0;
  size_t chunk = 1;
  Time pace = 1;
  std::optional<Time> dies;  // reset in the middle, after it was connected

  bool polite() const {
    return manner == Manner::kServe && reading == Reading::kPrompt && !dies &&
           (finish == ServerFinish::kAfterAll || finish == ServerFinish::kWaitForEnd);
  }
};

// One connection from the gate to an SMTP server.
class ServerSession : public Actor {
 public:
  ServerSession(Cast& cast, const SocketPtr& socket, const config::Pool& pool,
                const ServerScript& script);

  void written(ring::Op op, std::span<const char> bytes) override;
  // Both ways whole, where client and server have manners and nothing ran short.
  void judge();

 private:
  void act() override;
  void read();
  void hear(std::string_view bytes);
  void write();
  void greet();
  void maybe_finish();
  void fault(const std::string& text);
  Client& client() { return *cast_.clients[socket_->client]; }

  Cast& cast_;
  SocketPtr socket_;
  ServerScript script_;
  uint32_t number_;
  std::string header_;  // PROXY header still to come
  bool header_sent_ = false;
  std::string greeting_;  // still to be sent
  bool greeted_ = false;
  bool left_ = false;
  Time connected_at_;
  Time next_write_ = 0;
  StreamIn in_;
  StreamOut out_;
};

class Backend : public Server {
 public:
  Backend(Cast& cast, const config::Pool& pool, const config::Backend& settings);
  void connecting(const SocketPtr& socket) override;

 private:
  void answer(const SocketPtr& socket, bool refuses);
  Cast& cast_;
  const config::Pool& pool_;
  bool local_;
  std::vector<std::string> capabilities_;
};

// A Postfix `pass` service: takes descriptors from its queue, each soon or late, or dies with the
// queue unread and comes back.
class PassService : public Server, public Actor {
 public:
  PassService(Cast& cast, const config::Pool& pool);
  void connecting(const SocketPtr& socket) override;

 private:
  void act() override;
  void admit(const SocketPtr& socket);
  bool take(Socket& connection);  // false: its message has not come yet
  void die();
  void check(const Parcel& parcel);
  void serve(const SocketPtr& client);
  void serve_pair(const SocketPtr& pair);
  Time draw_delay();

  Cast& cast_;
  const config::Pool& pool_;
  std::deque<SocketPtr> queue_;
  size_t backlog_;
  Time next_take_ = 0;
  bool dead_ = false;
  std::vector<std::string> capabilities_;
};

}  // namespace lychgate::sim
