// Parsing and printing of address literals; every length is checked before a byte is copied.

#include "core/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

template <typename T>
std::optional<T> parse_number(std::string_view text, T max) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

uint64_t load_big_endian(const uint8_t* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

IpAddress IpAddress::from_v4(uint32_t host_order) {
  IpAddress out;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), out.bytes.begin());
  const uint32_t network_order = htonl(host_order);
  std::memcpy(out.bytes.data() + 12, &network_order, 4);
  return out;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof(buffer)) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // inet_pton would stop there
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  in_addr v4{};
  if (inet_pton(AF_INET, buffer, &v4) == 1) return from_v4(ntohl(v4.s_addr));
  IpAddress out;
  if (inet_pton(AF_INET6, buffer, out.bytes.data()) == 1) return out;
  return std::nullopt;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

uint32_t IpAddress::v4() const {
  LYCH_CHECK(is_v4());
  uint32_t network_order;
  std::memcpy(&network_order, bytes.data() + 12, 4);
  return ntohl(network_order);
}

bool IpAddress::is_unspecified() const {
  return is_v4() ? v4() == 0 : (high() == 0 && low() == 0);
}

uint64_t IpAddress::high() const {
  return load_big_endian(bytes.data());
}
uint64_t IpAddress::low() const {
  return load_big_endian(bytes.data() + 8);
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN];
  const char* out = is_v4() ? inet_ntop(AF_INET, bytes.data() + 12, buffer, sizeof(buffer))
                            : inet_ntop(AF_INET6, bytes.data(), buffer, sizeof(buffer));
  LYCH_CHECK(out != nullptr);
  return out;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const auto address = IpAddress::parse(host);
  const auto port = parse_number<uint32_t>(text.substr(colon + 1), 65535);
  if (!address || !port) return std::nullopt;
  return Endpoint{*address, static_cast<uint16_t>(*port)};
}

Endpoint Endpoint::from_sockaddr(const sockaddr* address) {
  Endpoint out;
  if (address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, address, sizeof(in));
    out.address = IpAddress::from_v4(ntohl(in.sin_addr.s_addr));
    out.port = ntohs(in.sin_port);
  } else if (address->sa_family == AF_INET6) {
    sockaddr_in6 in6;
    std::memcpy(&in6, address, sizeof(in6));
    std::memcpy(out.address.bytes.data(), &in6.sin6_addr, 16);
    out.port = ntohs(in6.sin6_port);
  }
  return out;
}

std::string Endpoint::bracketed() const {
  return fmt::format("[{}]:{}", address.text(), port);
}

std::optional<Network> Network::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::nullopt;
  Network out{*address, 128};
  if (slash != std::string_view::npos) {
    const uint32_t bits = address->is_v4() ? 32 : 128;
    const auto prefix = parse_number<uint32_t>(text.substr(slash + 1), bits);
    if (!prefix) return std::nullopt;
    out.prefix = static_cast<uint8_t>(*prefix + (128 - bits));
  }
  for (uint32_t bit = out.prefix; bit < 128; ++bit) {
    if (out.base.bytes[bit / 8] & (0x80u >> (bit % 8))) return std::nullopt;
  }
  return out;
}

bool Network::contains(const IpAddress& address) const {
  if (base.is_v4() != address.is_v4()) return false;  // ::/0 is every IPv6 client, no IPv4 one
  const size_t whole = prefix / 8;
  if (std::memcmp(base.bytes.data(), address.bytes.data(), whole) != 0) return false;
  if (prefix % 8 == 0) return true;
  const auto mask = static_cast<uint8_t>(0xff00u >> (prefix % 8));
  return (address.bytes[whole] & mask) == (base.bytes[whole] & mask);
}

std::string Network::text() const {
  return fmt::format("{}/{}", base.text(), base.is_v4() ? prefix - 96 : prefix);
}

SocketAddress SocketAddress::from(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.is_v4()) {
    out.v4 = sockaddr_in{};
    out.v4.sin_family = AF_INET;
    out.v4.sin_port = htons(endpoint.port);
    out.v4.sin_addr.s_addr = htonl(endpoint.address.v4());
    out.length = sizeof(sockaddr_in);
  } else {
    out.v6 = sockaddr_in6{};
    out.v6.sin6_family = AF_INET6;
    out.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&out.v6.sin6_addr, endpoint.address.bytes.data(), 16);
    out.length = sizeof(sockaddr_in6);
  }
  return out;
}

std::optional<SocketAddress> SocketAddress::unix_path(std::string_view text) {
  SocketAddress out;
  if (text.empty() || text.size() >= sizeof(out.path.sun_path)) return std::nullopt;
  out.path.sun_family = AF_UNIX;
  std::memcpy(out.path.sun_path, text.data(), text.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
  return out;
}

bool SocketAddress::operator==(const SocketAddress& other) const {
  return length == other.length && std::memcmp(&path, &other.path, length) == 0;
}

}  // namespace lychgate
