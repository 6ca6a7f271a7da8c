// lychgate-carry-cost: how long it takes to carry held clients from one shard to another, both of
// them real and turned by one thread, so that the time is what both sides cost together. The
// clients are child processes on loopback addresses, which look at the end whether anybody noticed.
// Exit code 0; 1 if a client was lost or heard something; sysexits codes when it cannot start.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/daemon/shard.h"
#include "ring/uring_reactor.h"

namespace lychgate::carry_cost {
namespace {

// Of one address: connect(2) tries half of the ports first, and is slow beyond them.
constexpr uint32_t kClientsPerChild = 8000;
// What a shard keeps of its main table for hand-offs is half of it, where there are several.
constexpr uint32_t kSpareTables = 2;
// Children connect no faster than the gate accepts.
constexpr int kBacklog = 4096;

struct Options {
  uint32_t clients = 10000;
};

[[noreturn]] void give_up(const std::string& why) {
  fmt::print(stderr, "lychgate-carry-cost: {}\n", why);
  std::exit(static_cast<int>(ExitCode::kOsError));
}

int listen_on_loopback(sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (fd < 0 || bind(fd, any, sizeof(address)) != 0 || listen(fd, kBacklog) != 0 ||
      getsockname(fd, any, &length) != 0) {
    give_up(fmt::format("cannot listen: {}", errno_text(errno)));
  }
  return fd;
}

// A process with so many silent clients; when told to, it exits with 0 if none of them has noticed
// anything.
class Crowd {
 public:
  Crowd(const sockaddr_in& gate, uint32_t number, uint32_t clients) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) give_up("no socket pair");
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(ends[0]);
      live(gate, number, clients, ends[1]);
    }
    close(ends[1]);
    line_ = ends[0];
  }
  // Of all crowds, before the first is asked: each has inherited the lines of those before.
  void end() { close(line_); }
  bool unharmed() {
    int status = 0;
    return waitpid(pid_, &status, 0) == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  [[noreturn]] static void live(const sockaddr_in& gate, uint32_t number, uint32_t clients,
                                int line) {
    std::vector<int> fds;
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + number);
    for (uint32_t i = 0; i < clients; ++i) {
      const int fd = socket(AF_INET, SOCK_STREAM, 0);
      const int late = 1;  // the port is chosen by connect: ports of earlier runs are no hindrance
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
      if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof(from)) != 0 ||
          connect(fd, reinterpret_cast<const sockaddr*>(&gate), sizeof(gate)) != 0) {
        _exit(2);
      }
      fds.push_back(fd);
    }
    char byte = 0;
    while (read(line, &byte, 1) > 0) continue;
    for (const int fd : fds) {
      const bool silent = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
      if (!silent) _exit(1);
    }
    _exit(0);
  }

  pid_t pid_ = -1;
  int line_ = -1;
};

// A shard with all that it needs.
class Gate {
 public:
  Gate(uint32_t clients, int listener, int carry_fd) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto table = std::min<uint32_t>(static_cast<uint32_t>(limit.rlim_cur), clients * 2);
    const uint32_t tables = clients * 2 > table ? clients / table + kSpareTables : 1;
    auto reactor = ring::UringReactor::create({.slots = table, .tables = tables, .packets = 0});
    if (!reactor) give_up(reactor.error().text);
    reactor_ = std::move(*reactor);
    auto slots = SlotTable::create(table * tables, SipKey{1, 2});
    auto counters = SharedCounters::create(1);
    if (!slots || !counters) give_up("no memory");
    slots_.emplace(std::move(*slots));
    counters_.emplace(std::move(*counters));
    config_.listens = {{.name = "mx", .address = {IpAddress::from_v4(INADDR_LOOPBACK), 25}}};
    config_.limits = {};
    config_.limits.per_address = 0;
    config_.limits.per_shard = 0;
    config_.limits.held = 0;
    config_.greet.wait = milliseconds(600000);
    config_.greet.early_look = milliseconds(0);
    log_.emplace(sink_, *reactor_, counters_->shards()[0], 1);
    shard_.emplace(daemon::ShardParts{.config = config_,
                                      .access = nullptr,
                                      .counters = counters_->shards(),
                                      .reactor = *reactor_,
                                      .log = *log_,
                                      .listeners = {listener},
                                      .teaser = {},
                                      .dns_sockets = {},
                                      .carry_fd = carry_fd},
                   *slots_, now());
    if (!shard_->start(now())) give_up("a shard does not start");
  }
  static Tick now() { return to_tick(monotonic_now()); }
  void turn() {
    const auto completions = reactor_->turn(milliseconds(0));
    shard_->handle(completions, now());
  }
  daemon::Shard& shard() { return *shard_; }
  uint64_t count(Counter counter) const { return counters_->shards()[0].get(counter); }

 private:
  config::Config config_;
  std::unique_ptr<ring::UringReactor> reactor_;
  std::optional<SlotTable> slots_;
  std::optional<SharedCounters> counters_;
  daemon::LogSink sink_{.target = config::LogTarget::kStderr,
                        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
                        .ident = "lychgate",
                        .hostname = "localhost"};
  std::optional<daemon::Log> log_;
  std::optional<daemon::Shard> shard_;
};

int run(const Options& options) {
  sockaddr_in address;
  const int listener = listen_on_loopback(address);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) give_up("no socket pair");
  std::vector<Crowd> crowds;
  for (uint32_t left = options.clients; left > 0;) {
    const uint32_t some = std::min(left, kClientsPerChild);
    crowds.emplace_back(address, static_cast<uint32_t>(crowds.size()), some);
    left -= some;
  }
  Gate before(options.clients, listener, -1);
  Gate after(options.clients, listener, ends[1]);
  before.shard().open_doors();
  while (before.shard().clients() < options.clients) {
    before.turn();
    if (waitpid(-1, nullptr, WNOHANG) > 0) give_up("a client could not connect");
  }
  const Instant begin = monotonic_now();
  before.shard().retire({.fd = ends[0], .same_lists = true, .listeners = {}}, Gate::now());
  uint64_t turns = 0;
  while (after.count(Counter::kCarried) < options.clients &&
         after.count(Counter::kCarryLost) == 0) {
    before.turn();
    after.turn();
    ++turns;
  }
  const std::chrono::duration<double, std::micro> took = monotonic_now() - begin;
  for (int i = 0; i < 3; ++i) before.turn();
  bool good = after.shard().clients() == options.clients && before.shard().clients() == 0;
  for (Crowd& crowd : crowds) crowd.end();
  for (Crowd& crowd : crowds) good &= crowd.unharmed();
  fmt::print(
      "{} clients carried in {:.1f} ms: {:.2f} us each on both sides, {} turns, {} delays{}\n",
      after.count(Counter::kCarried), took.count() / 1000, took.count() / options.clients, turns,
      before.count(Counter::kCarryDelayed), good ? "; none of them noticed" : "; SOME WERE LOST");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace lychgate::carry_cost

int main(int argc, char** argv) {
  lychgate::carry_cost::Options options;
  CLI::App app("what it takes to carry held clients to the next generation of shards");
  app.add_option("--clients", options.clients, "how many")->check(CLI::Range(1u, 1000000u));
  CLI11_PARSE(app, argc, argv);
  return lychgate::carry_cost::run(options);
}
