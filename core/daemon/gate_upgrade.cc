// To another program in the same process: its children and descriptors stay, only the memory goes.
// What the next program could object to is asked of it first, while this one still runs.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "core/daemon/gate.h"

namespace lychgate::daemon {
namespace {

// What the new program has to say whether it can take over.
constexpr Tick kTrialMs = 20000;
constexpr size_t kTrialWordsMax = 4096;

// In place of what is there; readers begin at the start.
bool write_state(int fd, const std::string& text) {
  return ftruncate(fd, 0) == 0 &&
         pwrite(fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

void keep_over_exec(const std::vector<int>& fds, bool keep) {
  for (const int fd : fds) fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

std::vector<char*> argv_of(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// Runs in the child: the program as `check` of our configuration, all it says into the pipe.
[[noreturn]] void become_trial(const std::string& program, std::vector<std::string> words, int out,
                               const std::vector<int>& inherits) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  keep_over_exec(inherits, true);
  execv(program.c_str(), argv_of(words).data());
  const std::string why = fmt::format("cannot be executed: {}", errno_text(errno));
  [[maybe_unused]] const ssize_t told = write(STDERR_FILENO, why.data(), why.size());
  _exit(127);
}

}  // namespace

GateState Gate::state() const {
  GateState out;
  out.generation = current_.number;
  out.set = current_.set;
  out.shards = parts_.shards;
  out.steward_asks = change_.steward_asks;
  out.drain = drain_;
  out.waits = to_ticks(waits_);
  out.hold = static_cast<int>(hold_);
  out.user = parts_.user;
  out.start_uid = parts_.start_uid;
  out.control_path = parts_.control_path;
  out.steward_fd = parts_.steward_fd;
  out.notify_fd = parts_.notify_fd;
  out.log_target = static_cast<int>(current_.sink.target);
  out.log_fd = current_.sink.fd;
  out.log_ident = current_.sink.ident;
  out.counters_fd = counters_.fd();
  out.deferred_before = parts_.deferred_before;
  out.cells = book_.text();
  out.listeners = current_.listeners.groups;
  out.lines = parts_.lines;
  out.feeds = current_.feeds;
  for (const Child& child : current_.shards) {
    out.shard_children.push_back({child.pid, child.control_fd});
  }
  out.steward = {steward_.pid, steward_.control_fd};
  return out;
}

// Asks the program whether it runs, likes the configuration and understands the state. It is not
// waited for: shards and steward are looked after meanwhile.
Result<void> Gate::begin_trial() {
  Trial& trial = change_.trial;
  trial.state_fd = memfd_create("lychgate-state", 0);
  int ends[2];
  if (trial.state_fd < 0 || !write_state(trial.state_fd, state().text()) ||
      pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return fail(ExitCode::kOsError,
                fmt::format("no memory or pipe for the new program: {}", errno_text(errno)));
  }
  std::vector<std::string> words{change_.program, "check"};
  if (!parts_.config_path.empty()) words.insert(words.end(), {"--config", parts_.config_path});
  trial.pid = fork();
  if (trial.pid == 0) {
    setenv(kStateVariable, fmt::format("{}", trial.state_fd).c_str(), 1);
    become_trial(change_.program, std::move(words), ends[1], {trial.state_fd, counters_.fd()});
  }
  const int error = errno;
  close(ends[1]);
  trial.words_fd = ends[0];
  change_.stage = Change::Stage::kTrying;
  change_.until = now_tick() + kTrialMs;
  if (trial.pid > 0) return {};
  return fail(ExitCode::kOsError, fmt::format("cannot start a process: {}", errno_text(error)));
}

void Gate::hear_trial() {
  Trial& trial = change_.trial;
  char chunk[1024];
  const ssize_t got = read(trial.words_fd, chunk, sizeof(chunk));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close(std::exchange(trial.words_fd, -1));
  } else if (trial.words.size() < kTrialWordsMax) {
    trial.words.append(chunk, static_cast<size_t>(got));
  }
}

void Gate::await_trial(Tick now) {
  Trial& trial = change_.trial;
  const bool in_time = !tick_reached(now, change_.until);
  if (trial.pid > 0 && in_time) return;
  // What it said last may still be in the pipe.
  while (trial.words_fd >= 0 && trial.pid < 0) {
    const size_t before = trial.words.size();
    hear_trial();
    if (trial.words.size() == before) break;
  }
  if (trial.pid > 0) {
    kill(trial.pid, SIGKILL);
    waitpid(trial.pid, &trial.status, 0);
  }
  Result<void> can = judge_trial(in_time);
  if (can) can = take_off(trial.state_fd);
  end_change(tl::unexpected(can.error()));
}

Result<void> Gate::judge_trial(bool in_time) const {
  const Trial& trial = change_.trial;
  char token[sizeof(kTrialToken)] = {};
  const bool told = pread(trial.state_fd, token, sizeof(token), kStateMax) == sizeof(token) &&
                    std::string_view(token) == kTrialToken;
  const bool ended_well = WIFEXITED(trial.status) && WEXITSTATUS(trial.status) == 0;
  if (in_time && ended_well && told) return {};
  std::string why = trial.words;
  while (why.ends_with('\n')) why.pop_back();
  if (!in_time) {
    why = fmt::format("no answer within {} s", kTrialMs / 1000);
  } else if (ended_well) {
    why = "it is no lychgate that knows how";
  } else if (why.empty()) {
    why = WIFSIGNALED(trial.status)
              ? fmt::format("it is ended by signal {}", WTERMSIG(trial.status))
              : fmt::format("it ends with status {}", WEXITSTATUS(trial.status));
  }
  return fail(ExitCode::kUnavailable, fmt::format("{} cannot take over: {}", change_.program, why));
}

// Comes back only when it failed, and then nothing has changed.
Result<void> Gate::take_off(int state_fd) {
  const GateState now = state();  // what has died since the trial is told as it is
  if (!write_state(state_fd, now.text())) {
    return fail(ExitCode::kOsError, fmt::format("no memory for the state: {}", errno_text(errno)));
  }
  log(fmt::format("upgrade: {} takes over", change_.program));
  const std::vector<int> kept = now.descriptors();
  keep_over_exec(kept, true);
  setenv(kStateVariable, fmt::format("{}", state_fd).c_str(), 1);
  std::vector<std::string> words = parts_.arguments;
  execv(change_.program.c_str(), argv_of(words).data());
  const int error = errno;
  unsetenv(kStateVariable);
  keep_over_exec(kept, false);
  return fail(ExitCode::kOsError,
              fmt::format("{} cannot be executed: {}", change_.program, errno_text(error)));
}

}  // namespace lychgate::daemon
