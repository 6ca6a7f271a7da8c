// The PROXY protocol header that tells a backend who the client is (haproxy.org, proxy-protocol.txt
// versions 1 and 2). Pure: only writes; reading is not needed by a sender.

#pragma once

#include <cstddef>
#include <span>

#include "core/config/config.h"
#include "handoff/pass_attributes.h"

namespace lychgate::handoff {

// Version 1 needs at most 107 bytes (its specification), version 2 at most 52 without TLVs.
inline constexpr size_t kProxyHeaderMax = 108;

// Length of the header written; 0 for ProxyHeader::kNone. Mixed families are written as IPv6 with
// the IPv4 side v4-mapped, since a header has one family.
size_t write_proxy_header(config::ProxyHeader version, const SessionEnds& ends,
                          std::span<char, kProxyHeaderMax> out);

// For a connection of our own. Version 2 says LOCAL, so that the receiver uses the true ends;
// version 1 has no word for it that all receivers take, and names them: client is our end.
size_t write_local_header(config::ProxyHeader version, const SessionEnds& ends,
                          std::span<char, kProxyHeaderMax> out);

}  // namespace lychgate::handoff
