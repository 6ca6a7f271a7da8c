// The command line: the commands of core/daemon/command_table.h. Prints to stdout and stderr and
// returns the exit code.

#pragma once

namespace lychgate::daemon {

// sysexits.h codes; 0 on success.
int run_command_line(int argc, char** argv);

}  // namespace lychgate::daemon
