// Whom a flood may hit and from where: reading targets and sources, and the rule that both are this
// machine's own. No sockets; asks the kernel for its addresses once.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/address.h"
#include "core/base/result.h"

namespace lychgate::flood {

// A value, or what is wrong with the text and what was expected.
template <typename T>
using Parsed = tl::expected<T, std::string>;

struct Target {
  std::string text;  // as it was written
  Network network;   // a host is a network of one
  uint16_t port = 0;
};

// "127.0.0.1:2525", "localhost:2525", "[::1]:2525", "127.1.0.0/22:2525", "[2001:db8::/120]:2525".
// Names are never resolved.
Parsed<Target> parse_target(std::string_view text);
// "127.64.0.0/10" or a bare address.
Parsed<Network> parse_source(std::string_view text);

// Addresses in it; UINT64_MAX for 2^64 and more.
uint64_t address_count(const Network& network);
bool is_loopback(const Network& network);

// The addresses of this machine's interfaces.
class OwnAddresses {
 public:
  explicit OwnAddresses(std::vector<IpAddress> addresses) : addresses_(std::move(addresses)) {}
  static Result<OwnAddresses> of_this_machine();
  // Every address of the network is loopback or one of ours.
  bool cover(const Network& network) const;

 private:
  std::vector<IpAddress> addresses_;
};

// Refuses (kNoPermission) a target that is not ours, unless `owned` holds exactly its text; refuses
// (kUsage) an `owned` text that no target has.
Result<void> check_targets(std::span<const Target> targets, std::span<const std::string> owned,
                           const OwnAddresses& own);
// Refuses (kUsage) a source that cannot be bound here or cannot reach a target.
Result<void> check_sources(std::span<const Network> sources, std::span<const Target> targets,
                           const OwnAddresses& own);

}  // namespace lychgate::flood
