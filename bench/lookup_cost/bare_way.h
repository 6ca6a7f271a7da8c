// The least that lookups can cost on this ring: one constant packet sent again and again, so that
// `window` of them are always under way; what comes back is counted and not read.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "bench/lookup_cost/spent.h"
#include "core/base/result.h"
#include "ring/uring_reactor.h"

namespace lychgate::lookup_cost {

class BareWay {
 public:
  // sockets: connected to the responder.
  static Result<std::unique_ptr<BareWay>> create(std::span<const int> sockets, uint32_t window);
  Spent run(uint32_t lookups);

 private:
  BareWay(std::unique_ptr<ring::Reactor> reactor, std::span<const int> sockets, uint32_t window);
  void arm(uint32_t socket);

  std::unique_ptr<ring::Reactor> reactor_;
  std::vector<int> sockets_;
  uint32_t window_;
  std::vector<char> packet_;
};

}  // namespace lychgate::lookup_cost
