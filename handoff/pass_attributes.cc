// Byte layout, as postscreen 3.7 sends it: 00 | "client_address" 00 A 00 | "client_port" 00 P 00 |
// "server_address" 00 A 00 | "server_port" 00 P 00 | 00.

#include "handoff/pass_attributes.h"

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::handoff {

size_t write_pass_attributes(const SessionEnds& ends, std::span<char, kPassBytesMax> out) {
  using namespace std::string_view_literals;
  const auto written = fmt::format_to_n(out.data(), out.size(),
                                        "\0client_address\0{}\0client_port\0{}\0"sv
                                        "server_address\0{}\0server_port\0{}\0\0"sv,
                                        ends.client.address.text(), ends.client.port,
                                        ends.server.address.text(), ends.server.port);
  LYCH_CHECK(written.size <= out.size());
  return written.size;
}

}  // namespace lychgate::handoff
