// Pieces of a log line: client, time and escaped text, each into the same fixed buffer.

#include "core/base/log_line.h"

#include <arpa/inet.h>

namespace lychgate {
namespace {

constexpr size_t kClientTextMax = 100;  // postscreen cuts what it quotes from a client here

}  // namespace

LogLine& LogLine::client(const IpAddress& address, uint16_t port) {
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
