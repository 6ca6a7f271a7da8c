// The table of commands joined with what each does. Who needs the configuration loads it and
// reports every problem as file:line:column.

#include "core/daemon/commands.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/config/reader.h"
#include "core/config/show.h"
#include "core/config/values.h"
#include "core/daemon/command_table.h"
#include "core/daemon/commands_control.h"
#include "core/daemon/commands_lists.h"
#include "core/daemon/completion.h"
#include "core/daemon/control_socket.h"
#include "core/daemon/plan.h"
#include "core/daemon/supervisor.h"
#include "core/daemon/top_screen.h"

namespace lychgate::daemon {
namespace {

constexpr char kDefaultConfig[] = "/etc/lychgate/lychgate.toml";

int report(const Error& error) {
  // One problem a line, each a message of its own.
  std::string_view rest = error.text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    fmt::print(stderr, "lychgate: {}\n", line);
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return static_cast<int>(error.code);
}

// Empty: built-in defaults only.
std::string config_path(const CommandWords& words) {
  if (words.has("--config")) return words.get("--config");
  return access(kDefaultConfig, F_OK) == 0 ? kDefaultConfig : "";
}

// The configuration, or the exit code after all problems were printed.
tl::expected<config::Loaded, int> load(const CommandWords& words) {
  auto loaded = config::load(config_path(words), config::Defaults::of_this_process());
  if (loaded) {
    for (const config::Problem& warning : loaded->warnings) {
      fmt::print(stderr, "lychgate: warning: {}\n", warning.line());
    }
    return std::move(*loaded);
  }
  for (const config::Problem& problem : loaded.error().problems) {
    fmt::print(stderr, "lychgate: {}\n", problem.line());
  }
  return tl::unexpected(static_cast<int>(loaded.error().code));
}

int run(const CommandWords& words) {
  const CommandLine command{.arguments = words.line, .config_path = config_path(words)};
  if (takes_over()) {
    const auto outcome = run_on(command);
    return outcome ? 0 : report(outcome.error());
  }
  const auto loaded = load(words);
  if (!loaded) return loaded.error();
  const auto outcome = run_gate(*loaded->config, command);
  return outcome ? 0 : report(outcome.error());
}

Result<ListsPlan> load_lists(const CommandWords& words, const config::Config& config) {
  auto lists = daemon::load_lists(config, config_path(words));
  if (lists) {
    for (const std::string& warning : lists->warnings) {
      fmt::print(stderr, "lychgate: warning: {}\n", warning);
    }
  }
  return lists;
}

int check(const CommandWords& words) {
  const auto loaded = load(words);
  if (!loaded) return loaded.error();
  const auto access = load_access_list(loaded->config->access);
  if (!access) return report(access.error());
  if (const auto backends = check_backends(*loaded->config); !backends) {
    return report(backends.error());
  }
  const auto lists = load_lists(words, *loaded->config);
  if (!lists) return report(lists.error());
  fmt::print(
      "configuration is good: {} listeners, {} pools, {} routes, {} access rules, {} DNS lists\n",
      loaded->config->listens.size(), loaded->config->pools.size(), loaded->config->routes.size(),
      *access ? (*access)->rules() : 0, lists->lists.size());
  if (takes_over()) {
    const CommandLine command{.arguments = words.line, .config_path = config_path(words)};
    if (const auto can = check_take_over(command); !can) return report(can.error());
  }
  if (!words.has("--online")) return 0;
  const auto code = check_online(*loaded->config, *lists);
  return code ? *code : report(code.error());
}

// The control socket's path; empty: the gate has none.
tl::expected<std::string, int> socket_path(const CommandWords& words) {
  if (words.has("--socket")) return words.get("--socket");
  const auto loaded = load(words);
  if (!loaded) return tl::unexpected(loaded.error());
  return loaded->config->control.socket;
}

// What the running gate remembers of the address; without one, a row that says so.
std::string ask_memory(const std::string& socket, const CommandWords& words) {
  const auto answer = ask_steward(socket, request_of(CommandId::kWhy, words));
  const bool good = answer && code_of_answer(*answer) == ExitCode::kOk;
  if (words.has("--json")) return good ? answer->substr(0, answer->find('\n')) : "";
  if (good) return *answer;
  return fmt::format("remembered   not known: {}\n",
                     answer ? "the gate refuses" : answer.error().text);
}

int why(const CommandWords& words) {
  const auto loaded = load(words);
  if (!loaded) return loaded.error();
  const auto lists = load_lists(words, *loaded->config);
  if (!lists) return report(lists.error());
  std::string socket = loaded->config->control.socket;
  if (words.has("--socket")) socket = words.get("--socket");
  WhyRequest request{
      .address = words.get("ADDRESS"), .json = words.has("--json"), .remembered = {}};
  if (!socket.empty() && IpAddress::parse(request.address)) {
    request.remembered = ask_memory(socket, words);
  }
  const auto code = explain(*loaded->config, *lists, request);
  return code ? *code : report(code.error());
}

int show(const CommandWords& words) {
  const auto loaded = load(words);
  if (!loaded) return loaded.error();
  fmt::print("{}", config::render(*loaded->config, loaded->origins));
  return 0;
}

int top(const std::string& socket, const CommandWords& words) {
  TopOptions options{.socket = socket};
  if (words.has("--interval")) {
    const auto interval = config::parse_duration(words.get("--interval"));
    constexpr milliseconds kShortest{100};
    constexpr milliseconds kLongest{60000};
    if (!interval || *interval < kShortest || *interval > kLongest) {
      return report({ExitCode::kUsage, "--interval: expected 100ms to 1m"});
    }
    options.interval = *interval;
  }
  return run_top(options);
}

int completion(const CommandWords& words) {
  const std::string shell = words.get("SHELL");
  if (shell == "bash") fmt::print("{}", bash_completion());
  if (shell == "zsh") fmt::print("{}", zsh_completion());
  if (shell == "fish") fmt::print("{}", fish_completion());
  if (shell == "bash" || shell == "zsh" || shell == "fish") return 0;
  return report({ExitCode::kUsage, "expected bash, zsh or fish"});
}

// Commands for which the gate must be running.
int ask(CommandId command, const CommandWords& words) {
  const auto socket = socket_path(words);
  if (!socket) return socket.error();
  if (command == CommandId::kTop) return top(*socket, words);
  if (command == CommandId::kStop) return stop_gate(*socket);
  const bool slow = command == CommandId::kReload || command == CommandId::kUpgrade;
  return ask_gate(*socket, request_of(command, words), slow ? kReloadPatience : kAnswerPatience);
}

int run_command(CommandId command, const CommandWords& words) {
  switch (command) {
    case CommandId::kRun:
      return run(words);
    case CommandId::kCheck:
      return check(words);
    case CommandId::kShow:
      return show(words);
    case CommandId::kWhy:
      return why(words);
    case CommandId::kCompletion:
      return completion(words);
    case CommandId::kStatus:
    case CommandId::kTop:
    case CommandId::kSessions:
    case CommandId::kAllow:
    case CommandId::kDeny:
    case CommandId::kForget:
    case CommandId::kPools:
    case CommandId::kLists:
    case CommandId::kReload:
    case CommandId::kUpgrade:
    case CommandId::kStop:
      return ask(command, words);
  }
  return static_cast<int>(ExitCode::kSoftware);
}

// One command of the table, as the parser wants it.
void add_command(CLI::App& app, const CommandRow& row, CommandWords& words, int& code) {
  CLI::App* sub = app.add_subcommand(std::string(row.name), std::string(row.sentence));
  const auto take = [&words](std::string_view name) {
    return [&words, name](const std::string& text) { words.given[std::string(name)] = text; };
  };
  for (const OptionRow& option : row.options) {
    const std::string name(option.name);
    if (option.kind == WordKind::kFlag) {
      sub->add_flag_function(
          name, [&words, name](int64_t) { words.given[name] = name; },
          std::string(option.sentence));
    } else {
      sub->add_option_function<std::string>(name, take(option.name), std::string(option.sentence))
          ->type_name(std::string(option.argument));
    }
  }
  for (const ArgumentRow& argument : row.arguments) {
    sub->add_option_function<std::string>(std::string(argument.name), take(argument.name),
                                          std::string(argument.sentence))
        ->type_name("")
        ->required(argument.required);
  }
  sub->callback([&words, &code, id = row.id] { code = run_command(id, words); });
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("SMTP connection front end: holds every client, lets the living through");
  app.set_version_flag("--version", std::string("lychgate ") + LYCHGATE_VERSION);
  app.require_subcommand(1);
  CommandWords words;
  words.line.assign(argv, argv + argc);
  int code = 0;
  for (const CommandRow& row : command_rows()) add_command(app, row, words, code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; everything else is bad usage.
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  return code;
}

}  // namespace lychgate::daemon
