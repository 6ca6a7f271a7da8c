// The commands that ask the running gate: each makes a request of its words, prints the answer and
// returns the exit code.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/daemon/command_table.h"
#include "core/daemon/control_socket.h"

namespace lychgate::daemon {

// What stood on the command line; a flag's text is its own name.
struct CommandWords {
  std::map<std::string, std::string, std::less<>> given;
  std::vector<std::string> line = {};  // all of it, the program first

  bool has(std::string_view name) const { return given.contains(name); }
  // Empty when it was not given.
  std::string get(std::string_view name) const {
    const auto word = given.find(name);
    return word == given.end() ? "" : word->second;
  }
};

// The line for the control socket. REQUIRES: a command that asks the gate one thing.
std::string request_of(CommandId command, const CommandWords& words);

// Asks, prints, and says by the exit code what the gate said.
int ask_gate(const std::string& socket, std::string_view request,
             milliseconds patience = kAnswerPatience);
// Asks the gate to stop and returns when nobody answers on the socket any more.
int stop_gate(const std::string& socket);

}  // namespace lychgate::daemon
