// What this kernel's io_uring can do, probed once by trying it; everyone receives the struct.

#pragma once

#include <string>

#include "core/base/result.h"

namespace lychgate::ring {

struct Features {
  int kernel_major = 0;
  int kernel_minor = 0;
  bool defer_taskrun = false;     // 6.1
  bool direct_accept = false;     // 5.19
  bool accept_dontwait = false;   // 6.10
  bool fixed_fd_install = false;  // 6.8
  bool socket_commands = false;   // 6.7
  bool buffer_rings = false;      // 5.19

  bool complete() const;
  // One line for the log at start.
  std::string summary() const;
};

// Sets up a small ring and looks. An error is one sentence that names the cause (forbidden by
// sysctl kernel.io_uring_disabled, by a seccomp profile, or too old) and has kUnavailable.
Result<Features> probe_features();

// The sentence for a failed io_uring_setup; apart so that a test can call it with any errno.
// disabled is the value of sysctl kernel.io_uring_disabled, -1 when it cannot be read.
std::string setup_refusal(int error, int disabled);
// That value, read now.
int read_io_uring_disabled();

}  // namespace lychgate::ring
