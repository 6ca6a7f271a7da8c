// A headline, then short tables; what did not occur has no row.

#include "bench/flood/report.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "bench/flood/errors.h"
#include "bench/flood/figures.h"
#include "bench/flood/wrap.h"
#include "core/config/values.h"

namespace lychgate::flood {
namespace {

std::string joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, " "));
}

// Pieces with commas between, wrapped below the end of the label.
std::string listed(const std::string& label, std::vector<std::string> pieces) {
  for (size_t i = 0; i + 1 < pieces.size(); ++i) pieces[i] += ',';
  return wrapped(label, label.size(), pieces);
}

std::string sentence(const std::string& label, std::string_view text) {
  return wrapped_words(label, label.size(), text);
}

std::string heading(const std::string& text, const Ink& ink) {
  return fmt::format("\n{}{}{}\n", ink.bold, text, ink.plain);
}

std::string spaced(const char* name) {
  std::string out = name;
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

std::vector<std::string> endings(const Counts& counts) {
  std::vector<std::string> out;
  for (size_t i = 0; i < kEndingCount; ++i) {
    if (counts.endings[i] == 0) continue;
    out.push_back(fmt::format("{} {}", spaced(kEndingNames[i]), grouped(counts.endings[i])));
  }
  return out;
}

std::string counts_row(const std::string& name, const Counts& counts) {
  return listed(
      fmt::format("{:<11}{:>12}{:>12}{:>12}{:>12}   ", name, grouped(counts.started),
                  grouped(counts.connected), grouped(counts.greeted), grouped(counts.delivered)),
      endings(counts));
}

std::string counts_table(const Outcome& outcome, const Ink& ink) {
  std::string out = heading(fmt::format("{:<11}{:>12}{:>12}{:>12}{:>12}   {}", "clients", "started",
                                        "connected", "greeted", "delivered", "ended as"),
                            ink);
  const auto profiles = profiles_of(outcome.plan);
  for (const Profile profile : profiles) {
    const auto index = static_cast<size_t>(profile);
    out += counts_row(kProfileNames[index], outcome.tally->profiles[index]);
  }
  if (profiles.size() > 1) out += counts_row("all", outcome.tally->sum());
  return out;
}

std::string latency_row(const std::string& name, const char* profile, const Histogram& histogram) {
  return fmt::format("{:<12}{:<12}{:>12}{:>11}{:>11}{:>11}{:>11}{:>11}\n", name, profile,
                     grouped(histogram.count()), span_text(histogram.quantile(0.5)),
                     span_text(histogram.quantile(0.9)), span_text(histogram.quantile(0.99)),
                     span_text(histogram.quantile(0.999)), span_text(histogram.most()));
}

// Handshakes and lateness are the same for all manners: one row. What a server answers is not.
enum class Rows : uint8_t { kOne, kEachProfile };

struct Kind {
  const char* name;
  Histogram Latencies::*histogram;
  Rows rows;
};
constexpr Kind kKinds[] = {{"lateness", &Latencies::lateness, Rows::kOne},
                           {"connect", &Latencies::connect, Rows::kOne},
                           {"first byte", &Latencies::first_byte, Rows::kEachProfile},
                           {"greeting", &Latencies::greeting, Rows::kEachProfile},
                           {"transaction", &Latencies::transaction, Rows::kEachProfile}};

std::string latency_table(const Outcome& outcome, const Ink& ink) {
  std::string rows;
  const auto profiles = profiles_of(outcome.plan);
  const Latencies all = outcome.tally->all_latencies();
  for (const Kind& kind : kKinds) {
    std::string name = kind.name;
    const auto add = [&](const char* who, const Histogram& histogram) {
      if (histogram.count() == 0) return;
      rows += latency_row(name, who, histogram);
      name.clear();  // once is enough
    };
    if (kind.rows == Rows::kOne && profiles.size() > 1) {
      add("all", all.*kind.histogram);
      continue;
    }
    for (const Profile profile : profiles) {
      const auto index = static_cast<size_t>(profile);
      add(kProfileNames[index], outcome.tally->latencies[index].*kind.histogram);
    }
  }
  if (rows.empty()) return "";
  return heading(fmt::format("{:<12}{:<12}{:>12}{:>11}{:>11}{:>11}{:>11}{:>11}", "time until", "",
                             "clients", "p50", "p90", "p99", "p99.9", "max"),
                 ink) +
         rows;
}

std::string replies_line(const Tally& tally, const Ink& ink) {
  if (tally.replies.empty()) return "";
  std::vector<std::string> parts;
  for (const auto& [code, number] : tally.replies) {
    parts.push_back(fmt::format("{}: {}", code, grouped(number)));
  }
  return heading("replies by code", ink) + listed("  ", parts);
}

std::string errors_table(const Tally& tally, const Ink& ink) {
  if (tally.connect_errors.empty()) return "";
  std::string out = heading("connect errors", ink);
  for (const auto& [error, number] : tally.connect_errors) {
    out += sentence(fmt::format("  {:<15}{:>12}  ", errno_name(error), grouped(number)),
                    errno_advice(error));
  }
  return out;
}

// "zombie 8: hold 10s", one for each profile.
std::vector<std::string> manners_texts(const Plan& plan) {
  std::vector<std::string> out;
  for (const Manners& one : plan.mix) {
    const auto index = static_cast<size_t>(one.profile);
    std::string text = kProfileNames[index];
    if (plan.mix.size() > 1) text += fmt::format(" (weight {})", one.weight);
    switch (one.profile) {
      case Profile::kZombie:
      case Profile::kDrip:
      case Profile::kNeverReads:
        text += fmt::format(" for {}", config::duration_text(one.hold));
        break;
      case Profile::kBot:
      case Profile::kLegit:
        text += fmt::format(" with {}", size_text(one.message_bytes));
        break;
      case Profile::kEarly:
      case Profile::kReset:
      case Profile::kHangup:
        break;
    }
    out.push_back(std::move(text));
  }
  return out;
}

std::string arrivals_text(const Plan& plan) {
  const Schedule& schedule = plan.schedule;
  if (schedule.arrivals == Arrivals::kClosed) return "closed loop";
  std::string out = fmt::format("open loop, {:g}/s", schedule.rate);
  if (schedule.ramp_over.count() > 0) {
    out += fmt::format(" after a ramp from {:g}/s in {}", schedule.ramp_from,
                       config::duration_text(schedule.ramp_over));
  }
  if (schedule.storm_for.count() > 0) {
    out += fmt::format(", storms of {:g}/s each {} for {}", schedule.storm_rate,
                       config::duration_text(schedule.storm_every),
                       config::duration_text(schedule.storm_for));
  }
  return out;
}

std::string rings_text(uint32_t rings) {
  return rings == 1 ? "1 ring" : grouped(rings) + " rings";
}

std::string setup(const Outcome& outcome) {
  const Plan& plan = outcome.plan;
  const auto sources = source_texts(plan);
  const std::string clients =
      plan.count == kConnectionsMax ? "as many as there is time for" : grouped(plan.count);
  return sentence("targets   ", joined(outcome.targets)) +
         sentence("sources   ", sources.empty() ? "chosen by the kernel" : joined(sources)) +
         listed("manners   ", manners_texts(plan)) +
         sentence("clients   ",
                  fmt::format("{}, at most {} at once, {}", clients, grouped(plan.parallel),
                              rings_text(outcome.preflight.rings))) +
         sentence("arrivals  ", fmt::format("{}, for at most {} (grace {})", arrivals_text(plan),
                                            config::duration_text(plan.duration),
                                            config::duration_text(plan.grace)));
}

std::string pace(const Outcome& outcome) {
  const double per_cent = outcome.elapsed_s > 0 ? 100 * outcome.cpu_s / outcome.elapsed_s : 0;
  std::string out =
      sentence("time      ", fmt::format("{:.1f} s; CPU of the flood {:.2f} s, {:.0f} % of a core",
                                         outcome.elapsed_s, outcome.cpu_s, per_cent));
  std::string rate = fmt::format("{}/s achieved", short_number(outcome.rate_achieved()));
  if (const auto intended = outcome.rate_intended()) {
    rate += fmt::format(" of {}/s intended", short_number(*intended));
  }
  if (outcome.tally->skipped > 0) {
    rate += fmt::format("; {} not started, since {} were open", grouped(outcome.tally->skipped),
                        grouped(outcome.plan.parallel));
  }
  out += sentence("rate      ", rate);
  const Counts sum = outcome.tally->sum();
  return out + sentence("open      ", fmt::format("{} at most; {} sent, {} received",
                                                  grouped(outcome.tally->open_most),
                                                  size_text(static_cast<double>(sum.bytes_out)),
                                                  size_text(static_cast<double>(sum.bytes_in))));
}

// What the exit code is about, in words; empty when all is well.
std::string verdict(const Outcome& outcome) {
  if (outcome.signal != 0) return "stopped by a signal: whoever was open has been reset";
  if (outcome.tally->sum().connected == 0) return "nobody could connect";
  if (outcome.exit_code() != 0) return "not every legit client was served";
  return "";
}

}  // namespace

std::string findings_text(const Preflight& preflight, const Ink& ink) {
  std::string out;
  for (const Finding& finding : preflight.findings) {
    const bool fatal = finding.gravity == Gravity::kFatal;
    const std::string text = sentence(fatal ? "cannot    " : "warning   ", finding.line());
    out += fatal ? fmt::format("{}{}{}", ink.alarm, text, ink.plain) : text;
  }
  return out;
}

std::string plan_text(const Outcome& outcome, const Ink& ink) {
  const Preflight& preflight = outcome.preflight;
  std::string out = setup(outcome);
  out += sentence("needs     ",
                  fmt::format("{} of kernel memory for {} clients at once; this "
                              "machine carries {} of them",
                              size_text(static_cast<double>(preflight.memory_bytes)),
                              grouped(preflight.open_most), grouped(preflight.would_do)));
  out += findings_text(preflight, ink);
  return out + (preflight.can_start() ? "ready     nothing was started (--dry-run)\n" : "");
}

std::string result_text(const Outcome& outcome, const Ink& ink) {
  std::string out = setup(outcome) + pace(outcome);
  out += counts_table(outcome, ink) + latency_table(outcome, ink);
  out += replies_line(*outcome.tally, ink) + errors_table(*outcome.tally, ink);
  const std::string words = verdict(outcome);
  if (!words.empty()) out += fmt::format("\n{}{}{}\n", ink.alarm, words, ink.plain);
  return out;
}

}  // namespace lychgate::flood
