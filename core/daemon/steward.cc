// Serves one control client after another, each for a second at the most.

#include "core/daemon/steward.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/daemon/listeners.h"
#include "core/daemon/lists_report.h"
#include "core/daemon/status.h"

namespace lychgate::daemon {
namespace {

constexpr char kRuntimeFolder[] = "/run/lychgate";
constexpr milliseconds kClientTime{1000};        // for a whole request
constexpr timeval kClientPatience{1, 0};         // for each wait of the answer
constexpr size_t kAnswerMax = size_t{16} << 20;  // far above 64 shards' worth of status

void limit_waits(int fd) {
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kClientPatience, sizeof(kClientPatience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &kClientPatience, sizeof(kClientPatience));
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string answer(std::string_view request, const StewardSeat& seat) {
  const StatusParts status{.shards = seat.counters,
                           .config = seat.config,
                           .deferred_acks = deferred_acks() - seat.deferred_before};
  if (request == "status") return status_text(status);
  if (request == "status json") return status_json(status);
  const ListsReportParts lists{
      .lists = seat.lists, .shared = seat.shared_lists, .counters = seat.counters};
  if (request == "lists") return lists_text(lists);
  if (request == "lists json") return lists_json(lists);
  return "error: unknown request; expected \"status\" or \"lists\", or one of them and \"json\"\n";
}

// Waits for input until the deadline; false then, and when the supervisor wants us to end.
bool input_before(Instant deadline, int fd, const StewardSeat& seat) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - monotonic_now());
  if (left <= milliseconds{0}) return false;
  pollfd waits[2] = {{fd, POLLIN, 0}, {seat.control_fd, POLLIN, 0}};
  return poll(waits, 2, static_cast<int>(left.count())) > 0 && waits[1].revents == 0;
}

void serve_client(int fd, const StewardSeat& seat) {
  limit_waits(fd);
  const Instant deadline = monotonic_now() + kClientTime;
  char request[kControlRequestMax];
  size_t size = 0;
  while (size < sizeof(request)) {
    if (!input_before(deadline, fd, seat)) return;
    const ssize_t got = recv(fd, request + size, sizeof(request) - size, 0);
    if (got <= 0) return;
    size += static_cast<size_t>(got);
    const std::string_view text(request, size);
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) continue;
    send_all(fd, answer(text.substr(0, end), seat));
    return;
  }
  send_all(fd, "error: request too long\n");
}

Result<int> connect_to(const std::string& path) {
  const auto address = SocketAddress::unix_path(path);
  if (!address) {
    return fail(ExitCode::kUsage,
                fmt::format("control socket path \"{}\" is empty or over 107 bytes", path));
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, &address->any, address->length) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(
        ExitCode::kUnavailable,
        fmt::format("cannot reach the gate at {}: {}; is it running?", path, errno_text(error)));
  }
  return fd;
}

}  // namespace

Result<int> open_control_socket(const std::string& path) {
  const auto address = SocketAddress::unix_path(path);
  if (!address) {
    return fail(
        ExitCode::kConfig,
        fmt::format("control.socket \"{}\" is longer than the 107 bytes of a unix path", path));
  }
  if (const auto live = connect_to(path)) {
    close(*live);
    return fail(ExitCode::kUnavailable,
                fmt::format("another gate answers at control.socket {}; stop it or give this one "
                            "another path",
                            path));
  }
  struct stat status {};
  if (lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) unlink(path.c_str());
  // The default's own folder is made where no package or unit has (RuntimeDirectory); a folder that
  // an operator names must be there.
  if (std::filesystem::path(path).parent_path() == kRuntimeFolder) mkdir(kRuntimeFolder, 0755);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, &address->any, address->length) != 0 || chmod(path.c_str(), 0660) != 0 ||
      listen(fd, static_cast<int>(kControlClientsMax)) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(error == EACCES ? ExitCode::kNoPermission : ExitCode::kCantCreate,
                fmt::format("cannot make control.socket {}: {}; name a folder that exists and may "
                            "be written, or \"\" for none",
                            path, errno_text(error)));
  }
  return fd;
}

void run_steward(const StewardSeat& seat) {
  prctl(PR_SET_NAME, "lychgate/steward");
  for (;;) {
    pollfd waits[2] = {{seat.listen_fd, POLLIN, 0}, {seat.control_fd, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) _exit(EXIT_FAILURE);
    if (waits[1].revents != 0) _exit(EXIT_SUCCESS);
    if ((waits[0].revents & POLLIN) == 0) continue;
    const int client = accept4(seat.listen_fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    serve_client(client, seat);
    close(client);
  }
}

Result<std::string> ask_steward(const std::string& path, std::string_view request) {
  const auto fd = connect_to(path);
  if (!fd) return tl::unexpected(fd.error());
  limit_waits(*fd);
  std::string out;
  if (send_all(*fd, fmt::format("{}\n", request))) {
    char chunk[4096];
    ssize_t got = 0;
    while (out.size() < kAnswerMax && (got = recv(*fd, chunk, sizeof(chunk), 0)) > 0) {
      out.append(chunk, static_cast<size_t>(got));
    }
  }
  close(*fd);
  if (out.empty()) {
    return fail(ExitCode::kUnavailable, fmt::format("the gate at {} gave no answer", path));
  }
  return out;
}

}  // namespace lychgate::daemon
