// How a mail server behind the gate learns who its client is: the attribute list of Postfix's pass
// protocol, or a PROXY v2 header (haproxy.org, proxy-protocol.txt). Pure readers of the whole
// bytes.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/address.h"

namespace lychgate::demo {

enum class Parse : uint8_t { kComplete, kNeedMore, kMalformed };

struct Introduction {
  Parse parse = Parse::kNeedMore;
  Endpoint client{};
  size_t bytes = 0;  // length of what introduced the client
};

// NUL-terminated names and values, ended by an empty name: client_address, client_port and others.
Introduction read_pass_attributes(std::string_view bytes);
// Only PROXY over TCP and IPv4, which is all the demo uses.
Introduction read_proxy_header(std::string_view bytes);

}  // namespace lychgate::demo
