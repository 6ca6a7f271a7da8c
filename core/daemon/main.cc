// lychgate: entry point of the daemon and its commands. Nothing but the call.

#include "core/daemon/commands.h"

int main(int argc, char** argv) {
  return lychgate::daemon::run_command_line(argc, argv);
}
