// What clients and servers of a simulated run have in common: they are told that something changed
// and act a little later, one act at a time; they send and check streams of known bytes.

#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "tests/sim/agenda.h"
#include "tests/sim/bytes.h"
#include "tests/sim/kernel.h"
#include "tests/sim/random.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

// What every actor may use.
struct Stage {
  Agenda& agenda;
  Random& random;
  SimReactor& reactor;
};

class Actor : public Far {
 public:
  explicit Actor(Stage& stage) : stage_(stage) {}
  // The network's way: a moment later.
  void poke() override { wake_at(stage_.agenda.now() + stage_.random.between(0, 2)); }

 protected:
  virtual void act() = 0;
  // Acts then, or before if something else comes first.
  void wake_at(Time when) {
    if (waking_ && *waking_ <= when) return;
    waking_ = when;
    stage_.agenda.at(when, [this, when] {
      if (waking_ != when) return;
      waking_.reset();
      act();
    });
  }

  Stage& stage_;

 private:
  std::optional<Time> waking_;
};

// Sends the bytes of one stream into a socket, as they find room.
class StreamOut {
 public:
  explicit StreamOut(uint64_t key) : content_(key) {}
  uint64_t sent() const { return sent_; }
  // At most `bytes_max`; returns what found room.
  size_t send(SimReactor& reactor, Socket& socket, size_t bytes_max) {
    char chunk[16384];
    const auto bytes = std::span(chunk).first(std::min(bytes_max, sizeof(chunk)));
    content_.fill(sent_, bytes);
    const size_t fitting = reactor.deliver(socket, bytes);
    sent_ += fitting;
    return fitting;
  }

 private:
  Content content_;
  uint64_t sent_ = 0;
};

// Checks that what arrives is one stream from its first byte on, whole and in order.
class StreamIn {
 public:
  explicit StreamIn(uint64_t key) : content_(key) {}
  uint64_t received() const { return received_; }
  // False when a byte is not the one it should be.
  bool receive(std::string_view bytes) {
    const bool right = !content_.first_difference(received_, bytes);
    received_ += bytes.size();
    return right;
  }

 private:
  Content content_;
  uint64_t received_ = 0;
};

inline uint64_t client_key(uint32_t client) {
  return uint64_t{client} << 1;
}
inline uint64_t server_key(uint32_t session) {
  return uint64_t{session} << 1 | 1;
}

}  // namespace lychgate::sim
