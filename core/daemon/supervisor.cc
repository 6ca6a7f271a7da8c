// Start of the gate: from nothing, or from what the program before has left open.

#include "core/daemon/supervisor.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "core/daemon/control_socket.h"
#include "core/daemon/gate.h"
#include "core/daemon/privileges.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

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

// The program's own path, also when its file has been replaced since.
std::string program_path() {
  std::error_code error;
  std::string path = std::filesystem::read_symlink("/proc/self/exe", error).string();
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

int state_fd() {
  int fd = -1;
  const char* number = std::getenv(kStateVariable);
  if (number != nullptr) std::from_chars(number, number + std::strlen(number), fd);
  return fd;
}

Result<GateState> state_left() {
  std::string text(kStateMax, '\0');
  const ssize_t got = pread(state_fd(), text.data(), text.size(), 0);
  if (got < 0) {
    return fail(ExitCode::kSoftware,
                fmt::format("no state at descriptor {}: {}", state_fd(), errno_text(errno)));
  }
  text.resize(static_cast<size_t>(got));
  return GateState::parse(text);
}

GateParts parts_of(const CommandLine& command) {
  GateParts parts;
  parts.config_path = command.config_path;
  parts.arguments = command.arguments;
  parts.program = program_path();
  parts.start_uid = geteuid();
  return parts;
}

// As they were in the program before.
GateParts parts_of(const CommandLine& command, const GateState& state) {
  GateParts parts = parts_of(command);
  parts.shards = state.shards;
  parts.user = state.user;
  parts.start_uid = state.start_uid;
  parts.control_path = state.control_path;
  parts.steward_fd = state.steward_fd;
  parts.notify_fd = state.notify_fd;
  parts.deferred_before = state.deferred_before;
  parts.lines = state.lines;
  return parts;
}

// A reload opens the log again, as `user`: a file that root has made becomes that user's.
void give_log_away(const LogSink& sink, const std::string& user) {
  const passwd* entry = user.empty() ? nullptr : getpwnam(user.c_str());
  const bool ours = sink.target == config::LogTarget::kFile && geteuid() == 0;
  if (!ours || entry == nullptr) return;
  if (fchown(sink.fd, entry->pw_uid, entry->pw_gid) == 0) return;
  log_now(sink, fmt::format("warning: the log cannot be given to user \"{}\": {}; a reload will "
                            "fail to open it",
                            user, errno_text(errno)));
}

// What needs root, and the end of it.
Result<void> open_doors(Crew& crew, GateParts& parts) {
  config::Config& config = crew.plan->config;
  const std::vector<int> inherited = inherited_listeners();
  auto listeners = open_listeners(config, inherited, {});
  if (!listeners) return tl::unexpected(listeners.error());
  crew.listeners = std::move(*listeners);
  tune_listeners(crew.listeners, config);
  open_feeds(crew, {});
  parts.notify_fd = open_notify_socket();
  if (!config.control.socket.empty()) {
    const auto opened = open_control_socket(config.control.socket);
    if (!opened) return tl::unexpected(opened.error());
    parts.steward_fd = *opened;
  }
  give_log_away(crew.sink, config.user);
  Result<void> became = become(config.user);
  if (became && !config.secrets.empty()) refuse_core_dumps();
  if (became) became = check_backend_rights(config);
  if (!became && parts.steward_fd >= 0) unlink(config.control.socket.c_str());
  return became;
}

}  // namespace

Result<void> run_gate(const config::Config& config, const CommandLine& command) {
  auto plan = make_plan(config, command.config_path);
  if (!plan) return tl::unexpected(plan.error());
  Crew crew;
  crew.plan = std::make_unique<Plan>(std::move(*plan));
  config::Config& effective = crew.plan->config;
  GateParts parts = parts_of(command);
  parts.shards = effective.shards;
  parts.user = effective.user;
  parts.control_path = effective.control.socket;
  parts.deferred_before = deferred_acks();
  auto sink = open_log(effective.log);
  if (!sink) return tl::unexpected(sink.error());
  crew.sink = std::move(*sink);
  auto counters = SharedCounters::create(parts.shards * kGenerationsMax);
  if (!counters) return tl::unexpected(counters.error());
  auto cells = CellBook().assign({.config = effective, .lists = crew.plan->lists.lists}, {});
  if (!cells) return tl::unexpected(cells.error());
  effective.cells = cells->cells;
  if (auto opened = open_doors(crew, parts); !opened) return opened;
  // By the user that will write it; what is wrong is said, and tried again, by the steward.
  prepare_store(crew);
  auto lines = make_steward_lines(parts.shards * kGenerationsMax);
  if (!lines) return tl::unexpected(lines.error());
  parts.lines = std::move(*lines);
  parts.signal_fd = block_signals();
  return Gate(std::move(parts), std::move(*counters), std::move(cells->book), std::move(crew))
      .run();
}

bool takes_over() {
  return std::getenv(kStateVariable) != nullptr;
}

Result<void> check_take_over(const CommandLine& command) {
  const auto state = state_left();
  if (!state) return tl::unexpected(state.error());
  const auto counters = SharedCounters::adopt(state->counters_fd, state->shards * kGenerationsMax);
  if (!counters) return tl::unexpected(counters.error());
  if (const auto book = CellBook::read(state->cells); !book) return tl::unexpected(book.error());
  const auto plan = plan_next(parts_of(command, *state));
  if (!plan) return tl::unexpected(plan.error());
  if (const auto sink = open_log((*plan)->config.log); !sink) return tl::unexpected(sink.error());
  const auto size = static_cast<ssize_t>(sizeof(kTrialToken));
  if (pwrite(state_fd(), kTrialToken, sizeof(kTrialToken), kStateMax) == size) return {};
  return fail(ExitCode::kOsError, fmt::format("cannot answer the gate: {}", errno_text(errno)));
}

Result<void> run_on(const CommandLine& command) {
  const auto state = state_left();
  if (!state) return tl::unexpected(state.error());
  close(state_fd());
  unsetenv(kStateVariable);
  for (const int fd : state->descriptors()) fcntl(fd, F_SETFD, FD_CLOEXEC);
  GateParts parts = parts_of(command, *state);
  parts.signal_fd = block_signals();
  auto counters = SharedCounters::adopt(state->counters_fd, parts.shards * kGenerationsMax);
  if (!counters) return tl::unexpected(counters.error());
  auto book = CellBook::read(state->cells);
  if (!book) return tl::unexpected(book.error());
  Crew crew;
  crew.number = state->generation;
  crew.set = state->set;
  crew.listeners.groups = state->listeners;
  crew.feeds = state->feeds;
  crew.sink = {.target = static_cast<config::LogTarget>(state->log_target),
               .fd = state->log_fd,
               .ident = state->log_ident,
               .hostname = host_name()};
  return Gate(std::move(parts), std::move(*counters), std::move(*book), std::move(crew))
      .run_on(*state);
}

}  // namespace lychgate::daemon
