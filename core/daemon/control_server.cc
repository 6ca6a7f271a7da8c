// Seats for clients, each in one stage: its line is read, its answer is being made, or sent.

#include "core/daemon/control_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/base/result.h"

namespace lychgate::daemon {
namespace {

constexpr Tick kReadMs = 1000;   // for the whole request
constexpr Tick kWorkMs = 20000;  // above what any answer may take (core/daemon/control_sessions.h)
constexpr Tick kSendMs = 10000;  // for the whole answer

// SO_PEERCRED: who connected, as the kernel saw it then (unix(7)).
bool is_owner(int fd, uid_t owner) {
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == 0 || peer.uid == owner;
}

}  // namespace

ControlServer::ControlServer(int listen_fd, uid_t owner) : listen_fd_(listen_fd), owner_(owner) {}

ControlServer::~ControlServer() {
  for (Seat& seat : seats_) {
    if (seat.stage != Stage::kFree) leave(seat);
  }
}

void ControlServer::add_polls(std::vector<pollfd>& polls) const {
  const bool room = std::any_of(seats_.begin(), seats_.end(),
                                [](const Seat& seat) { return seat.stage == Stage::kFree; });
  // Without a free seat clients wait in the socket's queue.
  polls.push_back({room ? listen_fd_ : -1, POLLIN, 0});
  for (const Seat& seat : seats_) {
    const short events = seat.stage == Stage::kReading   ? POLLIN
                         : seat.stage == Stage::kSending ? POLLOUT
                                                         : 0;
    polls.push_back({seat.fd, events, 0});
  }
}

std::vector<ControlAsk> ControlServer::turn(std::span<const pollfd> polls, Tick now) {
  LYCH_CHECK(polls.size() == 1 + seats_.size());
  std::vector<ControlAsk> asks;
  for (uint32_t i = 0; i < seats_.size(); ++i) {
    Seat& seat = seats_[i];
    if (seat.stage == Stage::kFree) continue;
    if (polls[i + 1].revents != 0) {
      if (seat.stage == Stage::kReading) {
        if (auto ask = read(i, now)) asks.push_back(std::move(*ask));
      } else if (seat.stage == Stage::kSending) {
        send_rest(seat);
      } else {
        leave(seat);  // gone before its answer
      }
    }
    if (seat.stage == Stage::kFree || !tick_reached(now, seat.deadline)) continue;
    if (seat.stage == Stage::kReading) {
      refuse(seat, "no whole line within a second", now);
    } else {
      leave(seat);
    }
  }
  if (polls[0].revents != 0) admit(now);
  return asks;
}

void ControlServer::admit(Tick now) {
  for (Seat& seat : seats_) {
    if (seat.stage != Stage::kFree) continue;
    const int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    ++seat.generation;
    seat.stage = Stage::kReading;
    seat.fd = fd;
    seat.may_change = is_owner(fd, owner_);
    seat.deadline = now + kReadMs;
    seat.sent = 0;
  }
}

std::optional<ControlAsk> ControlServer::read(uint32_t index, Tick now) {
  Seat& seat = seats_[index];
  char chunk[kControlRequestMax];
  const ssize_t got = recv(seat.fd, chunk, sizeof(chunk) - seat.text.size(), 0);
  if (got < 0 && errno == EAGAIN) return std::nullopt;
  if (got < 0 || (got == 0 && seat.text.empty())) {
    leave(seat);
    return std::nullopt;
  }
  seat.text.append(chunk, static_cast<size_t>(got));
  const size_t end = seat.text.find('\n');
  if (end != std::string::npos) {
    seat.stage = Stage::kWorking;
    seat.deadline = now + kWorkMs;
    std::string line = seat.text.substr(0, end);
    if (line.ends_with('\r')) line.pop_back();
    return ControlAsk{{index, seat.generation}, std::move(line), seat.may_change};
  }
  if (got == 0) {
    refuse(seat, "the request has no end of line", now);
  } else if (seat.text.size() == kControlRequestMax) {
    refuse(seat, fmt::format("the request is longer than {} bytes", kControlRequestMax), now);
  }
  return std::nullopt;
}

void ControlServer::refuse(Seat& seat, std::string_view why, Tick now) {
  const auto index = static_cast<uint32_t>(&seat - seats_.data());
  seat.stage = Stage::kWorking;
  answer({index, seat.generation},
         fmt::format("error {}: {}\n", static_cast<int>(ExitCode::kUsage), why), now);
}

void ControlServer::answer(ControlClient client, std::string text, Tick now) {
  Seat& seat = seats_[client.seat];
  if (seat.stage != Stage::kWorking || seat.generation != client.generation) return;
  seat.stage = Stage::kSending;
  seat.deadline = now + kSendMs;
  seat.text = std::move(text);
  seat.sent = 0;
  send_rest(seat);
}

void ControlServer::wait_longer(ControlClient client, Tick deadline) {
  Seat& seat = seats_[client.seat];
  const bool waits = seat.stage == Stage::kWorking && seat.generation == client.generation;
  if (waits) seat.deadline = deadline;
}

bool ControlServer::is_busy() const {
  return std::any_of(seats_.begin(), seats_.end(),
                     [](const Seat& seat) { return seat.stage != Stage::kFree; });
}

void ControlServer::send_rest(Seat& seat) {
  while (seat.sent < seat.text.size()) {
    const ssize_t sent =
        send(seat.fd, seat.text.data() + seat.sent, seat.text.size() - seat.sent, MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent <= 0) break;
    seat.sent += static_cast<size_t>(sent);
  }
  leave(seat);
}

void ControlServer::leave(Seat& seat) {
  close(seat.fd);
  seat.fd = -1;
  seat.stage = Stage::kFree;
  seat.text = std::string();
}

std::optional<Tick> ControlServer::next_wake() const {
  std::optional<Tick> wake;
  for (const Seat& seat : seats_) {
    if (seat.stage == Stage::kFree) continue;
    if (!wake || tick_reached(*wake, seat.deadline)) wake = seat.deadline;
  }
  return wake;
}

}  // namespace lychgate::daemon
