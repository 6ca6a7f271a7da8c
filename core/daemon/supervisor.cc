// Start, watch, stop. Signals are read from a descriptor, so nothing runs in a signal handler.

#include "core/daemon/supervisor.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/control_socket.h"
#include "core/daemon/listeners.h"
#include "core/daemon/plan.h"
#include "core/daemon/privileges.h"
#include "core/daemon/shard_process.h"
#include "core/daemon/steward.h"
#include "core/daemon/steward_line.h"
#include "core/daemon/syn_feed.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

// A child that lived shorter than this and dies again is started after the pause, not at once.
constexpr Tick kShortLifeMs = 1000;
constexpr Tick kRestartPauseMs = 1000;
// Beyond `drain`: what a stopping shard needs to notice that its time is over.
constexpr Tick kStopGraceMs = 2000;
// What a stopping steward needs to write what it has been told; a slow disk may need as long.
constexpr Tick kStewardGraceMs = 5000;

struct Child {
  pid_t pid = -1;
  int control_fd = -1;  // our end
  bool ready = false;
  Tick started = 0;
  uint32_t short_lives = 0;
  bool restart_due = false;
  Tick restart_at = 0;
};

Tick now_tick() {
  return to_tick(monotonic_now());
}

// Type=notify of systemd (sd_notify(3)): the socket that the environment names, or -1. Connected
// before root is given up, since its path may not be open to `user`.
int open_notify_socket() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr) return -1;
  auto address = SocketAddress::unix_path(path);
  if (!address) return -1;
  if (path[0] == '@') {  // abstract name: a NUL instead of the sign, and no NUL at the end
    address->path.sun_path[0] = '\0';
    --address->length;
  }
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, &address->any, address->length) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

// Descriptors of the supervisor's own; -1: none.
struct Doors {
  int steward_fd = -1;  // control socket
  int signal_fd = -1;
  int notify_fd = -1;
  std::vector<SynFeedDoor> syn_feeds;  // of each shard; empty: none
  std::vector<StewardLine> lines = {};  // of each shard
};

// The kernel side of SYN feeds, where they are of use and allowed; one for each shard, or none.
std::vector<SynFeedDoor> open_feeds(const Plan& plan, Listeners& listeners) {
  if (!config::kernel_holds(plan.config) || plan.lists.lists.empty()) return {};
  if (plan.config.greet.syn_feed == 0) return {};
  auto feeds = open_syn_feeds(listeners.by_shard);
  if (feeds) return std::move(*feeds);
  listeners.warnings.push_back("warning: " + feeds.error().text);
  return {};
}

class Supervisor {
 public:
  Supervisor(Plan&& plan, LogSink&& sink, Listeners&& listeners, SharedCounters&& counters,
             const Doors& doors)
      : plan_(std::move(plan)),
        sink_(std::move(sink)),
        listeners_(std::move(listeners)),
        counters_(std::move(counters)),
        steward_fd_(doors.steward_fd),
        signal_fd_(doors.signal_fd),
        notify_fd_(doors.notify_fd),
        syn_feeds_(doors.syn_feeds),
        lines_(doors.lines),
        shards_(plan_.config.shards) {}

  Result<void> run();

 private:
  void start_shard(uint32_t index);
  void start_steward();
  void notify(std::string_view state) const;
  pid_t fork_child(Child& child, int& child_end);
  pid_t not_started(Child& child);
  void announce() const;
  Result<void> await_ready();
  void wait_for_news();
  void reap();
  void child_died(Child& child, const std::string& name, int status);
  void restart_due();
  int wait_ms() const;
  void begin_stop();
  void end_steward();
  void stop_all();
  bool all_gone() const;

  Plan plan_;
  LogSink sink_;
  Listeners listeners_;
  SharedCounters counters_;
  int steward_fd_;
  int signal_fd_;
  int notify_fd_;
  std::vector<SynFeedDoor> syn_feeds_;
  std::vector<StewardLine> lines_;
  std::vector<Child> shards_;
  Child steward_;
  uint64_t deferred_before_ = deferred_acks();
  int64_t config_read_at_ = std::time(nullptr);
  bool started_ = false;
  bool stopping_ = false;
  bool stop_now_ = false;
  Tick stop_until_ = 0;
  int start_error_ = 0;    // errno of a process that could not be made at the start
  int failed_status_ = 0;  // of a shard that died before it was ready
};

void Supervisor::notify(std::string_view state) const {
  if (notify_fd_ >= 0) send(notify_fd_, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

pid_t Supervisor::fork_child(Child& child, int& child_end) {
  child.restart_due = false;
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return not_started(child);
  child.pid = fork();
  child.started = now_tick();
  child.ready = false;
  if (child.pid == 0) {
    // Our ends of everybody's sockets: kept, they would hide the supervisor's death from others.
    close(ends[0]);
    for (const Child& other : shards_) {
      if (other.control_fd >= 0) close(other.control_fd);
    }
    if (steward_.control_fd >= 0) close(steward_.control_fd);
    close(signal_fd_);
    drop_capabilities();
    child_end = ends[1];
    return 0;
  }
  close(ends[1]);
  child.control_fd = ends[0];
  if (child.pid > 0) return child.pid;
  close(ends[0]);
  child.control_fd = -1;
  return not_started(child);
}

// Out of processes or descriptors: tried again after a pause; at the start it is the end.
pid_t Supervisor::not_started(Child& child) {
  const int error = errno;
  log_now(sink_, fmt::format("warning: cannot start a process: {}", errno_text(error)));
  child.pid = -1;
  child.restart_due = true;
  child.restart_at = now_tick() + kRestartPauseMs;
  if (!started_) start_error_ = error;
  return -1;
}

void Supervisor::start_shard(uint32_t index) {
  Child& child = shards_[index];
  int control = -1;
  if (fork_child(child, control) == 0) {
    if (steward_fd_ >= 0) close(steward_fd_);
    run_shard(ShardSeat{.plan = plan_,
                        .sink = sink_,
                        .counters = counters_.shards(),
                        .lists = counters_.lists(),
                        .index = index,
                        .listeners = listeners_.by_shard[index],
                        .syn_feed = syn_feeds_.empty() ? SynFeedDoor{} : syn_feeds_[index],
                        .control_fd = control,
                        .steward_fd = lines_[index].shard_end});
  }
}

void Supervisor::start_steward() {
  const bool wanted = steward_fd_ >= 0 || !plan_.config.store.file.empty() ||
                      plan_.config.metrics.address.has_value();
  if (!wanted) return;
  int control = -1;
  if (fork_child(steward_, control) == 0) {
    // A listener kept here would hold the port after everybody else is gone.
    for (const auto& listeners : listeners_.by_shard) {
      for (const int fd : listeners) close(fd);
    }
    std::vector<int> shard_lines;
    for (const StewardLine& line : lines_) shard_lines.push_back(line.steward_end);
    run_steward({.config = plan_.config,
                 .sink = sink_,
                 .counters = counters_.shards(),
                 .lists = plan_.lists.lists,
                 .shared_lists = counters_.lists(),
                 .deferred_before = deferred_before_,
                 .config_read_at = config_read_at_,
                 .listen_fd = steward_fd_,
                 .shard_lines = shard_lines,
                 .control_fd = control});
  }
}

int Supervisor::wait_ms() const {
  const Tick now = now_tick();
  int wait = -1;
  const auto consider = [&](Tick at) {
    const int ms = tick_reached(now, at) ? 0 : static_cast<int>(at - now);
    if (wait < 0 || ms < wait) wait = ms;
  };
  for (const Child& child : shards_) {
    if (child.restart_due) consider(child.restart_at);
  }
  if (steward_.restart_due) consider(steward_.restart_at);
  if (stopping_) consider(stop_until_);
  return wait;
}

void Supervisor::wait_for_news() {
  std::vector<pollfd> waits{{signal_fd_, POLLIN, 0}};
  for (const Child& child : shards_) {
    // After its ready byte a shard has nothing to say; its death comes as a signal.
    const int fd = child.ready ? -1 : child.control_fd;
    waits.push_back({fd, POLLIN, 0});
  }
  // The steward's one word is that the gate is to stop.
  waits.push_back({steward_.pid > 0 ? steward_.control_fd : -1, POLLIN, 0});
  if (poll(waits.data(), waits.size(), wait_ms()) <= 0) return;
  for (size_t i = 0; i < shards_.size(); ++i) {
    if ((waits[i + 1].revents & POLLIN) == 0) continue;
    char byte = 0;
    if (recv(shards_[i].control_fd, &byte, 1, MSG_DONTWAIT) == 1) {
      shards_[i].ready = byte == kShardReady;
    }
  }
  char word = 0;
  const bool spoken = (waits.back().revents & POLLIN) != 0 &&
                      recv(steward_.control_fd, &word, 1, MSG_DONTWAIT) == 1;
  if (spoken && word == kStewardStop) begin_stop();
  signalfd_siginfo signal{};
  while (read(signal_fd_, &signal, sizeof(signal)) == sizeof(signal)) {
    if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) {
      if (stopping_) stop_now_ = true;
      begin_stop();
    } else if (signal.ssi_signo == SIGHUP) {
      log_now(sink_, "warning: SIGHUP: reload is not in this version; restart to change settings");
    }
  }
  reap();
}

void Supervisor::reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    for (uint32_t i = 0; i < shards_.size(); ++i) {
      if (shards_[i].pid != pid) continue;
      counters_.shards()[i].reset_gauges();
      counters_.shards()[i].pid.store(0, std::memory_order_relaxed);
      child_died(shards_[i], fmt::format("shard {}", i), status);
      if (!stopping_ && started_) counters_.shards()[i].add(Counter::kRestarts);
    }
    if (steward_.pid == pid) child_died(steward_, "steward", status);
  }
}

void Supervisor::child_died(Child& child, const std::string& name, int status) {
  if (child.control_fd >= 0) close(child.control_fd);
  child.control_fd = -1;
  child.pid = -1;
  if (stopping_) return;
  if (!started_) {
    failed_status_ = status;
    return;
  }
  const std::string how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                              : fmt::format("exit status {}", WEXITSTATUS(status));
  log_now(sink_, fmt::format("warning: {} died ({}), starting it again", name, how));
  const Tick now = now_tick();
  const bool short_life = now - child.started < kShortLifeMs;
  child.short_lives = short_life ? child.short_lives + 1 : 0;
  child.restart_due = true;
  child.restart_at = child.short_lives >= 2 ? now + kRestartPauseMs : now;
}

void Supervisor::restart_due() {
  if (stopping_) return;
  const Tick now = now_tick();
  for (uint32_t i = 0; i < shards_.size(); ++i) {
    if (shards_[i].restart_due && tick_reached(now, shards_[i].restart_at)) start_shard(i);
  }
  if (steward_.restart_due && tick_reached(now, steward_.restart_at)) start_steward();
}

Result<void> Supervisor::await_ready() {
  for (;;) {
    bool all = true;
    for (const Child& child : shards_) all = all && child.ready;
    if (all || stopping_) return {};
    if (start_error_ != 0) {
      return fail(ExitCode::kOsError, fmt::format("cannot start all processes: {}; raise the limit "
                                                  "on processes (TasksMax, ulimit -u)",
                                                  errno_text(start_error_)));
    }
    if (failed_status_ != 0) {
      const int code = WIFEXITED(failed_status_) ? WEXITSTATUS(failed_status_) : 70;
      return fail(static_cast<ExitCode>(code), "a shard could not start; its own line says why");
    }
    wait_for_news();
  }
}

void Supervisor::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  stop_until_ = now_tick() + to_ticks(plan_.config.drain) + kStopGraceMs;
  notify("STOPPING=1");
  for (const Child& child : shards_) {
    if (child.control_fd >= 0) send(child.control_fd, &kShardStop, 1, MSG_NOSIGNAL);
  }
}

bool Supervisor::all_gone() const {
  for (const Child& child : shards_) {
    if (child.pid > 0) return false;
  }
  return true;
}

// It still writes what the shards have told it.
void Supervisor::end_steward() {
  if (steward_.pid <= 0) return;
  close(std::exchange(steward_.control_fd, -1));
  stop_until_ = now_tick() + kStewardGraceMs;
  while (steward_.pid > 0 && !stop_now_ && !tick_reached(now_tick(), stop_until_)) wait_for_news();
}

void Supervisor::stop_all() {
  while (!all_gone() && !stop_now_ && !tick_reached(now_tick(), stop_until_)) wait_for_news();
  for (const Child& child : shards_) {
    if (child.pid > 0) kill(child.pid, SIGKILL);
  }
  end_steward();
  if (steward_.pid > 0) kill(steward_.pid, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  if (steward_fd_ >= 0) unlink(plan_.config.control.socket.c_str());
}

Result<void> Supervisor::run() {
  log_now(sink_, fmt::format("lychgate {}: {}", LYCHGATE_VERSION, plan_.features.summary()));
  for (const std::string& warning : listeners_.warnings) log_now(sink_, warning);
  start_steward();
  for (uint32_t i = 0; i < shards_.size(); ++i) start_shard(i);
  if (auto ready = await_ready(); !ready) {
    stopping_ = stop_now_ = true;
    stop_all();
    return ready;
  }
  started_ = true;
  if (!stopping_) announce();
  while (!stopping_) {
    wait_for_news();
    restart_due();
  }
  log_now(sink_, "stopping");
  stop_all();
  return {};
}

void Supervisor::announce() const {
  for (const config::Listen& listen : plan_.config.listens) {
    log_now(sink_, fmt::format("listening on {} with {} shards, {} clients each",
                               listen.address.bracketed(), plan_.config.shards,
                               plan_.config.limits.per_shard));
  }
  if (config::kernel_holds(plan_.config)) {
    const milliseconds wait = plan_.config.greet.wait;
    log_now(sink_, fmt::format("the kernel keeps silent clients for {} (greet.wait = {})",
                               config::duration_text(config::kernel_wait(wait)),
                               config::duration_text(wait)));
  }
  for (const std::string& warning : plan_.lists.warnings) {
    log_now(sink_, "warning: " + warning);
  }
  notify("READY=1");
}

int block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGCHLD, SIG_DFL);  // ignored by whoever started us, no death would be told
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

Result<void> run_gate(const config::Config& config, const std::string& config_path) {
  const std::vector<int> inherited = inherited_listeners();
  auto plan = make_plan(config, config_path);
  if (!plan) return tl::unexpected(plan.error());
  auto sink = open_log(plan->config.log);
  if (!sink) return tl::unexpected(sink.error());
  auto counters = SharedCounters::create(plan->config.shards);
  if (!counters) return tl::unexpected(counters.error());
  auto listeners = open_listeners(plan->config, inherited);
  if (!listeners) return tl::unexpected(listeners.error());
  Doors doors{.notify_fd = open_notify_socket(), .syn_feeds = open_feeds(*plan, *listeners)};
  if (const std::string& path = plan->config.control.socket; !path.empty()) {
    const auto opened = open_control_socket(path);
    if (!opened) return tl::unexpected(opened.error());
    doors.steward_fd = *opened;
  }
  if (auto became = become(plan->config.user); !became) {
    if (doors.steward_fd >= 0) unlink(plan->config.control.socket.c_str());
    return became;
  }
  if (!plan->config.secrets.empty()) refuse_core_dumps();
  if (auto reachable = check_backend_rights(plan->config); !reachable) {
    if (doors.steward_fd >= 0) unlink(plan->config.control.socket.c_str());
    return reachable;
  }
  // By the user that will write it; what is wrong is said, and tried again, by the steward.
  if (const config::Store& store = plan->config.store; !store.file.empty()) {
    const auto prepared = store::prepare(store_options(store));
    const bool told = prepared && !prepared->warning.empty();
    if (told) listeners->warnings.push_back("warning: " + prepared->warning);
  }
  auto lines = make_steward_lines(plan->config.shards);
  if (!lines) return tl::unexpected(lines.error());
  doors.lines = std::move(*lines);
  doors.signal_fd = block_signals();
  Supervisor supervisor(std::move(*plan), std::move(*sink), std::move(*listeners),
                        std::move(*counters), doors);
  return supervisor.run();
}

}  // namespace lychgate::daemon
