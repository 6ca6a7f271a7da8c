// Completion of the command line for three shells, written from the table of commands. Pure.

#pragma once

#include <string>

namespace lychgate::daemon {

std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace lychgate::daemon
