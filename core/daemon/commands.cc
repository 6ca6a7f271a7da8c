// Each command loads the configuration itself and reports every problem as file:line:column.

#include "core/daemon/commands.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "core/config/reader.h"
#include "core/config/show.h"
#include "core/daemon/commands_lists.h"
#include "core/daemon/plan.h"
#include "core/daemon/steward.h"
#include "core/daemon/supervisor.h"

namespace lychgate::daemon {
namespace {

constexpr char kDefaultConfig[] = "/etc/lychgate/lychgate.toml";

struct Options {
  std::string config;  // empty: the default file, if it is there
  std::string socket;
  std::string address;
  bool json = false;
  bool online = false;
};

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
std::string config_path(const Options& options) {
  if (!options.config.empty()) return options.config;
  return access(kDefaultConfig, F_OK) == 0 ? kDefaultConfig : "";
}

// The configuration, or the exit code after all problems were printed.
tl::expected<config::Loaded, int> load(const Options& options) {
  auto loaded = config::load(config_path(options), config::Defaults::of_this_process());
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

int run(const Options& options) {
  const auto loaded = load(options);
  if (!loaded) return loaded.error();
  const auto outcome = run_gate(*loaded->config, config_path(options));
  return outcome ? 0 : report(outcome.error());
}

Result<ListsPlan> load_lists(const Options& options, const config::Config& config) {
  auto lists = daemon::load_lists(config, config_path(options));
  if (lists) {
    for (const std::string& warning : lists->warnings) {
      fmt::print(stderr, "lychgate: warning: {}\n", warning);
    }
  }
  return lists;
}

int check(const Options& options) {
  const auto loaded = load(options);
  if (!loaded) return loaded.error();
  const auto access = load_access_list(loaded->config->access);
  if (!access) return report(access.error());
  if (const auto backends = check_backends(*loaded->config); !backends) {
    return report(backends.error());
  }
  const auto lists = load_lists(options, *loaded->config);
  if (!lists) return report(lists.error());
  fmt::print(
      "configuration is good: {} listeners, {} pools, {} routes, {} access rules, {} DNS lists\n",
      loaded->config->listens.size(), loaded->config->pools.size(), loaded->config->routes.size(),
      *access ? (*access)->rules() : 0, lists->lists.size());
  if (!options.online) return 0;
  const auto code = check_online(*loaded->config, *lists);
  return code ? *code : report(code.error());
}

int why(const Options& options) {
  const auto loaded = load(options);
  if (!loaded) return loaded.error();
  const auto lists = load_lists(options, *loaded->config);
  if (!lists) return report(lists.error());
  const auto code =
      explain(*loaded->config, *lists, {.address = options.address, .json = options.json});
  return code ? *code : report(code.error());
}

int show(const Options& options) {
  const auto loaded = load(options);
  if (!loaded) return loaded.error();
  fmt::print("{}", config::render(*loaded->config, loaded->origins));
  return 0;
}

// A report of the running gate.
int ask_gate(const Options& options, const std::string& request) {
  std::string path = options.socket;
  if (path.empty()) {
    const auto loaded = load(options);
    if (!loaded) return loaded.error();
    path = loaded->config->control.socket;
  }
  const auto answer = ask_steward(path, options.json ? request + " json" : request);
  if (!answer) return report(answer.error());
  fmt::print("{}", *answer);
  return 0;
}

int status(const Options& options) {
  return ask_gate(options, "status");
}

int lists(const Options& options) {
  return ask_gate(options, "lists");
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app("SMTP connection front end: holds every client, lets the living through");
  app.set_version_flag("--version", std::string("lychgate ") + LYCHGATE_VERSION);
  app.require_subcommand(1);
  Options options;
  int code = 0;
  const auto command = [&](const char* name, const char* sentence, int (*body)(const Options&)) {
    CLI::App* sub = app.add_subcommand(name, sentence);
    sub->add_option(
        "--config", options.config,
        std::string("configuration file (default ") + kDefaultConfig + ", if it is there)");
    sub->callback([&options, &code, body] { code = body(options); });
    return sub;
  };
  command("run", "run the gate in the foreground", run);
  command("check", "check the configuration and the files it names, then exit", check)
      ->add_flag("--online", options.online, "ask every DNS list whether it can be trusted, too");
  command("show", "print the effective configuration with the origin of each key", show);
  CLI::App* reason =
      command("why", "ask the DNS lists about an address, and say what follows", why);
  reason->add_option("ADDRESS", options.address, "IPv4 or IPv6 address")->required();
  reason->add_flag("--json", options.json, "answer in JSON");
  for (CLI::App* asks :
       {command("status", "ask the running gate what it holds and has done", status),
        command("lists", "ask the running gate how its DNS lists are", lists)}) {
    asks->add_option("--socket", options.socket, "control socket (default: the configuration's)");
    asks->add_flag("--json", options.json, "answer in JSON");
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help and version are no errors; everything else is bad usage.
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  return code;
}

}  // namespace lychgate::daemon
