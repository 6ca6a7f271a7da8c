// Client and server addresses as 16 bytes (IPv4 as ::ffff:a.b.c.d), with port, text and sockaddr.
// No name resolution: only literals.

#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lychgate {

// An IPv4 or IPv6 address. v4-mapped IPv6 and IPv4 are the same value, as smtpd wants them.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  bool operator==(const IpAddress&) const = default;

  static IpAddress from_v4(uint32_t host_order);
  // Literal without brackets or zone; nothing else.
  static std::optional<IpAddress> parse(std::string_view text);

  bool is_v4() const;
  // REQUIRES: is_v4(). Host byte order.
  uint32_t v4() const;
  bool is_unspecified() const;
  // The first 64 bits in host order (meaningful for IPv6: the /64).
  uint64_t high() const;
  uint64_t low() const;
  // Canonical text (inet_ntop), without brackets.
  std::string text() const;
};

struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  bool operator==(const Endpoint&) const = default;
  // "192.0.2.1:25" or "[2001:db8::1]:25".
  static std::optional<Endpoint> parse(std::string_view text);
  // Any AF_INET or AF_INET6 sockaddr; another family gives the unspecified endpoint.
  static Endpoint from_sockaddr(const sockaddr* address);
  // "[address]:port" as postscreen logs it (no extra brackets around IPv6).
  std::string bracketed() const;
};

// A network prefix; IPv4 prefix lengths are stored as 96 + n.
struct Network {
  IpAddress base;
  uint8_t prefix = 128;

  bool operator==(const Network&) const = default;
  // "192.0.2.0/24", "2001:db8::/32" or a bare address. Host bits must be zero.
  static std::optional<Network> parse(std::string_view text);
  bool contains(const IpAddress& address) const;
  std::string text() const;
};

// A sockaddr with its length, ready for bind, connect or a submission entry.
struct SocketAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un path;
  };
  socklen_t length = 0;

  SocketAddress() : path{} {}
  static SocketAddress from(const Endpoint& endpoint);
  // nullopt when the path is empty or longer than sun_path (107 bytes).
  static std::optional<SocketAddress> unix_path(std::string_view text);
  int family() const { return any.sa_family; }
  bool operator==(const SocketAddress& other) const;
};

}  // namespace lychgate
