// The two ends of the control socket: made by the supervisor, called by the commands.

#pragma once

#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"

namespace lychgate::daemon {

// Binds the control socket (mode 0660), non-blocking. A stale path is replaced, a live one is an
// error.
Result<int> open_control_socket(const std::string& path);

// Above what the steward itself allows an answer.
inline constexpr milliseconds kAnswerPatience{25000};
// The same of a reload, which waits for the generation before: the longest `drain` is an hour.
inline constexpr milliseconds kReloadPatience{2 * 3600000};
// Sends a request and returns the whole answer, errors of the gate included. patience: for each
// wait.
Result<std::string> ask_steward(const std::string& path, std::string_view request,
                                milliseconds patience = kAnswerPatience);
// Whether somebody answers there.
bool is_steward_there(const std::string& path);

// An answer that says why there is none: "error CODE: sentence", or in JSON {"error":...}.
struct ControlError {
  ExitCode code = ExitCode::kUsage;
  std::string text;
};
std::string error_answer(const ControlError& error, bool json);
// kOk when the answer is no error.
ExitCode code_of_answer(std::string_view answer);

}  // namespace lychgate::daemon
