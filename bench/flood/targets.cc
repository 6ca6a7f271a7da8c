// Text to networks, and the comparison with what getifaddrs(3) tells.

#include "bench/flood/targets.h"

#include <ifaddrs.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include <fmt/format.h>

namespace lychgate::flood {
namespace {

constexpr uint8_t kV4Prefix = 96;  // prefixes of IPv4 networks are kept as 96 + n
constexpr std::string_view kTargetForms =
    "expected ADDRESS:PORT, [IPV6]:PORT or NETWORK:PORT, such as 127.0.0.1:2525, [::1]:2525 or "
    "127.1.0.0/22:2525";

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

tl::unexpected<std::string> wrong(std::string text) {
  return tl::unexpected(std::move(text));
}

// A network without its host bits would be another one than was meant; say which.
Parsed<Network> parse_network(std::string_view text) {
  if (text == "localhost") return Network{IpAddress::from_v4(0x7f000001), 128};
  if (const auto network = Network::parse(text)) return *network;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos && IpAddress::parse(text.substr(0, slash))) {
    return wrong(fmt::format(
        "{} is not a network: the prefix is too long, or bits to its right are not zero", text));
  }
  return wrong(fmt::format("{} is neither an address nor a network; names are not resolved", text));
}

std::string remedy(const Target& target) {
  return fmt::format(
      "A flood brings down what it hits, so only loopback and addresses of this machine are "
      "allowed. If the target is yours to flood, name it again: --i-own {}",
      target.text);
}

}  // namespace

Parsed<Target> parse_target(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong(fmt::format("no port; {}", kTargetForms));
  std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return wrong(fmt::format("no port from 1 to 65535 at its end; {}", kTargetForms));
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) {
    return wrong(fmt::format("an IPv6 address needs brackets; {}", kTargetForms));
  }
  const auto network = parse_network(host);
  if (!network) return wrong(fmt::format("{}; {}", network.error(), kTargetForms));
  if (network->base.is_unspecified()) {
    return wrong(fmt::format("the unspecified address is no target; {}", kTargetForms));
  }
  return Target{std::string(text), *network, *port};
}

Parsed<Network> parse_source(std::string_view text) {
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']') {
    text = text.substr(1, text.size() - 2);
  }
  auto network = parse_network(text);
  if (!network) return wrong(network.error() + "; expected one such as 127.64.0.0/10, or none");
  if (network->base.is_unspecified()) return wrong("the unspecified address; write none instead");
  return network;
}

uint64_t address_count(const Network& network) {
  const uint32_t bits = 128U - network.prefix;
  return bits >= 64 ? UINT64_MAX : uint64_t{1} << bits;
}

bool is_loopback(const Network& network) {
  static const Network kV4{IpAddress::from_v4(0x7f000000), kV4Prefix + 8};
  static const Network kV6 = *Network::parse("::1");
  for (const Network& whole : {kV4, kV6}) {
    if (whole.contains(network.base) && network.prefix >= whole.prefix) return true;
  }
  return false;
}

Result<OwnAddresses> OwnAddresses::of_this_machine() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return fail(ExitCode::kOsError,
                fmt::format("the addresses of this machine cannot be read: {}", errno_text(errno)));
  }
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(first, freeifaddrs);
  std::vector<IpAddress> addresses;
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    const Endpoint endpoint = Endpoint::from_sockaddr(one->ifa_addr);
    if (!endpoint.address.is_unspecified()) addresses.push_back(endpoint.address);
  }
  return OwnAddresses(std::move(addresses));
}

bool OwnAddresses::cover(const Network& network) const {
  if (is_loopback(network)) return true;
  // As many of ours inside as it has addresses: then all are.
  std::vector<IpAddress> inside;
  for (const IpAddress& address : addresses_) {
    const bool known = std::find(inside.begin(), inside.end(), address) != inside.end();
    if (!known && network.contains(address)) inside.push_back(address);
  }
  return inside.size() == address_count(network);
}

Result<void> check_targets(std::span<const Target> targets, std::span<const std::string> owned,
                           const OwnAddresses& own) {
  for (const std::string& text : owned) {
    const bool meant = std::any_of(targets.begin(), targets.end(),
                                   [&](const Target& target) { return target.text == text; });
    if (meant) continue;
    return fail(
        ExitCode::kUsage,
        fmt::format("--i-own {}: no TARGET is written like this; it must be the same text", text));
  }
  for (const Target& target : targets) {
    if (own.cover(target.network)) continue;
    if (std::find(owned.begin(), owned.end(), target.text) != owned.end()) continue;
    const char* what = address_count(target.network) == 1
                           ? "is neither loopback nor an address of this machine"
                           : "has addresses that are neither loopback nor this machine's";
    return fail(ExitCode::kNoPermission,
                fmt::format("refused: target {} {}. {}", target.text, what, remedy(target)));
  }
  return {};
}

Result<void> check_sources(std::span<const Network> sources, std::span<const Target> targets,
                           const OwnAddresses& own) {
  for (const Network& source : sources) {
    const auto refuse = [&](std::string_view why) {
      return fail(ExitCode::kUsage, fmt::format("--sources {}: {}", source.text(), why));
    };
    if (!own.cover(source)) {
      return refuse(
          "not all of its addresses are loopback or this machine's, so they cannot be "
          "bound; expected such as 127.64.0.0/10, or none");
    }
    for (const Target& target : targets) {
      if (source.base.is_v4() != target.network.base.is_v4()) {
        return refuse(fmt::format(
            "cannot reach {}: one is IPv4, the other IPv6; use --sources none", target.text));
      }
      if (is_loopback(source) && !own.cover(target.network)) {
        return refuse(
            fmt::format("loopback cannot reach {}, which is another machine's; use "
                        "--sources none",
                        target.text));
      }
    }
  }
  return {};
}

}  // namespace lychgate::flood
