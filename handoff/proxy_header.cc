// Version 2: 12 signature bytes | 0x21 (version 2, PROXY) | 0x11 TCP4 or 0x21 TCP6 | length (2) |
// source, destination address | source, destination port, all in network byte order.
// Version 1: "PROXY TCP4 source destination sport dport\r\n".

#include "handoff/proxy_header.h"

#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::handoff {
namespace {

constexpr char kSignature[] = "\r\n\r\n\0\r\nQUIT\n";
constexpr size_t kSignatureBytes = sizeof(kSignature) - 1;
static_assert(kSignatureBytes == 12);

class Writer {
 public:
  explicit Writer(std::span<char, kProxyHeaderMax> out) : out_(out) {}
  void bytes(const void* data, size_t size) {
    LYCH_CHECK(size_ + size <= out_.size());
    std::memcpy(out_.data() + size_, data, size);
    size_ += size;
  }
  void u8(uint8_t value) { bytes(&value, 1); }
  void u16(uint16_t value) {
    u8(static_cast<uint8_t>(value >> 8));
    u8(static_cast<uint8_t>(value & 0xff));
  }
  size_t size() const { return size_; }

 private:
  std::span<char, kProxyHeaderMax> out_;
  size_t size_ = 0;
};

size_t write_v2(const SessionEnds& ends, std::span<char, kProxyHeaderMax> out) {
  const bool v4 = ends.client.address.is_v4() && ends.server.address.is_v4();
  const size_t skip = v4 ? 12 : 0;  // the last four bytes of a v4-mapped address
  const size_t address_bytes = 16 - skip;
  Writer writer(out);
  writer.bytes(kSignature, kSignatureBytes);
  writer.u8(0x21);
  writer.u8(v4 ? 0x11 : 0x21);
  writer.u16(static_cast<uint16_t>(2 * address_bytes + 4));
  writer.bytes(ends.client.address.bytes.data() + skip, address_bytes);
  writer.bytes(ends.server.address.bytes.data() + skip, address_bytes);
  writer.u16(ends.client.port);
  writer.u16(ends.server.port);
  return writer.size();
}

std::string literal(const IpAddress& address, bool as_v6) {
  return as_v6 && address.is_v4() ? "::ffff:" + address.text() : address.text();
}

size_t write_v1(const SessionEnds& ends, std::span<char, kProxyHeaderMax> out) {
  const bool v6 = !ends.client.address.is_v4() || !ends.server.address.is_v4();
  const auto written =
      fmt::format_to_n(out.data(), out.size(), "PROXY {} {} {} {} {}\r\n", v6 ? "TCP6" : "TCP4",
                       literal(ends.client.address, v6), literal(ends.server.address, v6),
                       ends.client.port, ends.server.port);
  LYCH_CHECK(written.size <= out.size());
  return written.size;
}

size_t write_v2_local(std::span<char, kProxyHeaderMax> out) {
  Writer writer(out);
  writer.bytes(kSignature, kSignatureBytes);
  writer.u8(0x20);
  writer.u8(0x00);
  writer.u16(0);
  return writer.size();
}

}  // namespace

size_t write_proxy_header(config::ProxyHeader version, const SessionEnds& ends,
                          std::span<char, kProxyHeaderMax> out) {
  switch (version) {
    case config::ProxyHeader::kNone:
      return 0;
    case config::ProxyHeader::kV1:
      return write_v1(ends, out);
    case config::ProxyHeader::kV2:
      return write_v2(ends, out);
  }
  return 0;
}

size_t write_local_header(config::ProxyHeader version, const SessionEnds& ends,
                          std::span<char, kProxyHeaderMax> out) {
  return version == config::ProxyHeader::kV2 ? write_v2_local(out)
                                             : write_proxy_header(version, ends, out);
}

}  // namespace lychgate::handoff
