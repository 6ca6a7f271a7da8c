// To another program in the same process: its children and descriptors stay, only the memory goes.
// What the next program could object to is asked of it first, while this one still runs.

#include <fcntl.h>
#include <poll.h>
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
constexpr int kTrialMs = 20000;
constexpr size_t kTrialWordsMax = 4096;

// A file that only we can name, with the text in it. -1: cannot be had.
int state_file(const std::string& text) {
  const int fd = memfd_create("lychgate-state", 0);
  if (fd < 0) return -1;
  const bool whole = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (whole && lseek(fd, 0, SEEK_SET) == 0) return fd;
  close(fd);
  return -1;
}

void keep_over_exec(const std::vector<int>& fds, bool keep) {
  for (const int fd : fds) fcntl(fd, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

std::vector<char*> argv_of(std::vector<std::string>& words) {
  std::vector<char*> out;
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

// Until its end of file, at most kTrialMs. False: it took too long.
bool read_words(int fd, std::string& words) {
  const Instant until = monotonic_now() + milliseconds{kTrialMs};
  for (;;) {
    pollfd wait{fd, POLLIN, 0};
    const auto left = std::chrono::duration_cast<milliseconds>(until - monotonic_now());
    if (left.count() <= 0 || poll(&wait, 1, static_cast<int>(left.count())) == 0) return false;
    char chunk[1024];
    const ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    if (words.size() < kTrialWordsMax) words.append(chunk, static_cast<size_t>(got));
  }
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

// Whether it runs, likes the configuration and understands the state.
Result<void> Gate::try_program(const std::string& program, int state_fd) const {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return fail(ExitCode::kOsError, fmt::format("no pipe: {}", errno_text(errno)));
  }
  std::vector<std::string> words{program, "check"};
  if (!parts_.config_path.empty()) words.insert(words.end(), {"--config", parts_.config_path});
  const pid_t pid = fork();
  if (pid == 0) {
    setenv(kStateVariable, fmt::format("{}", state_fd).c_str(), 1);
    become_trial(program, std::move(words), ends[1], {state_fd, counters_.fd()});
  }
  close(ends[1]);
  std::string said;
  const bool in_time = pid > 0 && read_words(ends[0], said);
  close(ends[0]);
  if (pid < 0) {
    return fail(ExitCode::kOsError, fmt::format("cannot start a process: {}", errno_text(errno)));
  }
  if (!in_time) kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (said.ends_with('\n')) said.pop_back();
  if (!in_time) said = fmt::format("no answer within {} s", kTrialMs / 1000);
  if (said.empty()) {
    said = WIFSIGNALED(status) ? fmt::format("it is ended by signal {}", WTERMSIG(status))
                               : fmt::format("it ends with status {}", WEXITSTATUS(status));
  }
  return fail(ExitCode::kUnavailable, fmt::format("{} cannot take over: {}", program, said));
}

// Comes back only when it failed, and then nothing has changed.
Result<void> Gate::upgrade() {
  const std::string& program = change_.program;
  const GateState now = state();
  const int state_fd = state_file(now.text());
  if (state_fd < 0) {
    return fail(ExitCode::kOsError, fmt::format("no memory for the state: {}", errno_text(errno)));
  }
  auto tried = try_program(program, state_fd);
  if (!tried) {
    close(state_fd);
    return tried;
  }
  log(fmt::format("upgrade: {} takes over", program));
  const std::vector<int> kept = now.descriptors();
  keep_over_exec(kept, true);
  lseek(state_fd, 0, SEEK_SET);
  setenv(kStateVariable, fmt::format("{}", state_fd).c_str(), 1);
  std::vector<std::string> words = parts_.arguments;
  execv(program.c_str(), argv_of(words).data());
  const int error = errno;
  unsetenv(kStateVariable);
  keep_over_exec(kept, false);
  close(state_fd);
  return fail(ExitCode::kOsError,
              fmt::format("{} cannot be executed: {}", program, errno_text(error)));
}

}  // namespace lychgate::daemon
