// Socket options of a listener are inherited by its clients: keep-alive and no-delay cost nothing
// there, where setting them for each client would be a request each.

#include "core/daemon/listeners.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/config/values.h"
#include "core/daemon/syn_feed.h"

namespace lychgate::daemon {
namespace {

constexpr int kFirstInherited = 3;  // sd_listen_fds(3)

void switch_on(int fd, int level, int option) {
  const int on = 1;
  setsockopt(fd, level, option, &on, sizeof(on));
}

tl::unexpected<Error> bind_failure(const Endpoint& address, int error) {
  const std::string place = config::endpoint_text(address);
  if (error == EADDRINUSE) {
    return fail(ExitCode::kUnavailable,
                fmt::format("cannot listen on {}: the port is in use by another process; stop it "
                            "(ss -ltnp shows who) or change listen.address",
                            place));
  }
  if (error == EACCES || error == EPERM) {
    return fail(ExitCode::kNoPermission,
                fmt::format("cannot listen on {}: no permission for a port below 1024; start as "
                            "root with `user` set, grant CAP_NET_BIND_SERVICE, or pass the socket "
                            "by LISTEN_FDS",
                            place));
  }
  if (error == EADDRNOTAVAIL) {
    return fail(ExitCode::kUnavailable,
                fmt::format("cannot listen on {}: this host does not have that address", place));
  }
  return fail(ExitCode::kOsError, fmt::format("cannot listen on {}: {}", place, errno_text(error)));
}

struct Binding {
  Endpoint address;
  uint32_t backlog = 0;
  bool shared_port = false;  // SO_REUSEPORT; off to find out whether somebody else listens
};

Result<int> bind_one(const Binding& binding) {
  const SocketAddress address = SocketAddress::from(binding.address);
  const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return bind_failure(binding.address, errno);
  switch_on(fd, SOL_SOCKET, SO_REUSEADDR);
  switch_on(fd, SOL_SOCKET, SO_KEEPALIVE);
  switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
  if (binding.shared_port) switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
  if (address.family() == AF_INET6) switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (bind(fd, &address.any, address.length) != 0 ||
      listen(fd, static_cast<int>(binding.backlog)) != 0) {
    const int error = errno;
    close(fd);
    return bind_failure(binding.address, error);
  }
  return fd;
}

// With greet.hold = "kernel" TCP_DEFER_ACCEPT, in whole seconds, which the kernel rounds up to its
// steps. Said either way: a socket from systemd remembers what an earlier gate wanted, also the
// filter of a SYN feed.
void set_hold(int fd, const config::Greet& greet) {
  const bool kernel = greet.hold == config::Hold::kKernel;
  const int seconds = kernel ? static_cast<int>((greet.wait.count() + 999) / 1000) : 0;
  setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
  detach_syn_filter(fd);
}

Endpoint local_endpoint(int fd) {
  sockaddr_in6 address{};
  socklen_t length = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&address));
}

// Chooses the group's member by a hash of the client's address (IPv4 whole, IPv6 /64), so that one
// client always meets one shard and its count needs no lock.
bool attach_selector(int fd, bool v4, uint32_t shards) {
  constexpr uint32_t kGolden = 0x9e3779b1;  // 2^32 / golden ratio: spreads neighbours
  constexpr auto kNetwork = static_cast<uint32_t>(SKF_NET_OFF);
  const uint32_t source = v4 ? 12 : 8;  // offset of the source address in the IP header
  std::vector<sock_filter> code;
  code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + source));
  if (!v4) {
    code.push_back(BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, kGolden));
    code.push_back(BPF_STMT(BPF_MISC | BPF_TAX, 0));
    code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNetwork + source + 4));
    code.push_back(BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0));
  }
  code.push_back(BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, kGolden));
  code.push_back(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16));
  code.push_back(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, shards));
  code.push_back(BPF_STMT(BPF_RET | BPF_A, 0));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0;
}

Result<std::vector<int>> bind_group(config::Listen& listen, uint32_t shards) {
  // With SO_REUSEPORT a second gate of the same user would share the port unseen; this asks first.
  auto alone = bind_one({listen.address, 1, false});
  if (!alone) return tl::unexpected(alone.error());
  listen.address = local_endpoint(*alone);
  close(*alone);
  std::vector<int> members;
  for (uint32_t i = 0; i < shards; ++i) {
    auto fd = bind_one({listen.address, listen.backlog, true});
    if (!fd) return tl::unexpected(fd.error());
    members.push_back(*fd);
  }
  if (shards > 1 && !attach_selector(members[0], listen.address.address.is_v4(), shards)) {
    return fail(ExitCode::kOsError,
                fmt::format("cannot attach the shard selector to {}: {}",
                            config::endpoint_text(listen.address), errno_text(errno)));
  }
  return members;
}

// An inherited socket becomes the first member of a group where the kernel lets others join it;
// else every shard accepts from it.
// A dual-stack socket serves clients that no IPv6-only member could take.
bool can_be_grouped(int fd) {
  int family = 0;
  int v6_only = 1;
  socklen_t length = sizeof(int);
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length);
  if (family == AF_INET6) getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &length);
  return v6_only != 0;
}

std::vector<int> adopt(int fd, config::Listen& listen, uint32_t shards, Listeners& out) {
  listen.address = local_endpoint(fd);
  switch_on(fd, SOL_SOCKET, SO_KEEPALIVE);
  switch_on(fd, IPPROTO_TCP, TCP_NODELAY);
  std::vector<int> members{fd};
  switch_on(fd, SOL_SOCKET, SO_REUSEPORT);
  while (can_be_grouped(fd) && members.size() < shards) {
    const auto more = bind_one({listen.address, listen.backlog, true});
    if (!more) break;
    members.push_back(*more);
  }
  const bool grouped = members.size() == shards &&
                       (shards == 1 || attach_selector(fd, listen.address.address.is_v4(), shards));
  if (grouped) return members;
  for (size_t i = 1; i < members.size(); ++i) close(members[i]);
  out.warnings.push_back(fmt::format(
      "warning: the socket given for {} cannot be split between shards; all accept from it and "
      "limits.per_address counts in each shard apart",
      config::endpoint_text(listen.address)));
  return std::vector<int>(shards, fd);
}

}  // namespace

uint64_t deferred_acks() {
  // A line of names, then one of values (Linux, net/ipv4/proc.c).
  std::ifstream file("/proc/net/netstat");
  std::string names_line;
  std::string values_line;
  while (std::getline(file, names_line) && std::getline(file, values_line)) {
    std::istringstream names(names_line);
    std::istringstream values(values_line);
    std::string name;
    std::string value;
    while (names >> name && values >> value) {
      if (name == "TCPDeferAcceptDrop") return std::strtoull(value.c_str(), nullptr, 10);
    }
  }
  return 0;
}

std::vector<int> inherited_listeners() {
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  std::vector<int> out;
  if (pid != nullptr && count != nullptr && std::atol(pid) == getpid()) {
    const int n = std::atoi(count);
    for (int i = 0; i < n && i < static_cast<int>(kListenersMax); ++i) {
      out.push_back(kFirstInherited + i);
    }
  }
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  unsetenv("LISTEN_FDNAMES");
  return out;
}

Result<Listeners> open_listeners(config::Config& config, const std::vector<int>& inherited) {
  Listeners out;
  out.by_shard.resize(config.shards);
  if (!inherited.empty() && inherited.size() != config.listens.size()) {
    return fail(ExitCode::kConfig,
                fmt::format("LISTEN_FDS gives {} sockets, but the configuration has {} [[listen]] "
                            "entries; each needs one, in the same order",
                            inherited.size(), config.listens.size()));
  }
  for (const int fd : inherited) {
    int listening = 0;
    int type = 0;
    socklen_t length = sizeof(int);
    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length);
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length);
    if (listening == 0 || type != SOCK_STREAM || local_endpoint(fd).port == 0) {
      return fail(ExitCode::kConfig,
                  fmt::format("descriptor {} given by LISTEN_FDS is not a listening TCP socket; "
                              "use ListenStream with an address and a port",
                              fd));
    }
  }
  for (size_t i = 0; i < config.listens.size(); ++i) {
    config::Listen& listen = config.listens[i];
    std::vector<int> members;
    if (inherited.empty()) {
      auto bound = bind_group(listen, config.shards);
      if (!bound) return tl::unexpected(bound.error());
      members = *bound;
    } else {
      members = adopt(inherited[i], listen, config.shards, out);
    }
    for (const int fd : members) set_hold(fd, config.greet);
    for (uint32_t shard = 0; shard < config.shards; ++shard) {
      out.by_shard[shard].push_back(members[shard]);
    }
  }
  return out;
}

}  // namespace lychgate::daemon
