// The handler. It may only touch the thread's own pointer: the fault is the thread's own doing, at
// an instruction of `read`, so leaving by a jump is as safe as a return there.

#include "core/store/cut_short.h"

#include <csignal>
#include <utility>

namespace lychgate::store {

constinit thread_local sigjmp_buf* cut_short_exit = nullptr;

namespace {

void leave(int signal, siginfo_t* info, void* /*context*/) {
  if (cut_short_exit != nullptr && info->si_code == BUS_ADRERR) {
    siglongjmp(*std::exchange(cut_short_exit, nullptr), 1);
  }
  // Sent by somebody, or not our reading: it comes again and ends the process.
  std::signal(signal, SIG_DFL);
  if (info->si_code <= 0) raise(signal);
}

}  // namespace

void survive_cut_short() {
  struct sigaction action {};
  action.sa_sigaction = leave;
  // NODEFER: a handler that is left by a jump never gives the signal free again.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace lychgate::store
