// Socket options of a listener are inherited by its clients: keep-alive and no-delay cost nothing
// there, where setting them for each client would be a request each.

#include "core/daemon/listeners.h"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <utility>

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

void close_all(const std::vector<int>& fds) {
  for (const int fd : fds) close(fd);
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
    if (!fd) {
      close_all(members);
      return tl::unexpected(fd.error());
    }
    members.push_back(*fd);
  }
  if (shards > 1 && !attach_selector(members[0], listen.address.address.is_v4(), shards)) {
    const int error = errno;
    close_all(members);
    return fail(ExitCode::kOsError,
                fmt::format("cannot attach the shard selector to {}: {}",
                            config::endpoint_text(listen.address), errno_text(error)));
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

namespace {

// Who takes the port may be we ourselves, with another address.
Error explained(Error error, const Endpoint& wanted, const Listeners& before) {
  for (const ListenerGroup& group : before.groups) {
    if (group.address.port != wanted.port || error.code != ExitCode::kUnavailable) continue;
    error.text +=
        fmt::format("; this gate itself listens on {}: reload once without it, or restart",
                    config::endpoint_text(group.address));
    break;
  }
  return error;
}

bool is_among(const ListenerGroup& group, const Listeners& listeners) {
  return std::any_of(listeners.groups.begin(), listeners.groups.end(),
                     [&](const ListenerGroup& other) { return other.members == group.members; });
}

Result<void> check_inherited(const std::vector<int>& inherited, size_t wanted) {
  if (!inherited.empty() && inherited.size() != wanted) {
    return fail(ExitCode::kConfig,
                fmt::format("LISTEN_FDS gives {} sockets, but the configuration has {} [[listen]] "
                            "entries; each needs one, in the same order",
                            inherited.size(), wanted));
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
  return {};
}

// Each only once: two entries may both want any port.
const ListenerGroup* find_group(const Listeners& before, const Endpoint& configured,
                                const Listeners& chosen) {
  for (const ListenerGroup& group : before.groups) {
    if (group.configured == configured && !is_among(group, chosen)) return &group;
  }
  return nullptr;
}

}  // namespace

std::vector<std::vector<int>> Listeners::by_shard(uint32_t shards) const {
  std::vector<std::vector<int>> out(shards);
  for (const ListenerGroup& group : groups) {
    for (uint32_t shard = 0; shard < shards; ++shard) out[shard].push_back(group.members[shard]);
  }
  return out;
}

Result<Listeners> open_listeners(config::Config& config, const std::vector<int>& inherited,
                                 const Listeners& before) {
  if (auto good = check_inherited(inherited, config.listens.size()); !good) {
    return tl::unexpected(good.error());
  }
  Listeners out;
  for (size_t i = 0; i < config.listens.size(); ++i) {
    config::Listen& listen = config.listens[i];
    if (const auto* kept = find_group(before, listen.address, out); kept != nullptr) {
      listen.address = kept->address;
      out.groups.push_back(*kept);
      out.groups.back().fresh = false;
      continue;
    }
    ListenerGroup group{.configured = listen.address, .address = {}, .members = {}, .fresh = true};
    if (inherited.empty()) {
      auto bound = bind_group(listen, config.shards);
      if (!bound) {
        close_fresh(out);
        return tl::unexpected(explained(bound.error(), listen.address, before));
      }
      group.members = std::move(*bound);
    } else {
      group.members = adopt(inherited[i], listen, config.shards, out);
      // A socket from systemd remembers what an earlier gate has put on it.
      for (const int fd : group.members) detach_syn_filter(fd);
    }
    group.address = listen.address;
    out.groups.push_back(std::move(group));
  }
  return out;
}

// With greet.hold = "kernel" TCP_DEFER_ACCEPT, in whole seconds, which the kernel rounds up to its
// steps. Said either way, for the same reason as above.
void tune_listeners(const Listeners& listeners, const config::Config& config) {
  const bool kernel = config.greet.hold == config::Hold::kKernel;
  const int seconds = kernel ? static_cast<int>((config.greet.wait.count() + 999) / 1000) : 0;
  for (size_t i = 0; i < listeners.groups.size(); ++i) {
    for (const int fd : listeners.groups[i].members) {
      setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
      listen(fd, static_cast<int>(config.listens[i].backlog));
      if (!kernel) detach_syn_filter(fd);
    }
  }
}

void close_listeners(const Listeners& old, const Listeners& kept, bool end) {
  for (const ListenerGroup& group : old.groups) {
    if (is_among(group, kept)) continue;
    for (const int fd : group.members) {
      // Other processes still have it; it must not take clients that nobody will accept.
      if (end) shutdown(fd, SHUT_RD);
      close(fd);
    }
  }
}

void close_fresh(const Listeners& listeners) {
  for (const ListenerGroup& group : listeners.groups) {
    if (!group.fresh) continue;
    for (const int fd : group.members) shutdown(fd, SHUT_RD);
    close_all(group.members);
  }
}

}  // namespace lychgate::daemon
