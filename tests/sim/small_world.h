// A simulated kernel with sockets that belong to nobody, for directed tests of what uses a reactor:
// connections are accepted at once and the test plays their other ends.

#pragma once

#include <map>
#include <memory>
#include <vector>

#include "ring/connections.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

// Takes note of nothing.
class Stranger : public Far {
 public:
  void poke() override {}
};

class SmallWorld {
 public:
  explicit SmallWorld(const KernelOptions& options = {}, uint64_t seed = 1)
      : random(seed),
        reactor(agenda, random, options),
        slots(std::move(*SlotTable::create(options.slots * options.tables, {1, 2}))),
        counters(std::move(*SharedCounters::create(2))),
        timers(slots, 0),
        connections(slots, reactor, timers, counters.shards()[0]),
        listener(reactor.listen(4096)) {}

  Tick now() const { return static_cast<Tick>(agenda.now()); }

  // A client in the listener's queue.
  SocketPtr arrive() { return arrive(listener); }
  SocketPtr arrive(int at) {
    auto socket = std::make_shared<Socket>();
    socket->far = &stranger_;
    socket->remote = {IpAddress::from_v4(0x0a000001), ++port_};
    reactor.arrive(at, socket);
    return socket;
  }

  // A client accepted, counted and in its slot.
  SocketPtr accept(uint32_t& slot) {
    SocketPtr socket = arrive();
    ring::PeerAddress peer;
    reactor.accept_direct(listener, 0, peer, ring::OpTag::of(ring::Op::kAccept));
    slot = static_cast<uint32_t>(turn().front().result);
    connections.open_client({.slot = slot, .peer = socket->remote}, now());
    return socket;
  }

  // What one turn that waits for nothing brings.
  std::vector<ring::Completion> turn(milliseconds wait = milliseconds(0)) {
    const auto got = reactor.turn(wait);
    return {got.begin(), got.end()};
  }

  Agenda agenda;
  Random random;
  SimReactor reactor;
  SlotTable slots;
  SharedCounters counters;
  ring::Timers timers;
  ring::Connections connections;
  int listener;

 private:
  Stranger stranger_;
  uint16_t port_ = 1023;
};

}  // namespace lychgate::sim
