// Probes io_uring with a throw-away ring and translates a refusal into an operator's words.

#include "ring/features.h"

#include <liburing.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "ring/abi.h"

namespace lychgate::ring {
namespace {

bool has_op(const io_uring_probe& probe, int op) {
  return op <= probe.last_op && (probe.ops[op].flags & IO_URING_OP_SUPPORTED) != 0;
}

Features look(io_uring& ring) {
  Features out;
  utsname name{};
  if (uname(&name) == 0) {
    std::sscanf(name.release, "%d.%d", &out.kernel_major, &out.kernel_minor);
  }
  out.defer_taskrun = true;  // the ring was made with it
  if (const auto* probe = io_uring_get_probe_ring(&ring); probe != nullptr) {
    out.direct_accept = has_op(*probe, IORING_OP_SOCKET);
    out.buffer_rings = has_op(*probe, IORING_OP_SEND_ZC);  // both in the 5.19 to 6.0 series
    out.fixed_fd_install = has_op(*probe, abi::kOpFixedFdInstall);
    io_uring_free_probe(const_cast<io_uring_probe*>(probe));
  }
  // Flags of an opcode cannot be probed; the version says whether accept knows DONTWAIT.
  const bool new_enough =
      out.kernel_major > abi::kOldestMajor ||
      (out.kernel_major == abi::kOldestMajor && out.kernel_minor >= abi::kOldestMinor);
  out.accept_dontwait = new_enough;
  out.socket_commands = new_enough;
  return out;
}

}  // namespace

int read_io_uring_disabled() {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      std::fopen("/proc/sys/kernel/io_uring_disabled", "re"), std::fclose);
  int value = -1;
  if (file == nullptr || std::fscanf(file.get(), "%d", &value) != 1) return -1;
  return value;
}

bool Features::complete() const {
  return defer_taskrun && direct_accept && accept_dontwait && fixed_fd_install && socket_commands &&
         buffer_rings;
}

std::string Features::summary() const {
  const auto mark = [](bool has) { return has ? "yes" : "no"; };
  return fmt::format(
      "io_uring on Linux {}.{}: defer_taskrun={} direct_accept={} accept_dontwait={} "
      "fixed_fd_install={} socket_commands={} buffer_rings={}",
      kernel_major, kernel_minor, mark(defer_taskrun), mark(direct_accept), mark(accept_dontwait),
      mark(fixed_fd_install), mark(socket_commands), mark(buffer_rings));
}

std::string setup_refusal(int error, int disabled) {
  if (disabled == 2 || (disabled == 1 && error == EPERM)) {
    return fmt::format(
        "io_uring is forbidden by sysctl kernel.io_uring_disabled = {}; set it to 0, or to 1 with "
        "the daemon's group in kernel.io_uring_group",
        disabled);
  }
  if (error == EPERM || error == EACCES) {
    return "io_uring is forbidden by a seccomp profile (containers refuse it by default); allow "
           "io_uring_setup, io_uring_enter and io_uring_register in the profile";
  }
  if (error == ENOSYS) {
    return "io_uring does not exist here: the kernel was built without it, or a seccomp profile "
           "of a container hides it; Linux 6.10 or later is needed";
  }
  if (error == EINVAL) {
    return "this kernel is too old: its io_uring lacks DEFER_TASKRUN; Linux 6.10 or later is "
           "needed";
  }
  return fmt::format("io_uring_setup failed: {}", errno_text(error));
}

Result<Features> probe_features() {
  io_uring ring;
  io_uring_params params{};
  params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int outcome = io_uring_queue_init_params(8, &ring, &params);
  if (outcome < 0) {
    return fail(ExitCode::kUnavailable, setup_refusal(-outcome, read_io_uring_disabled()));
  }
  const Features features = look(ring);
  io_uring_queue_exit(&ring);
  if (!features.complete()) {
    return fail(ExitCode::kUnavailable,
                fmt::format("this kernel is too old: Linux {}.{} or later is needed ({})",
                            abi::kOldestMajor, abi::kOldestMinor, features.summary()));
  }
  return features;
}

}  // namespace lychgate::ring
