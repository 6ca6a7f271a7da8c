// The PROXY header of a balancer in front of the gate (HAProxy's PROXY protocol, versions 1 and 2):
// bytes in, the client's true address out. Pure and bounded; reads again from the start when more
// has come, keeps nothing.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/base/address.h"

namespace lychgate::smtp {

enum class ProxyOutcome : uint8_t {
  kComplete,
  kNeedMore,
  kMalformed,  // no header, another version, a bad address, TLVs that do not fit
  kChecksum,   // v2: its CRC-32C TLV (0x03) is wrong
  kTooLong,    // v1: no end in 107 bytes; v2: more than kProxyHeaderReadMax
};

struct ReadProxy {
  ProxyOutcome outcome = ProxyOutcome::kNeedMore;
  size_t size = 0;  // kComplete: bytes of the header; what follows is the client's
  // kComplete: nullopt for LOCAL, UNSPEC and UNKNOWN, where the connection speaks for itself (a
  // health check of the balancer). IPv4-mapped IPv6 addresses are IPv4.
  std::optional<Endpoint> client = {};
  std::optional<Endpoint> server = {};
};

// However the bytes come, the first outcome that is not kNeedMore is that of all of them.
ReadProxy read_proxy_header(std::span<const char> bytes);

}  // namespace lychgate::smtp
