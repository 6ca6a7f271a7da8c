// lychgate-lookup-cost: what a lookup of a DNS list costs the gate (question written, sent, answer
// received, read, scored) beside the least that two packets over the same ring cost. Both are
// measured in turn, several times, against the same responder on the other core; prints medians
// and the ratio. Exit code 0; 1 if a verdict was wrong, an answer was lost or, with --check, the
// ratio is above 1.5; sysexits codes when it cannot start.

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bench/lookup_cost/bare_way.h"
#include "bench/lookup_cost/gate_way.h"
#include "bench/lookup_cost/responder.h"
#include "dns/udp_sockets.h"

namespace lychgate::lookup_cost {
namespace {

constexpr double kRatioMax = 1.5;
constexpr int kMeasuredCore = 0;
constexpr int kResponderCore = 1;
// As dns.sockets is by default.
constexpr uint32_t kSockets = 4;

struct Options {
  uint32_t rounds = 9;
  uint32_t lookups = 200'000;
  uint32_t window = 512;
  std::string only;
  bool check = false;
};

struct Round {
  double cpu_us = 0;   // of one lookup
  double user_us = 0;  // of these, outside the kernel
  double rate = 0;     // lookups a second
  double batch = 0;    // answers a turn
};

double microseconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
}

template <typename Way>
Round measure(Way& way, uint32_t lookups, uint64_t& lost) {
  rusage before{};
  rusage after{};
  getrusage(RUSAGE_SELF, &before);
  const Instant begin = monotonic_now();
  const Spent spent = way.run(lookups);
  const std::chrono::duration<double> took = monotonic_now() - begin;
  getrusage(RUSAGE_SELF, &after);
  lost += spent.lost;
  const double user = microseconds(after.ru_utime) - microseconds(before.ru_utime);
  const double system = microseconds(after.ru_stime) - microseconds(before.ru_stime);
  const auto count = static_cast<double>(std::max<uint64_t>(spent.lookups, 1));
  return {.cpu_us = (user + system) / count,
          .user_us = user / count,
          .rate = count / took.count(),
          .batch = count / static_cast<double>(std::max<uint64_t>(spent.turns, 1))};
}

double median(const std::vector<Round>& rounds, double Round::*field) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(round.*field);
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

double least(const std::vector<Round>& rounds) {
  double out = median(rounds, &Round::cpu_us);
  for (const Round& round : rounds) out = std::min(out, round.cpu_us);
  return out;
}

void print(const char* name, const std::vector<Round>& rounds) {
  if (rounds.empty()) return;
  fmt::print("{:6} {:12.2f} {:12.2f} {:12.2f} {:12.0f} {:14.1f}\n", name, least(rounds),
             median(rounds, &Round::cpu_us), median(rounds, &Round::user_us),
             median(rounds, &Round::rate), median(rounds, &Round::batch));
}

struct Results {
  std::vector<Round> bare;
  std::vector<Round> gate;
  uint64_t lost = 0;
  uint64_t wrong = 0;
};

// The first round of each is not counted: it fills the cache of answers and opens the window.
Results run_rounds(BareWay& bare, GateWay& gate, const Options& options) {
  Results out;
  uint64_t ignored = 0;
  gate.check_verdicts(true);
  measure(gate, options.lookups, ignored);
  gate.check_verdicts(false);
  measure(bare, options.lookups, ignored);
  fmt::print("{} verdicts checked, {} wrong\n", gate.checked(), gate.wrong());
  for (uint32_t i = 0; i < options.rounds; ++i) {
    if (options.only != "gate") out.bare.push_back(measure(bare, options.lookups, out.lost));
    if (options.only != "bare") out.gate.push_back(measure(gate, options.lookups, out.lost));
  }
  out.wrong = gate.wrong();
  return out;
}

int report(const Results& results, const Options& options) {
  fmt::print("{} rounds of {} lookups, {} at once, {} lists\n", options.rounds, options.lookups,
             options.window, kZones.size());
  fmt::print("{:6} {:>12} {:>12} {:>12} {:>12} {:>14}\n", "", "least CPU us", "median", "in user",
             "lookups/s", "answers a turn");
  print("bare", results.bare);
  print("gate", results.gate);
  bool good = results.wrong == 0 && results.lost == 0;
  if (results.lost > 0) fmt::print("{} answers were lost\n", results.lost);
  if (results.bare.empty() || results.gate.empty()) return good ? 0 : 1;
  const double ratio = median(results.gate, &Round::cpu_us) / median(results.bare, &Round::cpu_us);
  fmt::print("gate / bare: {:.2f} of the medians, {:.2f} of the least\n", ratio,
             least(results.gate) / least(results.bare));
  if (options.check && ratio > kRatioMax) {
    fmt::print("more than {}\n", kRatioMax);
    good = false;
  }
  return good ? 0 : 1;
}

Result<int> measure_all(const Options& options) {
  auto responder = Responder::start(kResponderCore);
  if (!responder) return tl::unexpected(responder.error());
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(kMeasuredCore, &cores);
  sched_setaffinity(0, sizeof(cores), &cores);
  const std::vector<Endpoint> servers = {responder->endpoint()};
  const auto ours = dns::open_udp_sockets(servers, kSockets);
  if (!ours) return tl::unexpected(ours.error());
  const auto theirs = dns::open_udp_sockets(servers, kSockets);
  if (!theirs) return tl::unexpected(theirs.error());
  auto bare = BareWay::create(*theirs, options.window);
  if (!bare) return tl::unexpected(bare.error());
  auto gate = GateWay::create(
      {.server = responder->endpoint(), .sockets = *ours, .window = options.window});
  if (!gate) return tl::unexpected(gate.error());
  return report(run_rounds(**bare, **gate, options), options);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("Measures what a DNS lookup costs the gate beside two packets over the same ring.");
  app.add_option("--rounds", options.rounds, "rounds of each")->check(CLI::Range(1, 1000));
  app.add_option("--lookups", options.lookups, "lookups of a round")
      ->check(CLI::Range(1000, 100'000'000));
  app.add_option("--window", options.window, "lookups under way at once")
      ->check(CLI::Range(5, 100'000));
  app.add_option("--only", options.only, "measure one of the two alone")
      ->check(CLI::IsMember({"bare", "gate"}));
  app.add_flag("--check", options.check,
               fmt::format("exit 1 when the ratio is above {}", kRatioMax));
  CLI11_PARSE(app, argc, argv);
  const auto outcome = measure_all(options);
  if (outcome) return *outcome;
  fmt::print(stderr, "lychgate-lookup-cost: {}\n", outcome.error().text);
  return static_cast<int>(outcome.error().code);
}

}  // namespace
}  // namespace lychgate::lookup_cost

int main(int argc, char** argv) {
  return lychgate::lookup_cost::run(argc, argv);
}
