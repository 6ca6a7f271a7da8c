// lychgate-flood: floods an SMTP server of one's own like a botnet, and reports what became of each
// client. Words to plan, plan to preflight, then the engine, then the report. Refuses targets that
// are not this machine's, and runs that this machine cannot carry, before anything starts.

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "bench/flood/engine.h"
#include "bench/flood/json_report.h"
#include "bench/flood/machine.h"
#include "bench/flood/mix_file.h"
#include "bench/flood/options.h"
#include "bench/flood/planning.h"
#include "bench/flood/preflight.h"
#include "bench/flood/report.h"
#include "bench/flood/run.h"
#include "bench/flood/targets.h"
#include "core/config/files.h"

namespace lychgate::flood {
namespace {

int report(const Error& error) {
  fmt::print(stderr, "lychgate-flood: {}\n", error.text);
  return static_cast<int>(error.code);
}

Result<std::vector<Manners>> read_mix(const Options& options) {
  const auto source = config::read_file(options.mix_file);
  if (!source) {
    return fail(ExitCode::kNoInput, fmt::format("--mix {}", source.error().line()));
  }
  auto mix = parse_mix(*source, options.manners);
  if (mix) return std::move(*mix);
  std::string text;
  for (const config::Problem& problem : mix.error()) {
    text += (text.empty() ? "" : "\nlychgate-flood: ") + problem.line();
  }
  return fail(ExitCode::kConfig, std::move(text));
}

// Everything that is known before the machine is looked at.
struct Intent {
  Plan plan;
  std::vector<std::string> targets;
  FarEnd far_end = FarEnd::kHere;
};

Result<Intent> read_intent(const Options& options) {
  auto wishes = read_wishes(options);
  if (!wishes) return tl::unexpected(wishes.error());
  const auto own = OwnAddresses::of_this_machine();
  if (!own) return tl::unexpected(own.error());
  if (const auto allowed = check_targets(wishes->targets, options.owned, *own); !allowed) {
    return tl::unexpected(allowed.error());
  }
  if (!options.mix_file.empty()) {
    auto mix = read_mix(options);
    if (!mix) return tl::unexpected(mix.error());
    wishes->mix = std::move(*mix);
  }
  auto plan = make_plan(options, *wishes);
  if (!plan) return tl::unexpected(plan.error());
  if (const auto fit = check_sources(plan->sources, wishes->targets, *own); !fit) {
    return tl::unexpected(fit.error());
  }
  Intent out{.plan = std::move(*plan), .targets = options.targets};
  for (const Target& target : wishes->targets) {
    if (!own->cover(target.network)) out.far_end = FarEnd::kElsewhere;
  }
  return out;
}

// The hard limit is there to be used: it is the size of a ring's table.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Result<void> pin(const Plan& plan) {
  if (!plan.cpu) return {};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(*plan.cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return fail(ExitCode::kUnavailable, fmt::format("--cpu {}: {}", *plan.cpu, errno_text(errno)));
}

struct CloseFile {
  void operator()(FILE* file) const {
    if (file != stdout) std::fclose(file);
  }
};
using File = std::unique_ptr<FILE, CloseFile>;

// No file for an empty name.
Result<File> open_output(const std::string& name) {
  if (name.empty()) return File();
  if (name == "-") return File(stdout);
  File file(std::fopen(name.c_str(), "we"));
  if (file != nullptr) return file;
  return fail(ExitCode::kCantCreate,
              fmt::format("{} cannot be written: {}", name, errno_text(errno)));
}

Ink ink_for(FILE* file) {
  const bool plain = isatty(fileno(file)) == 0 || std::getenv("NO_COLOR") != nullptr;
  return plain ? Ink::none() : Ink::terminal();
}

// Where people read: standard output, unless that belongs to a program.
FILE* for_people(const Output& output) {
  return output.json == "-" || output.csv == "-" ? stderr : stdout;
}

Result<int> tell_plan(const Output& output, const Outcome& outcome) {
  const auto json = open_output(output.json);
  if (!json) return tl::unexpected(json.error());
  if (*json != nullptr) fmt::print(json->get(), "{}", json_plan(outcome));
  FILE* people = for_people(output);
  if (!output.quiet) fmt::print(people, "{}", plan_text(outcome, ink_for(people)));
  return outcome.preflight.can_start() ? 0 : static_cast<int>(ExitCode::kUnavailable);
}

Result<int> flood(const Output& output, Outcome& outcome) {
  const auto json = open_output(output.json);
  if (!json) return tl::unexpected(json.error());
  const auto csv = open_output(output.csv);
  if (!csv) return tl::unexpected(csv.error());
  if (const auto pinned = pin(outcome.plan); !pinned) return tl::unexpected(pinned.error());
  const auto tally = std::make_unique<Tally>();
  outcome.tally = tally.get();
  const auto engine = Engine::create(outcome.plan, *tally);
  if (!engine) return fail(ExitCode::kUnavailable, engine.error().text);
  catch_signals();
  run_watched(**engine, output, csv->get(), outcome);
  if (*json != nullptr) fmt::print(json->get(), "{}", json_result(outcome));
  FILE* people = for_people(output);
  if (!output.quiet) fmt::print(people, "{}", result_text(outcome, ink_for(people)));
  return outcome.exit_code();
}

int run(int argc, char** argv) {
  const auto options = parse_command_line(argc, argv);
  if (!options) {
    fmt::print("{}", options.error().out);
    fmt::print(stderr, "{}", options.error().err);
    return options.error().code;
  }
  auto intent = read_intent(*options);
  if (!intent) return report(intent.error());
  raise_descriptor_limit();
  Outcome outcome;
  outcome.targets = intent->targets;
  outcome.preflight = check_machine(read_machine(), intent->plan, intent->far_end);
  outcome.plan = std::move(intent->plan);
  if (!options->dry_run) {
    const bool can = outcome.preflight.can_start();
    if (!options->output.quiet || !can) {
      fmt::print(stderr, "{}", findings_text(outcome.preflight, ink_for(stderr)));
    }
    if (!can) return static_cast<int>(ExitCode::kUnavailable);
  }
  const auto code =
      options->dry_run ? tell_plan(options->output, outcome) : flood(options->output, outcome);
  return code ? *code : report(code.error());
}

}  // namespace
}  // namespace lychgate::flood

int main(int argc, char** argv) {
  return lychgate::flood::run(argc, argv);
}
