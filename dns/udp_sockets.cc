// socket, connect, and as large a receive buffer as we may have.

#include "dns/udp_sockets.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

namespace lychgate::dns {
namespace {

// A window's worth of answers may come at once; the default holds some 270 small packets.
constexpr int kReceiveBytes = 4 << 20;

}  // namespace

Result<std::vector<int>> open_udp_sockets(std::span<const Endpoint> servers, uint32_t per_server) {
  std::vector<int> sockets;
  for (const Endpoint& server : servers) {
    const SocketAddress address = SocketAddress::from(server);
    for (uint32_t i = 0; i < per_server; ++i) {
      const int fd = socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0);
      if (fd < 0 || connect(fd, &address.any, address.length) != 0) {
        const int error = errno;
        if (fd >= 0) close(fd);
        for (const int open : sockets) close(open);
        return fail(
            ExitCode::kUnavailable,
            fmt::format("cannot open a UDP socket to the DNS server {}: {}; see dns.servers",
                        server.bracketed(), errno_text(error)));
      }
      // Beyond net.core.rmem_max only with CAP_NET_ADMIN; what we get without it works too.
      if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof(kReceiveBytes)) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
      }
      sockets.push_back(fd);
    }
  }
  return sockets;
}

}  // namespace lychgate::dns
