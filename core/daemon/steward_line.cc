// Sockets and encoding of the line between shards and steward.

#include "core/daemon/steward_line.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace lychgate::daemon {

Result<std::vector<StewardLine>> make_steward_lines(uint32_t shards) {
  std::vector<StewardLine> lines;
  for (uint32_t i = 0; i < shards; ++i) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0) {
      const int error = errno;
      for (const StewardLine& line : lines) {
        close(line.shard_end);
        close(line.steward_end);
      }
      return fail(ExitCode::kOsError,
                  fmt::format("cannot make a socket pair for shard {}: {}", i, errno_text(error)));
    }
    lines.push_back({.shard_end = ends[0], .steward_end = ends[1]});
  }
  return lines;
}

void encode_visit(const Visit& visit, std::span<uint8_t, kVisitBytes> out) {
  const auto key = visit.key.encoded();
  out[0] = visit.key.size;
  std::fill_n(out.begin() + 1, ClientKey::kBytesMax, uint8_t{0});
  std::copy(key.begin(), key.end(), out.begin() + 1);
  visit.record.encode(out.last<ClientRecord::kBytes>());
}

std::optional<Visit> decode_visit(std::span<const uint8_t, kVisitBytes> bytes) {
  if (bytes[0] > ClientKey::kBytesMax) return std::nullopt;
  const auto key = ClientKey::decode(bytes.subspan(1, bytes[0]));
  const auto record = ClientRecord::decode(bytes.last<ClientRecord::kBytes>());
  if (!key || !record) return std::nullopt;
  return Visit{*key, *record};
}

}  // namespace lychgate::daemon
