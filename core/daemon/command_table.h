// Every command of the command line, once: name, arguments, options and the sentence of the help.
// Parser, help and completion follow from it. Runs nothing.

#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace lychgate::daemon {

// What may stand behind an option or as an argument.
enum class WordKind : uint8_t {
  kFlag,      // nothing
  kFile,      // a path
  kText,      // anything else
  kPhase,     // a state of a client, as in `status`
  kUse,       // drain, up or down
  kShell,     // bash, zsh or fish
  kDuration,  // "6s", "1h", ...
};

struct OptionRow {
  std::string_view name;      // "--json"
  std::string_view argument;  // "PATH"; empty for a flag
  WordKind kind;
  std::string_view sentence;
};

struct ArgumentRow {
  std::string_view name;  // "ADDRESS"
  WordKind kind;
  bool required;
  std::string_view sentence;
};

enum class CommandId : uint8_t {
  kRun,
  kCheck,
  kShow,
  kStatus,
  kTop,
  kSessions,
  kWhy,
  kAllow,
  kDeny,
  kForget,
  kPools,
  kLists,
  kReload,
  kUpgrade,
  kStop,
  kCompletion,
};

struct CommandRow {
  CommandId id;
  std::string_view name;
  std::string_view sentence;
  std::span<const ArgumentRow> arguments;
  std::span<const OptionRow> options;
};

std::span<const CommandRow> command_rows();
// The words that a kind allows, if they can be listed.
std::span<const std::string_view> words_of_kind(WordKind kind);

}  // namespace lychgate::daemon
