// The UDP sockets of one shard: connected, on ports that the kernel picks at random, with room for
// a burst of answers. Made at start by plain system calls, closed with the process.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/address.h"
#include "core/base/result.h"

namespace lychgate::dns {

// `per_server` descriptors for each server, in the servers' order.
Result<std::vector<int>> open_udp_sockets(std::span<const Endpoint> servers, uint32_t per_server);

}  // namespace lychgate::dns
