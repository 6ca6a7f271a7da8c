// As many io_urings as it takes to hold a flood: each has its own table of direct descriptors,
// limited by RLIMIT_NOFILE one by one and not together, so that one process holds a million
// sockets. Client n lives in slot n % slots of ring n / slots. Verbs on clients, completions back;
// knows no SMTP and keeps no client's state. Made and used by one task only.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "bench/flood/client.h"
#include "core/base/address.h"
#include "core/base/result.h"

namespace lychgate::flood {

// Sockets of one ring when nothing else is said: more slots in one table win nothing, and a table's
// ring has a queue of completions to fill.
inline constexpr uint32_t kSlotsPerRing = 20000;
// Descriptors a process has for other things than rings: its files, libraries, standard streams.
inline constexpr uint32_t kOwnDescriptors = 32;

struct RingSetOptions {
  uint32_t clients = 1;
  uint32_t per_ring = 0;  // 0: what the descriptor limit allows
  bool binds = false;     // sources will be chosen
};

enum class Closing : uint8_t { kFin, kReset };

// The end of a request of one client.
struct Done {
  enum class What : uint8_t {
    kOpening,  // socket, option or bind failed; kConnected will come all the same
    kConnected,
    kReceived,
    kSent,
  };
  uint32_t client = 0;
  What what = What::kConnected;
  int32_t result = 0;
  std::string_view bytes{};  // valid until the next take()
};

class RingSet {
 public:
  static Result<std::unique_ptr<RingSet>> create(const RingSetOptions& options);
  ~RingSet();

  // Verbs. Each is queued; enter() submits. REQUIRES: room_for() since the last completion, step
  // or start of a client (its entries go in one piece).
  void room_for(uint32_t client);
  // Makes a socket in the client's empty slot, binds it when `source` is given, and connects.
  void open(uint32_t client, const SocketAddress* source, const SocketAddress& target);
  void receive(uint32_t client);  // when bytes come
  void look(uint32_t client);     // what is there now; -EAGAIN: nothing
  void send(uint32_t client, const Words& words, bool whole);
  void cancel(uint32_t client, Request request);
  // REQUIRES: no request of the client is in the kernel. The slot is empty at once.
  void close(uint32_t client, Closing how);

  size_t rings() const;
  // Something waits to be submitted or fetched.
  bool wants_turn(size_t ring) const;
  // Submits and lets the kernel finish what it has.
  void enter(size_t ring);
  // Completions, at most a fixed batch; empty: none left. Gives the last batch's buffers back.
  std::span<const Done> take(size_t ring);
  // Sleeps until a completion is there, at most this long; returns at once when one is.
  void wait(std::chrono::nanoseconds most);

 private:
  struct Rings;
  explicit RingSet(std::unique_ptr<Rings> rings);
  std::unique_ptr<Rings> rings_;
};

}  // namespace lychgate::flood
