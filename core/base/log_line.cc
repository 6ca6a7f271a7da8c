// Pieces of a log line: client, time and escaped text, each into the same fixed buffer.

#include "core/base/log_line.h"

#include <arpa/inet.h>

#include <charconv>

namespace lychgate {
namespace {

constexpr size_t kClientTextMax = 100;  // postscreen cuts what it quotes from a client here

// "[1.2.3.4]:5" at `to`, which has room for it. inet_ntop and fmt take seven times as long, and
// each line of every client has one (docs/benchmarks.md).
size_t write_v4(const uint8_t* address, uint16_t port, char* to) {
  char* at = to;
  *at++ = '[';
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, at + 3, unsigned{address[i]}).ptr;
  }
  *at++ = ']';
  *at++ = ':';
  return static_cast<size_t>(std::to_chars(at, at + 5, port).ptr - to);
}

}  // namespace

LogLine& LogLine::client(const IpAddress& address, uint16_t port) {
  constexpr size_t kV4Max = sizeof("[255.255.255.255]:65535");
  if (address.is_v4() && text_.size() - size_ >= kV4Max) {
    size_ += write_v4(address.bytes.data() + 12, port, text_.data() + size_);
    return *this;
  }
  char buffer[INET6_ADDRSTRLEN] = "";
  if (address.is_v4()) {
    inet_ntop(AF_INET, address.bytes.data() + 12, buffer, sizeof(buffer));
  } else {
    inet_ntop(AF_INET6, address.bytes.data(), buffer, sizeof(buffer));
  }
  return add("[{}]:{}", static_cast<const char*>(buffer), port);
}

LogLine& LogLine::seconds(milliseconds span) {
  const long ms = static_cast<long>(span.count());
  if (ms <= 0) return add("0");
  // Two significant decimals: 12 s as 12, 3.14 s as 3.1, 0.042 s as 0.04 (postscreen's format).
  if (ms >= 10000) return add("{}", (ms + 500) / 1000);
  const long hundredths = ms < 1000 ? (ms + 5) / 10 : (ms + 50) / 100 * 10;
  if (hundredths % 100 == 0) return add("{}", hundredths / 100);
  if (hundredths % 10 == 0) return add("{}.{}", hundredths / 100, hundredths % 100 / 10);
  return add("{}.{:02}", hundredths / 100, hundredths % 100);
}

LogLine& LogLine::escaped(std::string_view bytes) {
  for (const char c : bytes.substr(0, kClientTextMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\r') {
      add("\\r");
    } else if (c == '\n') {
      add("\\n");
    } else if (c == '\t') {
      add("\\t");
    } else if (c == '\\') {
      add("\\\\");
    } else if (byte < 0x20 || byte >= 0x7f) {
      add("\\{:03o}", byte);
    } else {
      add("{}", c);
    }
  }
  return *this;
}

}  // namespace lychgate
