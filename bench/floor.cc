// A bare accept loop, the floor that lychgate is measured against (bench/compare): epoll, accept4
// until EAGAIN, a banner of 30 bytes, then close, or hold, or (life) hold for a time, look once and
// close, which is what a zombie costs any program. Owns one listener on 127.0.0.1 and what it
// accepted. It knows no limits, logs or verdicts.
//
// One line with its port when it is ready; on SIGUSR1 a JSON line with counts and CPU so far, on
// SIGTERM or SIGINT the same and exit.

#include <arpa/inet.h>
#include <linux/close_range.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <thread>

#include <CLI/CLI.hpp>

namespace {

enum class Mode : uint8_t { kWriteClose, kHold, kAcceptClose, kLife };
using Clock = std::chrono::steady_clock;

struct Plan {
  uint16_t port = 0;
  Mode mode = Mode::kWriteClose;
  std::string banner = "220 floor.example ESMTP bare\r\n";
  int backlog = 4096;
  unsigned wait_ms = 2000;  // life
  std::optional<unsigned> cpu;
};

// Who is held for a time, in the order of the accepts.
struct Held {
  int client;
  Clock::time_point until;
};
using HeldQueue = std::deque<Held>;

struct Counts {
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> held{0};
  std::atomic<uint64_t> unwritten{0};  // banners the kernel did not take
};

[[noreturn]] void give_up(const char* what) {
  std::fprintf(stderr, "lychgate-floor: %s: %s\n", what, std::strerror(errno));
  std::exit(EXIT_FAILURE);
}

int listen_on_loopback(const Plan& plan) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) give_up("socket");
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(plan.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    give_up("bind");
  }
  if (listen(listener, plan.backlog) != 0) give_up("listen");
  return listener;
}

uint16_t port_of(int listener) {
  sockaddr_in address{};
  socklen_t size = sizeof(address);
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    give_up("getsockname");
  }
  return ntohs(address.sin_port);
}

void serve(const Plan& plan, int client, HeldQueue& queue, Counts& counts) {
  counts.accepted.fetch_add(1, std::memory_order_relaxed);
  if (plan.mode != Mode::kAcceptClose && !plan.banner.empty() &&
      send(client, plan.banner.data(), plan.banner.size(), MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    counts.unwritten.fetch_add(1, std::memory_order_relaxed);
  }
  switch (plan.mode) {
    case Mode::kHold:
      counts.held.fetch_add(1, std::memory_order_relaxed);
      return;
    case Mode::kLife:
      return queue.push_back({client, Clock::now() + std::chrono::milliseconds(plan.wait_ms)});
    case Mode::kWriteClose:
    case Mode::kAcceptClose:
      close(client);
      return;
  }
}

// Looks at those whose time is over and closes them. How long until the next, for epoll_wait.
int end_lives(HeldQueue& queue) {
  const auto now = Clock::now();
  for (; !queue.empty() && queue.front().until <= now; queue.pop_front()) {
    char look[64];
    [[maybe_unused]] const ssize_t got =
        recv(queue.front().client, look, sizeof(look), MSG_DONTWAIT);
    close(queue.front().client);
  }
  if (queue.empty()) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(queue.front().until - now);
  return static_cast<int>(left.count());
}

// Returns when no descriptor is left.
void accept_until_full(const Plan& plan, int listener, Counts& counts) {
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{.events = EPOLLIN, .data = {}};
  if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event) != 0) give_up("epoll");
  HeldQueue queue;
  for (;;) {
    if (epoll_wait(poll, &event, 1, end_lives(queue)) < 0 && errno != EINTR) give_up("epoll_wait");
    for (;;) {
      const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client >= 0) {
        serve(plan, client, queue, counts);
      } else if (errno == EMFILE) {
        return;
      } else if (errno == EAGAIN) {
        break;
      } else if (errno != ECONNABORTED && errno != EINTR) {
        give_up("accept4");
      }
    }
  }
}

// RLIMIT_NOFILE bounds a descriptor table, and a thread may have one of its own: each full thread
// starts the next and keeps what it holds.
void hold_in_threads(const Plan& plan, int listener, Counts& counts) {
  // Copies only the descriptors up to the listener, so nobody else's clients are kept open.
  if (close_range(static_cast<unsigned>(listener) + 1, UINT_MAX, CLOSE_RANGE_UNSHARE) != 0) {
    give_up("close_range");
  }
  accept_until_full(plan, listener, counts);
  std::thread([&plan, listener, &counts] { hold_in_threads(plan, listener, counts); }).detach();
  for (;;) pause();
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void report(const Counts& counts) {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  std::printf(
      "{\"accepted\":%llu,\"held\":%llu,\"unwritten\":%llu,\"user_s\":%.6f,"
      "\"system_s\":%.6f}\n",
      static_cast<unsigned long long>(counts.accepted.load()),
      static_cast<unsigned long long>(counts.held.load()),
      static_cast<unsigned long long>(counts.unwritten.load()), seconds(used.ru_utime),
      seconds(used.ru_stime));
  std::fflush(stdout);
}

void pin_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) != 0) give_up("--cpu");
}

void read_command_line(int argc, char** argv, Plan& plan) {
  CLI::App app{"A bare accept loop on 127.0.0.1, the floor lychgate is measured against."};
  const std::map<std::string, Mode> modes{{"write-close", Mode::kWriteClose},
                                          {"hold", Mode::kHold},
                                          {"accept-close", Mode::kAcceptClose},
                                          {"life", Mode::kLife}};
  app.add_option("--port", plan.port, "port; 0: the kernel picks one")->capture_default_str();
  app.add_option("--mode", plan.mode, "what becomes of a client")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--banner", plan.banner, "what each client hears; empty: nothing");
  app.add_option("--backlog", plan.backlog, "clients waiting to be accepted")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--wait", plan.wait_ms, "life: milliseconds until it looks and closes")
      ->check(CLI::Range(1, 60000))
      ->capture_default_str();
  app.add_option("--cpu", plan.cpu, "core to run on");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
}

[[noreturn]] void run(int argc, char** argv) {
  Plan plan;
  read_command_line(argc, argv, plan);
  if (plan.cpu) pin_to(*plan.cpu);
  // Taken by sigwait alone; threads inherit the mask.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, one);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const int listener = listen_on_loopback(plan);
  std::printf("port %u\n", port_of(listener));
  std::fflush(stdout);

  Counts counts;
  std::thread([&] { hold_in_threads(plan, listener, counts); }).detach();
  for (int got = SIGUSR1; got == SIGUSR1;) {
    sigwait(&signals, &got);
    report(counts);
  }
  // The threads are not waited for: the kernel closes what they hold.
  _exit(EXIT_SUCCESS);
}

}  // namespace

// NOLINTNEXTLINE(bugprone-exception-escape): out of memory or a wrong option table may end it.
int main(int argc, char** argv) {
  run(argc, argv);
}
