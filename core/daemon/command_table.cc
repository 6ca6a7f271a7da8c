// The rows.

#include "core/daemon/command_table.h"

#include <array>

#include "core/base/slots.h"

namespace lychgate::daemon {
namespace {

constexpr OptionRow kConfig{"--config", "FILE", WordKind::kFile,
                            "configuration file (default /etc/lychgate/lychgate.toml, if it is "
                            "there)"};
constexpr OptionRow kSocket{"--socket", "PATH", WordKind::kFile,
                            "control socket (default: that of the configuration)"};
constexpr OptionRow kJson{"--json", "", WordKind::kFlag, "answer in JSON"};
constexpr OptionRow kFor{"--for", "DURATION", WordKind::kDuration,
                         "how long, for example 1h or 30d (default: until it is taken back)"};

constexpr OptionRow kRunOptions[] = {kConfig};
constexpr OptionRow kCheckOptions[] = {
    kConfig,
    {"--online", "", WordKind::kFlag, "ask every DNS list whether it can be trusted, too"}};
constexpr OptionRow kAskOptions[] = {kConfig, kSocket, kJson};
constexpr OptionRow kStopOptions[] = {kConfig, kSocket};
constexpr OptionRow kUpgradeOptions[] = {
    kConfig,
    kSocket,
    kJson,
    {"--program", "PATH", WordKind::kFile, "the new program (default: the path the gate has)"}};
constexpr OptionRow kTopOptions[] = {
    kConfig,
    kSocket,
    {"--interval", "DURATION", WordKind::kDuration, "time between two looks (default 1s)"}};
constexpr OptionRow kSessionsOptions[] = {
    kConfig,
    kSocket,
    kJson,
    {"--state", "STATE", WordKind::kPhase, "only clients in this state"},
    {"--address", "NETWORK", WordKind::kText, "only clients of an address or a network"},
    {"--age", "DURATION", WordKind::kDuration, "only clients that came at least so long ago"},
    {"--id", "ID", WordKind::kText, "only the one session of this id"},
    {"--limit", "N", WordKind::kText, "print at most so many (default 1000, at most 20000)"},
    {"--kill", "", WordKind::kFlag, "end all that match, also those not printed"}};
constexpr OptionRow kAllowOptions[] = {kConfig, kSocket, kJson, kFor};

constexpr ArgumentRow kAddress[] = {{"ADDRESS", WordKind::kText, true, "IPv4 or IPv6 address"}};
constexpr ArgumentRow kPoolArguments[] = {
    {"USE", WordKind::kUse, false, "drain: nobody new; down: and relays end; up: as usual"},
    {"POOL", WordKind::kText, false, "name of the pool"},
    {"BACKEND", WordKind::kText, false,
     "as in the configuration, or its number from 0 (default: all of the pool)"}};
constexpr ArgumentRow kShells[] = {{"SHELL", WordKind::kShell, true, "bash, zsh or fish"}};

constexpr CommandRow kCommands[] = {
    {CommandId::kRun, "run", "run the gate in the foreground", {}, kRunOptions},
    {CommandId::kCheck,
     "check",
     "check the configuration and the files it names, then exit",
     {},
     kCheckOptions},
    {CommandId::kShow,
     "show",
     "print the effective configuration with the origin of each key",
     {},
     kRunOptions},
    {CommandId::kStatus,
     "status",
     "ask the running gate what it holds and has done",
     {},
     kAskOptions},
    {CommandId::kTop,
     "top",
     "watch the running gate: rates, clients by state, pools, lists",
     {},
     kTopOptions},
    {CommandId::kSessions,
     "sessions",
     "list the clients of the running gate, or end some",
     {},
     kSessionsOptions},
    {CommandId::kWhy, "why",
     "ask the DNS lists and the memory of the gate about an address, and say what follows",
     kAddress, kAskOptions},
    {CommandId::kAllow, "allow", "let a client on without tests", kAddress, kAllowOptions},
    {CommandId::kDeny, "deny", "refuse a client", kAddress, kAllowOptions},
    {CommandId::kForget, "forget", "forget a client, with what allow and deny have set", kAddress,
     kAskOptions},
    {CommandId::kPools, "pools", "list pools and backends, or take backends out and in",
     kPoolArguments, kAskOptions},
    {CommandId::kLists, "lists", "ask the running gate how its DNS lists are", {}, kAskOptions},
    {CommandId::kReload,
     "reload",
     "take the changed configuration, losing nobody, and say how it went",
     {},
     kAskOptions},
    {CommandId::kUpgrade,
     "upgrade",
     "go on with the new program, losing nobody, and say how it went",
     {},
     kUpgradeOptions},
    {CommandId::kStop,
     "stop",
     "stop the running gate as SIGTERM does, and wait for its end",
     {},
     kStopOptions},
    {CommandId::kCompletion,
     "completion",
     "print the completion of commands for a shell",
     kShells,
     {}},
};

constexpr std::string_view kUses[] = {"drain", "up", "down"};
constexpr std::string_view kShellNames[] = {"bash", "zsh", "fish"};

// All but a free slot and what is no client.
std::span<const std::string_view> phase_names() {
  static const auto kNames = [] {
    std::array<std::string_view, kPhaseCount - 2> names;
    size_t count = 0;
    for (size_t i = 1; i < kPhaseCount; ++i) {
      if (static_cast<Phase>(i) != Phase::kBackend) names[count++] = kPhaseNames[i];
    }
    return names;
  }();
  return kNames;
}

}  // namespace

std::span<const CommandRow> command_rows() {
  return kCommands;
}

std::span<const std::string_view> words_of_kind(WordKind kind) {
  switch (kind) {
    case WordKind::kPhase:
      return phase_names();
    case WordKind::kUse:
      return kUses;
    case WordKind::kShell:
      return kShellNames;
    case WordKind::kFlag:
    case WordKind::kFile:
    case WordKind::kText:
    case WordKind::kDuration:
      return {};
  }
  return {};
}

}  // namespace lychgate::daemon
