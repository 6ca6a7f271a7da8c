// The attribute list that Postfix's smtpd expects behind a passed descriptor. Pure.

#pragma once

#include <cstddef>
#include <span>

#include "core/base/address.h"

namespace lychgate::handoff {

struct SessionEnds {
  Endpoint client;
  Endpoint server;
};

// The longest list: four names, two IPv6 literals, two ports, and the byte that carries the fd.
inline constexpr size_t kPassBytesMax = 192;

// Writes the byte that accompanies the descriptor and the list behind it (NUL-terminated names and
// values in postscreen's order, ended by an empty name) and returns its length.
// An incomplete list makes smtpd before 3.11 exit and master throttle the service for 60 s, so all
// four attributes are always there; v4-mapped addresses are written as IPv4.
size_t write_pass_attributes(const SessionEnds& ends, std::span<char, kPassBytesMax> out);

}  // namespace lychgate::handoff
