// Start, watch, stop: the loop of the supervisor. Signals are read from a descriptor, so nothing
// runs in a signal handler.

#include "core/daemon/gate.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/privileges.h"
#include "core/daemon/shard_process.h"
#include "core/daemon/steward.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

// A child that lived shorter than this and dies again is started after the pause, not at once.
constexpr Tick kShortLifeMs = 1000;
constexpr Tick kRestartPauseMs = 1000;
// Beyond its time: what a stopping shard needs to notice that it is over.
constexpr Tick kStopGraceMs = 2000;

}  // namespace

Gate::Gate(GateParts parts, SharedCounters&& counters, CellBook&& book, Crew&& crew)
    : parts_(std::move(parts)),
      counters_(std::move(counters)),
      book_(std::move(book)),
      current_(std::move(crew)) {
  current_.shards.resize(parts_.shards);
  generation_ = {.number = current_.number, .set = current_.set, .since = std::time(nullptr)};
}

void Gate::notify(std::string_view state) const {
  if (parts_.notify_fd < 0) return;
  send(parts_.notify_fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::vector<Crew*> Gate::crews() {
  std::vector<Crew*> all{&current_};
  if (next_) all.push_back(&*next_);
  if (retiring_) all.push_back(&*retiring_);
  return all;
}

std::vector<Child*> Gate::children() {
  std::vector<Child*> all{&steward_};
  for (Crew* crew : crews()) {
    for (Child& child : crew->shards) all.push_back(&child);
  }
  return all;
}

// True in the child.
bool Gate::fork_child(const Crew& crew, Child& child, int& child_end) {
  child.restart_due = false;
  child.ready = false;
  child.failure.clear();
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    not_started(child);
    return false;
  }
  child.pid = fork();
  child.started = now_tick();
  if (child.pid == 0) {
    // Our ends of everybody's sockets: kept, they would hide the supervisor's death from others.
    close(ends[0]);
    for (const Child* other : children()) {
      if (other->control_fd >= 0) close(other->control_fd);
    }
    for (const int end : carry_ends_) close(end);
    close_what_others_have(crew);
    if (change_.trial.words_fd >= 0) close(change_.trial.words_fd);
    close(parts_.signal_fd);
    drop_capabilities();
    child_end = ends[1];
    return true;
  }
  close(ends[1]);
  child.control_fd = ends[0];
  if (child.pid > 0) return false;
  close(ends[0]);
  child.control_fd = -1;
  not_started(child);
  return false;
}

// In a new process: logs and listeners of other generations, which would stay open through it.
void Gate::close_what_others_have(const Crew& crew) {
  for (const Crew* other : crews()) {
    if (other == &crew) continue;
    close_sink(*other, crew);
    close_listeners(other->listeners, crew.listeners, false);
  }
}

// Out of processes or descriptors: tried again after a pause; at the start it is the end.
void Gate::not_started(Child& child) {
  const int error = errno;
  log(fmt::format("warning: cannot start a process: {}", errno_text(error)));
  child.pid = -1;
  child.restart_due = true;
  child.restart_at = now_tick() + kRestartPauseMs;
  if (!started_) start_error_ = error;
}

void Gate::start_shard(Crew& crew, uint32_t index, int carry_fd) {
  int control = -1;
  if (!fork_child(crew, crew.shards[index], control)) return;
  if (parts_.steward_fd >= 0) close(parts_.steward_fd);
  const uint32_t block = block_of(crew, index);
  run_shard(ShardSeat{.plan = *crew.plan,
                      .sink = crew.sink,
                      .counters = counters_.shards(),
                      .boards = counters_.boards(),
                      .shard = index,
                      .block = block,
                      .listeners = crew.listeners.by_shard(parts_.shards)[index],
                      .syn_feed = crew.feeds.empty() ? SynFeedDoor{} : crew.feeds[index],
                      .control_fd = control,
                      .steward_fd = parts_.lines[block].shard_end,
                      .carry_fd = carry_fd});
}

void Gate::start_steward() {
  const config::Config& config = current_.plan->config;
  const bool wanted =
      parts_.steward_fd >= 0 || !config.store.file.empty() || config.metrics.address.has_value();
  if (!wanted) return;
  int control = -1;
  if (!fork_child(current_, steward_, control)) return;
  // A listener kept here would hold the port after everybody else is gone.
  close_listeners(current_.listeners, {}, false);
  std::vector<int> shard_lines;
  for (const StewardLine& line : parts_.lines) shard_lines.push_back(line.steward_end);
  run_steward({.config = config,
               .sink = current_.sink,
               .counters = counters_.shards(),
               .generation = generation_,
               .lists = current_.plan->lists.lists,
               .boards = counters_.boards(),
               .deferred_before = parts_.deferred_before,
               .config_read_at = generation_.since,
               .listen_fd = parts_.steward_fd,
               .shard_lines = shard_lines,
               .control_fd = control});
}

int Gate::wait_ms() const {
  const Tick now = now_tick();
  int wait = -1;
  const auto consider = [&](Tick at) {
    const int ms = tick_reached(now, at) ? 0 : static_cast<int>(at - now);
    if (wait < 0 || ms < wait) wait = ms;
  };
  for (const Child& child : current_.shards) {
    if (child.restart_due) consider(child.restart_at);
  }
  if (steward_.restart_due) consider(steward_.restart_at);
  if (steward_leaves_) consider(steward_until_);
  if (retiring_) consider(retiring_until_);
  if (change_.stage != Change::Stage::kNone) consider(change_.until);
  if (change_.stage == Change::Stage::kNone && change_.again) consider(now);
  if (stopping_) consider(stop_until_);
  return wait;
}

void Gate::wait_for_news() {
  std::vector<pollfd> waits{{parts_.signal_fd, POLLIN, 0}};
  const std::vector<Child*> all = children();
  for (const Child* child : all)
    waits.push_back({child->lives() ? child->control_fd : -1, POLLIN, 0});
  waits.push_back({change_.trial.words_fd, POLLIN, 0});
  if (poll(waits.data(), waits.size(), wait_ms()) <= 0) return;
  if (waits.back().revents != 0) hear_trial();
  for (size_t i = 0; i < all.size(); ++i) {
    if ((waits[i + 1].revents & POLLIN) == 0) continue;
    if (all[i] == &steward_) {
      hear_steward();
    } else {
      hear_shard(*all[i]);
    }
  }
  take_signals();
  reap();
}

void Gate::hear_shard(Child& child) {
  for (;;) {
    const auto message = read_control(child.control_fd);
    // Its death comes as a signal; until then a broken socket would be readable for ever.
    if (!message) return close_control(child);
    if (!*message) return;
    if ((*message)->word == Word::kReady) {
      child.ready = true;
      // One of a new generation waits for the others.
      if (started_ && is_current(child)) send_control(child.control_fd, Word::kOpen);
    } else if ((*message)->word == Word::kFailed) {
      child.failure = (*message)->body;
    } else if ((*message)->word == Word::kCarried) {
      child.carried = decode_carry_result((*message)->body);
    }
  }
}

void Gate::hear_steward() {
  const auto message = read_control(steward_.control_fd);
  if (!message) return close_control(steward_);
  if (!*message) return;
  if ((*message)->word == Word::kAskStop) begin_stop();
  if ((*message)->word == Word::kAskReload) ask_for_change(true, "");
  if ((*message)->word == Word::kAskUpgrade) {
    ask_for_change(true, (*message)->body.empty() ? parts_.program : (*message)->body);
  }
}

bool Gate::is_current(const Child& child) const {
  const Child* first = current_.shards.data();
  return &child >= first && &child < first + current_.shards.size();
}

void Gate::close_control(Child& child) {
  if (child.control_fd >= 0) close(std::exchange(child.control_fd, -1));
}

void Gate::take_signals() {
  signalfd_siginfo signal{};
  while (read(parts_.signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
    if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT) {
      if (stopping_) stop_now_ = true;
      begin_stop();
    } else if (signal.ssi_signo == SIGHUP) {
      ask_for_change(false, "");
    }
  }
}

void Gate::reap() {
  int status = 0;
  for (pid_t pid = waitpid(-1, &status, WNOHANG); pid > 0; pid = waitpid(-1, &status, WNOHANG)) {
    if (steward_.pid == pid) steward_died(status);
    if (change_.trial.pid == pid) {
      change_.trial.pid = -1;
      change_.trial.status = status;
    }
    for (Crew* crew : crews()) {
      for (uint32_t i = 0; i < crew->shards.size(); ++i) {
        if (crew->shards[i].pid == pid) shard_died(*crew, i, status);
      }
    }
  }
}

void Gate::clear_block(const Crew& crew, uint32_t index) {
  ShardCounters& counters = counters_.shards()[block_of(crew, index)];
  counters.reset_gauges();
  counters.pid.store(0, std::memory_order_relaxed);
}

void Gate::shard_died(Crew& crew, uint32_t index, int status) {
  clear_block(crew, index);
  Child& child = crew.shards[index];
  // What it said last is the reason.
  if (child.control_fd >= 0) hear_shard(child);
  close_control(child);
  child.pid = -1;
  if (&crew != &current_) {
    const bool killed = WIFSIGNALED(status) && !stopping_;
    if (killed)
      log(fmt::format("warning: shard {} of generation {} died (signal {})", index, crew.number,
                      WTERMSIG(status)));
    return;
  }
  if (!started_) failed_status_ = status;
  if (stopping_ || !started_) return;
  restart_later(child, fmt::format("shard {}", index), status);
  counters_.shards()[block_of(crew, index)].add(Counter::kRestarts);
}

void Gate::steward_died(int status) {
  close_control(steward_);
  steward_.pid = -1;
  change_.steward_asks = false;  // the next one has not asked
  if (stopping_ || !started_) return;
  if (std::exchange(steward_leaves_, false)) {
    start_steward();
  } else {
    restart_later(steward_, "steward", status);
  }
}

void Gate::restart_later(Child& child, const std::string& name, int status) {
  const std::string how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                              : fmt::format("exit status {}", WEXITSTATUS(status));
  log(fmt::format("warning: {} died ({}), starting it again", name, how));
  const Tick now = now_tick();
  const bool short_life = now - child.started < kShortLifeMs;
  child.short_lives = short_life ? child.short_lives + 1 : 0;
  child.restart_due = true;
  child.restart_at = child.short_lives >= 2 ? now + kRestartPauseMs : now;
}

void Gate::restart_due() {
  if (stopping_) return;
  const Tick now = now_tick();
  const auto is_due = [now](const Child& child) {
    return child.restart_due && tick_reached(now, child.restart_at);
  };
  for (uint32_t i = 0; i < current_.shards.size(); ++i) {
    if (!is_due(current_.shards[i])) continue;
    if (current_.plan != nullptr) {
      start_shard(current_, i, -1);
    } else {
      // Only a new generation can take its place.
      current_.shards[i].restart_at = now + kRestartPauseMs;
      ask_for_change(false, "");
    }
  }
  if (!is_due(steward_)) return;
  if (current_.plan != nullptr) return start_steward();
  steward_.restart_at = now + kRestartPauseMs;
  ask_for_change(false, "");
}

Result<void> Gate::await_ready() {
  for (;;) {
    bool all = true;
    std::string failure;
    for (const Child& child : current_.shards) {
      all = all && child.ready;
      if (!child.failure.empty()) failure = child.failure;
    }
    if (all || stopping_) return {};
    if (start_error_ != 0) {
      return fail(ExitCode::kOsError, fmt::format("cannot start all processes: {}; raise the limit "
                                                  "on processes (TasksMax, ulimit -u)",
                                                  errno_text(start_error_)));
    }
    if (failed_status_ != 0) {
      const int code = WIFEXITED(failed_status_) ? WEXITSTATUS(failed_status_) : 70;
      return fail(static_cast<ExitCode>(code),
                  failure.empty() ? "a shard died before it was ready" : failure);
    }
    wait_for_news();
  }
}

void Gate::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  if (change_.steward_asks)
    answer_steward({ExitCode::kUnavailable, "the gate stops"}, Word::kAnswer);
  if (change_.trial.pid > 0) kill(change_.trial.pid, SIGKILL);
  close_carry_ends();
  stop_until_ = now_tick() + drain_ + kStopGraceMs;
  notify("STOPPING=1");
  for (const Child* child : children()) {
    if (child != &steward_ && child->control_fd >= 0) send_control(child->control_fd, Word::kStop);
  }
}

bool Gate::all_gone() {
  for (const Child* child : children()) {
    if (child != &steward_ && child->lives()) return false;
  }
  return true;
}

// It still writes what the shards have told it.
void Gate::end_steward() {
  if (!steward_.lives()) return;
  close_control(steward_);
  stop_until_ = now_tick() + kStewardGraceMs;
  while (steward_.lives() && !stop_now_ && !tick_reached(now_tick(), stop_until_)) wait_for_news();
}

void Gate::stop_all() {
  while (!all_gone() && !stop_now_ && !tick_reached(now_tick(), stop_until_)) wait_for_news();
  for (const Child* child : children()) {
    if (child != &steward_ && child->lives()) kill(child->pid, SIGKILL);
  }
  end_steward();
  if (steward_.lives()) kill(steward_.pid, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  if (parts_.steward_fd >= 0) unlink(parts_.control_path.c_str());
}

Result<void> Gate::run_on(const GateState& before) {
  log(fmt::format("lychgate {} goes on with generation {}", LYCHGATE_VERSION, current_.number));
  steward_.pid = before.steward.pid;
  steward_.control_fd = before.steward.control_fd;
  steward_.restart_due = before.steward.pid <= 0 && parts_.steward_fd >= 0;
  for (size_t i = 0; i < current_.shards.size(); ++i) {
    current_.shards[i].pid = before.shard_children[i].pid;
    current_.shards[i].control_fd = before.shard_children[i].control_fd;
    current_.shards[i].ready = true;
    current_.shards[i].restart_due = before.shard_children[i].pid <= 0;
  }
  drain_ = before.drain;
  waits_ = milliseconds{before.waits};
  hold_ = static_cast<config::Hold>(before.hold);
  started_ = true;
  ask_for_change(before.steward_asks, "");
  change_.upgrades = true;
  serve_on();
  return {};
}

Result<void> Gate::run() {
  log(fmt::format("lychgate {}: {}", LYCHGATE_VERSION, current_.plan->features.summary()));
  for (const std::string& warning : current_.listeners.warnings) log(warning);
  start_steward();
  for (uint32_t i = 0; i < current_.shards.size(); ++i) start_shard(current_, i, -1);
  if (auto ready = await_ready(); !ready) {
    stopping_ = stop_now_ = true;
    stop_all();
    return ready;
  }
  started_ = true;
  take_times();
  for (const Child& child : current_.shards) send_control(child.control_fd, Word::kOpen);
  if (!stopping_) announce();
  serve_on();
  return {};
}

void Gate::serve_on() {
  while (!stopping_) {
    wait_for_news();
    if (stopping_) break;
    restart_due();
    advance_change();
    if (steward_leaves_ && tick_reached(now_tick(), steward_until_)) {
      kill(steward_.pid, SIGKILL);
      steward_until_ = now_tick() + kStewardGraceMs;
    }
  }
  log("stopping");
  stop_all();
}

void open_feeds(Crew& crew, const std::vector<SynFeedDoor>& before) {
  const config::Config& config = crew.plan->config;
  const bool wanted =
      config::kernel_holds(config) && !crew.plan->lists.lists.empty() && config.greet.syn_feed > 0;
  if (!wanted) return;
  const bool fresh = std::ranges::any_of(crew.listeners.groups, &ListenerGroup::fresh);
  crew.feeds = before;
  if (!before.empty() && !fresh) return;
  auto feeds = open_syn_feeds(crew.listeners.by_shard(config.shards));
  if (feeds) {
    crew.feeds = std::move(*feeds);
  } else {
    crew.listeners.warnings.push_back("warning: " + feeds.error().text);
  }
}

void prepare_store(const Crew& crew) {
  const config::Store& store = crew.plan->config.store;
  if (store.file.empty()) return;
  const auto prepared = store::prepare(store_options(store));
  const bool told = prepared && !prepared->warning.empty();
  if (told) log_now(crew.sink, "warning: " + prepared->warning);
}

void Gate::announce() const {
  const config::Config& config = current_.plan->config;
  for (const config::Listen& listen : config.listens) {
    log(fmt::format("listening on {} with {} shards, {} clients each", listen.address.bracketed(),
                    config.shards, config.limits.per_shard));
  }
  if (config::kernel_holds(config)) {
    const milliseconds wait = config.greet.wait;
    log(fmt::format("the kernel keeps silent clients for {} (greet.wait = {})",
                    config::duration_text(config::kernel_wait(wait)), config::duration_text(wait)));
  }
  for (const std::string& warning : current_.plan->lists.warnings) log("warning: " + warning);
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

}  // namespace lychgate::daemon
