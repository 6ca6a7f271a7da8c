// Survives what mapped files can do to who reads them: a file cut short by somebody else has no
// byte behind its new end, and reading there is SIGBUS, which ends the process. Asking for the
// size first would not do, for it may be cut between the question and the answer.
//
// The one place with a signal handler in its hands. Any other SIGBUS ends the process as ever.

#pragma once

#include <csetjmp>

namespace lychgate::store {

// Where to go on after SIGBUS; nullptr outside of reads_whole. Each thread its own.
extern constinit thread_local sigjmp_buf* cut_short_exit;

// Once in a process is enough, more do no harm.
void survive_cut_short();

// Runs `read`; false if it met the end of a cut file, and then it was left where it stood: nothing
// in it may need a destructor. The mask of signals is not saved, which would be a system call.
// REQUIRES: survive_cut_short; not inside of another.
template <typename Read>
[[nodiscard]] bool reads_whole(Read&& read) {
  sigjmp_buf exit;
  if (sigsetjmp(exit, 0) != 0) {
    cut_short_exit = nullptr;
    return false;
  }
  cut_short_exit = &exit;
  read();
  cut_short_exit = nullptr;
  return true;
}

}  // namespace lychgate::store
