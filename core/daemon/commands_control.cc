// Words of the command line to words of the control socket.

#include "core/daemon/commands_control.h"

#include <poll.h>

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

constexpr int kLookAgainMs = 50;

int report(const Error& error) {
  fmt::print(stderr, "lychgate: {}\n", error.text);
  return static_cast<int>(error.code);
}

std::string named(const CommandWords& words, std::string_view option, std::string_view name) {
  return words.has(option) ? fmt::format(" {}={}", name, words.get(option)) : "";
}

// The gate has another working directory.
std::string program_of(const CommandWords& words) {
  if (!words.has("--program")) return "";
  const auto path = std::filesystem::absolute(words.get("--program")).lexically_normal();
  return " " + path.string();
}

}  // namespace

std::string request_of(CommandId command, const CommandWords& words) {
  const std::string json = words.has("--json") ? " json" : "";
  switch (command) {
    case CommandId::kStatus:
      return "status" + json;
    case CommandId::kLists:
      return "lists" + json;
    case CommandId::kSessions:
      return "sessions" + json + named(words, "--state", "state") +
             named(words, "--address", "address") + named(words, "--age", "age") +
             named(words, "--id", "id") + named(words, "--limit", "limit") +
             (words.has("--kill") ? " kill" : "");
    case CommandId::kWhy:
      return fmt::format("remembered{} {}", json, words.get("ADDRESS"));
    case CommandId::kAllow:
      return fmt::format("allow{} {}{}", json, words.get("ADDRESS"), named(words, "--for", "for"));
    case CommandId::kDeny:
      return fmt::format("deny{} {}{}", json, words.get("ADDRESS"), named(words, "--for", "for"));
    case CommandId::kForget:
      return fmt::format("forget{} {}", json, words.get("ADDRESS"));
    case CommandId::kPools:
      return fmt::format("pools{} {} {} {}", json, words.get("USE"), words.get("POOL"),
                         words.get("BACKEND"));
    case CommandId::kReload:
      return "reload" + json;
    case CommandId::kUpgrade:
      return fmt::format("upgrade{}{}", json, program_of(words));
    case CommandId::kStop:
      return "stop";
    case CommandId::kRun:
    case CommandId::kCheck:
    case CommandId::kShow:
    case CommandId::kTop:
    case CommandId::kCompletion:
      break;
  }
  LYCH_CHECK(false);
  return {};
}

int ask_gate(const std::string& socket, std::string_view request, milliseconds patience) {
  const auto answer = ask_steward(socket, request, patience);
  if (!answer) return report(answer.error());
  const ExitCode code = code_of_answer(*answer);
  const bool is_text_error = code != ExitCode::kOk && !answer->starts_with('{');
  if (!is_text_error) {
    fmt::print("{}", *answer);
    return static_cast<int>(code);
  }
  const size_t sentence = answer->find(": ");
  fmt::print(stderr, "lychgate: {}",
             sentence == std::string::npos ? *answer : answer->substr(sentence + 2));
  return static_cast<int>(code);
}

int stop_gate(const std::string& socket) {
  if (const int code = ask_gate(socket, "stop"); code != 0) return code;
  // The supervisor takes the socket away as the last thing it does.
  while (is_steward_there(socket)) poll(nullptr, 0, kLookAgainMs);
  return 0;
}

}  // namespace lychgate::daemon
