// The DNS servers a shard asks, each with several connected UDP sockets: which one gets the next
// question, how many it may have open, which id on which port is whose. Reads no packet, sends
// none.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/base/address.h"
#include "core/base/counters.h"
#include "core/base/limits.h"
#include "core/base/time.h"

namespace lychgate::dns {

inline constexpr uint32_t kNoQuery = 0xffffffff;

// One question under way: the id it carries on one of our sockets.
struct Seat {
  uint16_t socket = 0;
  uint16_t id = 0;
};

// Attempts in a row without any answer after which a server is asked last, and how often one
// question tries it then; the span doubles up to the second constant.
inline constexpr uint32_t kServerSilentMax = 8;
inline constexpr Tick kServerRetryMs = 1000;
inline constexpr Tick kServerRetryMaxMs = 16000;

// A loss shows only when an attempt has had no answer, so a window may grow but once in such a
// span, and little: whatever is too much is too much for as long.
inline constexpr Tick kWindowPeriodMs = 400;
// Answers that come sooner than this on average do not wait for the window: a local server would
// only get a longer queue, and its socket holds no more than two shards' first windows.
inline constexpr uint32_t kNearMs = 5;
// Growth of a period, as a right shift of the window: a quarter, or a sixteenth for this long after
// a loss.
inline constexpr int kGrowthShift = 2;
inline constexpr int kCarefulGrowthShift = 4;
inline constexpr Tick kCarefulMs = 30000;

class Servers {
 public:
  // sockets: connected, `per_server` for each server, in the servers' order. questions: the most
  // that may be open at one server.
  Servers(std::span<const Endpoint> servers, std::span<const int> sockets, uint32_t questions,
          ShardCounters& counters);

  uint32_t count() const { return static_cast<uint32_t>(servers_.size()); }
  uint32_t sockets() const { return static_cast<uint32_t>(sockets_.size()); }
  const Endpoint& endpoint(uint32_t server) const { return servers_[server].endpoint; }
  int fd(uint32_t socket) const { return sockets_[socket].fd; }
  uint32_t server_of(uint32_t socket) const { return socket / per_server_; }

  // The server for the next attempt: one that answers before one that does not, one that has not
  // been tried (bits of `tried`) before one that has. nullopt: every window is full.
  std::optional<uint32_t> pick(uint32_t tried, uint64_t random, Tick now);
  // A free id on one of the server's sockets, now the query's; the server has one more open.
  // nullopt: no id is free.
  std::optional<Seat> take_seat(uint32_t server, uint32_t query, uint64_t random);
  // Lets the processor fetch what take_seat will look at if it is given this number: the ids of a
  // server fill a megabyte, and waiting for it was a quarter of what a lookup costs us (measured).
  void foresee(uint64_t random) const;
  // kNoQuery: nobody's, so the reply is late, a duplicate or forged.
  uint32_t query_of(Seat seat) const { return sockets_[seat.socket].by_id[seat.id]; }

  // How a seat is left; each frees the id.
  // The server has answered, whatever it said; took_ms: since this attempt, 0 when not known.
  void answered(Seat seat, uint32_t took_ms, Tick now);
  void lost(Seat seat, Tick now);  // no answer in time
  void let_go(Seat seat);          // another attempt was answered, or the question was given up
  // No answer in time, but one may still come: the id stays, the window forgets it.
  void overdue(Seat seat, Tick now);
  // A hint from the kernel (ICMP) that nobody listens there.
  void refused(uint32_t socket, Tick now);

  bool is_down(uint32_t server) const { return servers_[server].down; }
  uint32_t open(uint32_t server) const { return servers_[server].open; }
  uint32_t window(uint32_t server) const { return servers_[server].window; }
  // Questions that may be sent at once to servers that answer.
  uint32_t room() const;

 private:
  struct Server {
    Endpoint endpoint;
    uint32_t open = 0;
    uint32_t window = kDnsWindowFirst;
    // The period that is being measured: its begin, answers, their sum of latencies, and whether
    // the window was ever in use.
    Tick period_at = 0;
    uint32_t answers = 0;
    uint32_t latencies = 0;
    bool used = false;
    bool ever_lost = false;
    uint32_t silent = 0;
    bool down = false;
    Tick retry_at = 0;
    Tick retry_after = kServerRetryMs;
    Tick shrunk_at = 0;
  };
  struct Socket {
    int fd = -1;
    std::unique_ptr<uint32_t[]> by_id;
    // Seats that are overdue: their answers no longer make room in a window.
    std::unique_ptr<uint64_t[]> overdue;
  };
  void widen(Server& server, Tick now) const;
  void went_silent(Server& server, uint32_t attempts, Tick now);
  bool clear_seat(Seat seat);

  std::vector<Server> servers_;
  std::vector<Socket> sockets_;
  uint32_t per_server_ = 1;
  uint32_t window_max_;
  ShardCounters& counters_;
};

}  // namespace lychgate::dns
