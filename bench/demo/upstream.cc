// Two small formats, read from the first byte each time: both are shorter than one packet.

#include "bench/demo/upstream.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lychgate::demo {
namespace {

constexpr size_t kAttributesMax = 1024;
constexpr std::string_view kProxySignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr char kProxyVersion2 = 0x21;  // version 2, command PROXY
constexpr char kProxyTcp4 = 0x11;      // AF_INET, STREAM
constexpr size_t kProxyTcp4Bytes = 28;

uint32_t big_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

bool take_attribute(std::string_view name, std::string_view value, Endpoint& client) {
  if (name == "client_address") {
    const auto address = IpAddress::parse(value);
    if (address) client.address = *address;
    return address.has_value();
  }
  if (name != "client_port") return true;
  const auto [end, error] = std::from_chars(value.begin(), value.end(), client.port);
  return error == std::errc{} && end == value.end();
}

}  // namespace

Introduction read_pass_attributes(std::string_view bytes) {
  Introduction out;
  size_t at = 0;
  const auto next = [&]() -> std::string_view {
    const size_t start = at;
    const size_t end = bytes.find('\0', start);
    at = end == std::string_view::npos ? end : end + 1;
    return at == std::string_view::npos ? std::string_view() : bytes.substr(start, end - start);
  };
  const Parse unfinished = bytes.size() > kAttributesMax ? Parse::kMalformed : Parse::kNeedMore;
  while (at < bytes.size()) {
    const std::string_view name = next();
    if (at == std::string_view::npos) return {.parse = unfinished};
    if (name.empty()) {
      const bool known = !out.client.address.is_unspecified() && out.client.port != 0;
      out.parse = known ? Parse::kComplete : Parse::kMalformed;
      out.bytes = at;
      return out;
    }
    const std::string_view value = next();
    if (at == std::string_view::npos) return {.parse = unfinished};
    if (!take_attribute(name, value, out.client)) return {.parse = Parse::kMalformed};
  }
  return {.parse = unfinished};
}

Introduction read_proxy_header(std::string_view bytes) {
  const size_t seen = std::min(bytes.size(), kProxySignature.size());
  if (bytes.substr(0, seen) != kProxySignature.substr(0, seen)) return {.parse = Parse::kMalformed};
  if (bytes.size() < kProxyTcp4Bytes) return {};
  if (bytes[12] != kProxyVersion2 || bytes[13] != kProxyTcp4 ||
      big_endian(bytes.substr(14, 2)) != kProxyTcp4Bytes - 16) {
    return {.parse = Parse::kMalformed};
  }
  Introduction out{.parse = Parse::kComplete, .bytes = kProxyTcp4Bytes};
  out.client.address = IpAddress::from_v4(big_endian(bytes.substr(16, 4)));
  out.client.port = static_cast<uint16_t>(big_endian(bytes.substr(24, 2)));
  return out;
}

}  // namespace lychgate::demo
