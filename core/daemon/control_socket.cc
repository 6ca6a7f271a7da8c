// Binding, and asking one question.

#include "core/daemon/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/address.h"
#include "core/base/limits.h"
#include "core/config/values.h"

namespace lychgate::daemon {
namespace {

constexpr char kRuntimeFolder[] = "/run/lychgate";
constexpr size_t kAnswerMax = size_t{16} << 20;  // far above any answer of the gate
constexpr std::string_view kErrorText = "error ";
constexpr std::string_view kErrorJson = "{\"error\":{\"code\":";

void limit_waits(int fd, milliseconds patience) {
  const timeval wait{patience.count() / 1000, patience.count() % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

Result<int> connect_to(const std::string& path, milliseconds patience) {
  const auto address = SocketAddress::unix_path(path);
  if (!address) {
    return fail(ExitCode::kUsage,
                fmt::format("control socket path \"{}\" is empty or over 107 bytes", path));
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0) limit_waits(fd, patience);
  if (fd < 0 || connect(fd, &address->any, address->length) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(error == EACCES ? ExitCode::kNoPermission : ExitCode::kUnavailable,
                fmt::format("cannot reach the gate at {}: {}; {}", path, errno_text(error),
                            error == EACCES ? "ask as root or as the gate's user or group"
                                            : "is it running?"));
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
  if (is_steward_there(path)) {
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
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, &address->any, address->length) != 0 || chmod(path.c_str(), 0660) != 0 ||
      listen(fd, kControlBacklog) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(error == EACCES ? ExitCode::kNoPermission : ExitCode::kCantCreate,
                fmt::format("cannot make control.socket {}: {}; name a folder that exists and may "
                            "be written, or \"\" for none",
                            path, errno_text(error)));
  }
  return fd;
}

bool is_steward_there(const std::string& path) {
  const auto fd = connect_to(path, kAnswerPatience);
  if (fd) close(*fd);
  return fd.has_value();
}

Result<std::string> ask_steward(const std::string& path, std::string_view request,
                                milliseconds patience) {
  const auto fd = connect_to(path, patience);
  if (!fd) return tl::unexpected(fd.error());
  std::string out;
  if (send_all(*fd, fmt::format("{}\n", request))) {
    char chunk[16384];
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

std::string error_answer(const ControlError& error, bool json) {
  const int code = static_cast<int>(error.code);
  if (!json) return fmt::format("{}{}: {}\n", kErrorText, code, error.text);
  // A TOML basic string is a JSON string, too.
  return fmt::format("{}{},\"text\":{}}}}}\n", kErrorJson, code, config::toml_quoted(error.text));
}

ExitCode code_of_answer(std::string_view answer) {
  for (const std::string_view mark : {kErrorText, kErrorJson}) {
    if (!answer.starts_with(mark)) continue;
    int code = static_cast<int>(ExitCode::kSoftware);
    std::from_chars(answer.data() + mark.size(), answer.data() + answer.size(), code);
    return static_cast<ExitCode>(code);
  }
  return ExitCode::kOk;
}

}  // namespace lychgate::daemon
