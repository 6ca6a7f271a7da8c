// Windows grow with answers and halve with losses, somewhat as a TCP sender's do: nothing else
// tells how many packets the server's socket holds before the kernel throws them away. Unlike TCP's
// acknowledgements, answers come in any order and after any time, so a loss is known only late.

#include "dns/servers.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::dns {
namespace {

constexpr uint32_t kIds = 65536;
// Losses of one burst come together and halve the window once.
constexpr Tick kShrinkPauseMs = 100;
// Ids tried at random before the table is walked from the last one on.
constexpr int kRandomTries = 8;

}  // namespace

Servers::Servers(std::span<const Endpoint> servers, std::span<const int> sockets,
                 uint32_t questions, ShardCounters& counters)
    : window_max_(std::max(questions, kDnsWindowMin)), counters_(counters) {
  LYCH_CHECK(!servers.empty() && servers.size() <= kDnsServersMax);
  LYCH_CHECK(!sockets.empty() && sockets.size() % servers.size() == 0);
  per_server_ = static_cast<uint32_t>(sockets.size() / servers.size());
  for (const Endpoint& endpoint : servers) {
    Server& server = servers_.emplace_back();
    server.endpoint = endpoint;
    server.window = std::min(server.window, window_max_);
  }
  for (const int fd : sockets) {
    Socket& socket = sockets_.emplace_back();
    socket.fd = fd;
    socket.by_id = std::make_unique<uint32_t[]>(kIds);
    std::fill_n(socket.by_id.get(), kIds, kNoQuery);
    socket.overdue = std::make_unique<uint64_t[]>(kIds / 64);
  }
}

std::optional<uint32_t> Servers::pick(uint32_t tried, uint64_t random, Tick now) {
  const uint32_t first = static_cast<uint32_t>(random % count());
  const bool all_down =
      std::all_of(servers_.begin(), servers_.end(), [](const Server& s) { return s.down; });
  std::optional<uint32_t> second_best;
  bool better_is_full = false;
  for (uint32_t i = 0; i < count(); ++i) {
    const uint32_t index = (first + i) % count();
    Server& server = servers_[index];
    if (server.open >= server.window) {
      // Worth waiting for: the servers that were tried have said that they cannot, or nothing.
      better_is_full |= (!server.down || all_down) && (tried & 1u << index) == 0;
      continue;
    }
    if (server.down && !all_down) {
      // Not with a question that it was asked already: another server may know.
      const bool tried_it = (tried & 1u << index) != 0;
      if (tried_it || !tick_reached(now, server.retry_at)) continue;
      server.retry_after = std::min(server.retry_after * 2, kServerRetryMaxMs);
      server.retry_at = now + server.retry_after;
      return index;
    }
    if ((tried & 1u << index) == 0) return index;
    second_best = index;
  }
  return better_is_full ? std::nullopt : second_best;
}

uint32_t Servers::room() const {
  uint32_t room = 0;
  for (const Server& server : servers_) {
    if (!server.down && server.open < server.window) room += server.window - server.open;
  }
  return room;
}

void Servers::foresee(uint64_t random) const {
  const size_t server = (random >> 32) % servers_.size();
  const Socket& socket = sockets_[server * size_t{per_server_} + random % per_server_];
  __builtin_prefetch(&socket.by_id[static_cast<uint16_t>(random >> 8)], 1);
}

std::optional<Seat> Servers::take_seat(uint32_t server, uint32_t query, uint64_t random) {
  const auto socket = static_cast<uint16_t>(server * per_server_ + random % per_server_);
  uint32_t* by_id = sockets_[socket].by_id.get();
  uint64_t bits = random >> 8;
  auto id = static_cast<uint16_t>(bits);
  for (int i = 0; i < kRandomTries && by_id[id] != kNoQuery; ++i) {
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<uint16_t>(bits >> 48);
  }
  uint32_t walked = 0;
  while (by_id[id] != kNoQuery) {
    if (++walked == kIds) return std::nullopt;
    ++id;
  }
  by_id[id] = query;
  ++servers_[server].open;
  return Seat{socket, id};
}

// True when the seat still counted in its server's window.
bool Servers::clear_seat(Seat seat) {
  Socket& socket = sockets_[seat.socket];
  LYCH_CHECK(socket.by_id[seat.id] != kNoQuery);
  socket.by_id[seat.id] = kNoQuery;
  uint64_t& word = socket.overdue[seat.id / 64];
  const uint64_t bit = uint64_t{1} << (seat.id % 64);
  const bool was_overdue = (word & bit) != 0;
  word &= ~bit;
  Server& server = servers_[server_of(seat.socket)];
  if (!was_overdue) {
    LYCH_CHECK(server.open > 0);
    --server.open;
  }
  return !was_overdue;
}

// Up to the first width by one an answer; beyond it as the period that has ended allows.
void Servers::widen(Server& server, Tick now) const {
  if (server.used && server.window < std::min(kDnsWindowFirst, window_max_)) ++server.window;
  if (now - server.period_at < kWindowPeriodMs) return;
  const bool far = server.latencies > server.answers * kNearMs;
  const bool lossless = !server.ever_lost || now - server.shrunk_at >= kWindowPeriodMs;
  if (server.used && far && lossless && server.window >= kDnsWindowFirst) {
    const bool careful = server.ever_lost && now - server.shrunk_at < kCarefulMs;
    const uint32_t more = server.window >> (careful ? kCarefulGrowthShift : kGrowthShift);
    server.window = std::min(server.window + more, window_max_);
  }
  server.period_at = now;
  server.answers = 0;
  server.latencies = 0;
  server.used = false;
}

void Servers::answered(Seat seat, uint32_t took_ms, Tick now) {
  Server& server = servers_[server_of(seat.socket)];
  // Grown only while it is used: a window that was never filled has proved nothing.
  server.used |= server.open * 2 >= server.window;
  if (clear_seat(seat)) {
    ++server.answers;
    server.latencies += took_ms;
    widen(server, now);
  }
  server.silent = 0;
  server.down = false;
  server.retry_after = kServerRetryMs;
}

void Servers::overdue(Seat seat, Tick now) {
  Socket& socket = sockets_[seat.socket];
  uint64_t& word = socket.overdue[seat.id / 64];
  const uint64_t bit = uint64_t{1} << (seat.id % 64);
  LYCH_CHECK((word & bit) == 0);
  word |= bit;
  Server& server = servers_[server_of(seat.socket)];
  LYCH_CHECK(server.open > 0);
  --server.open;
  went_silent(server, 1, now);
}

void Servers::lost(Seat seat, Tick now) {
  if (clear_seat(seat)) went_silent(servers_[server_of(seat.socket)], 1, now);
}

void Servers::let_go(Seat seat) {
  clear_seat(seat);
}

void Servers::refused(uint32_t socket, Tick now) {
  went_silent(servers_[server_of(socket)], kServerSilentMax, now);
}

void Servers::went_silent(Server& server, uint32_t attempts, Tick now) {
  // As a span, since the last time may be any number of days ago.
  if (now - server.shrunk_at >= kShrinkPauseMs) {
    server.shrunk_at = now;
    server.window = std::max(server.window / 2, std::min(kDnsWindowMin, window_max_));
    server.ever_lost = true;
  }
  server.silent += attempts;
  if (server.down || server.silent < kServerSilentMax) return;
  server.down = true;
  server.retry_at = now + server.retry_after;
  counters_.add(Counter::kDnsServerDown);
}

}  // namespace lychgate::dns
