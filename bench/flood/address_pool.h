// The addresses that a flood comes from and goes to, each in its turn: the usable hosts of a list
// of networks, by index and without a table. Pure.

#pragma once

#include <cstdint>
#include <vector>

#include "core/base/address.h"

namespace lychgate::flood {

class AddressPool {
 public:
  // Leaves out what ends in .0 and .255 (IPv6 likewise, by its last byte): the network's own
  // address and broadcasts cannot be connected to. Networks of one or two addresses count whole.
  explicit AddressPool(const std::vector<Network>& networks);

  bool empty() const { return size_ == 0; }
  uint64_t size() const { return size_; }
  // The index is taken modulo size(). REQUIRES: !empty().
  IpAddress at(uint64_t index) const;

 private:
  struct Block {
    Network network;
    uint64_t size;
  };
  std::vector<Block> blocks_;
  uint64_t size_ = 0;
};

// Which source meets the n-th client's target: every pair of the two pools comes up before one
// comes up again, and both change with every client.
inline uint64_t source_turn(uint64_t n, uint64_t targets) {
  return n / targets + n % targets;
}

}  // namespace lychgate::flood
