// Written with fmt: the object is flat enough that a library would not make it shorter.

#include "bench/flood/json_report.h"

#include <fmt/format.h>

#include "bench/flood/errors.h"

namespace lychgate::flood {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Members of an object or items of a list, with commas between.
class Joined {
 public:
  void item(const std::string& value) { text_ += (text_.empty() ? "" : ",") + value; }
  void value(std::string_view name, const std::string& json) { item(quoted(name) + ":" + json); }
  void text(std::string_view name, std::string_view words) { value(name, quoted(words)); }
  void count(std::string_view name, uint64_t number) { value(name, std::to_string(number)); }
  void real(std::string_view name, double number) { value(name, fmt::format("{:.3f}", number)); }
  void seconds(std::string_view name, milliseconds span) {
    real(name, std::chrono::duration<double>(span).count());
  }
  std::string object() const { return "{" + text_ + "}"; }
  std::string list() const { return "[" + text_ + "]"; }

 private:
  std::string text_;
};

std::string texts(const std::vector<std::string>& all) {
  Joined out;
  for (const std::string& one : all) out.item(quoted(one));
  return out.list();
}

// Microseconds; without a single value there is no least and no median: null.
std::string quantiles(const Histogram& histogram) {
  Joined out;
  out.count("count", histogram.count());
  const auto add = [&](const char* name, std::chrono::microseconds span) {
    out.value(name, histogram.count() == 0 ? "null" : std::to_string(span.count()));
  };
  add("min", histogram.least());
  add("p50", histogram.quantile(0.5));
  add("p90", histogram.quantile(0.9));
  add("p99", histogram.quantile(0.99));
  add("p999", histogram.quantile(0.999));
  add("max", histogram.most());
  return out.object();
}

std::string latencies_object(const Latencies& latencies) {
  Joined out;
  out.value("connect", quantiles(latencies.connect));
  out.value("first_byte", quantiles(latencies.first_byte));
  out.value("greeting", quantiles(latencies.greeting));
  out.value("transaction", quantiles(latencies.transaction));
  out.value("lateness", quantiles(latencies.lateness));
  return out.object();
}

void add_progress(const Counts& counts, Joined& out) {
  out.count("started", counts.started);
  out.count("connected", counts.connected);
  out.count("first_bytes", counts.first_bytes);
  out.count("greeted", counts.greeted);
  out.count("delivered", counts.delivered);
}

std::string endings_object(const Counts& counts) {
  Joined out;
  for (size_t i = 0; i < kEndingCount; ++i) out.count(kEndingNames[i], counts.endings[i]);
  return out.object();
}

std::string profiles_object(const Outcome& outcome) {
  Joined out;
  for (const Profile profile : profiles_of(outcome.plan)) {
    const auto index = static_cast<size_t>(profile);
    const Counts& counts = outcome.tally->profiles[index];
    Joined one;
    add_progress(counts, one);
    one.value("endings", endings_object(counts));
    one.count("bytes_out", counts.bytes_out);
    one.count("bytes_in", counts.bytes_in);
    one.value("latency_us", latencies_object(outcome.tally->latencies[index]));
    out.value(kProfileNames[index], one.object());
  }
  return out.object();
}

std::string mix_object(const std::vector<Manners>& mix) {
  Joined out;
  for (const Manners& manners : mix) {
    Joined one;
    one.count("weight", manners.weight);
    one.seconds("hold_s", manners.hold);
    one.seconds("timeout_s", manners.timeout);
    one.count("message_bytes", manners.message_bytes);
    out.value(kProfileNames[static_cast<size_t>(manners.profile)], one.object());
  }
  return out.object();
}

std::string plan_object(const Plan& plan) {
  const Schedule& schedule = plan.schedule;
  Joined out;
  out.text("arrivals", schedule.arrivals == Arrivals::kOpen ? "open" : "closed");
  out.count("count", plan.count);
  out.count("parallel", plan.parallel);
  out.real("rate", schedule.rate);
  out.real("ramp_from", schedule.ramp_from);
  out.seconds("ramp_over_s", schedule.ramp_over);
  out.real("storm_rate", schedule.storm_rate);
  out.seconds("storm_every_s", schedule.storm_every);
  out.seconds("storm_for_s", schedule.storm_for);
  out.seconds("duration_s", plan.duration);
  out.seconds("grace_s", plan.grace);
  out.count("port", plan.port);
  out.count("per_ring", plan.per_ring);
  out.value("cpu", plan.cpu ? std::to_string(*plan.cpu) : "null");
  out.count("seed", plan.seed);
  out.text("ehlo", plan.ehlo);
  out.text("from", plan.mail_from);
  out.text("to", plan.rcpt_to);
  out.value("mix", mix_object(plan.mix));
  return out.object();
}

std::string findings_list(const Preflight& preflight) {
  Joined out;
  for (const Finding& finding : preflight.findings) {
    Joined one;
    one.value("fatal", finding.gravity == Gravity::kFatal ? "true" : "false");
    one.text("limit", finding.limit);
    one.text("needed", finding.needed);
    one.text("is", finding.is);
    one.text("remedy", finding.remedy);
    out.item(one.object());
  }
  return out.list();
}

Joined head(const Outcome& outcome) {
  Joined out;
  out.text("version", LYCHGATE_VERSION);
  out.value("targets", texts(outcome.targets));
  out.value("sources", texts(source_texts(outcome.plan)));
  out.value("plan", plan_object(outcome.plan));
  return out;
}

std::string replies_object(const Tally& tally) {
  Joined out;
  for (const auto& [code, number] : tally.replies) out.count(std::to_string(code), number);
  return out.object();
}

std::string errors_object(const Tally& tally) {
  Joined out;
  for (const auto& [error, number] : tally.connect_errors) out.count(errno_name(error), number);
  return out.object();
}

}  // namespace

std::string json_result(const Outcome& outcome) {
  const Tally& tally = *outcome.tally;
  const Counts sum = tally.sum();
  const auto intended = outcome.rate_intended();
  Joined out = head(outcome);
  out.real("elapsed_s", outcome.elapsed_s);
  out.real("cpu_s", outcome.cpu_s);
  out.count("rings", outcome.preflight.rings);
  add_progress(sum, out);
  out.count("open_most", tally.open_most);
  out.count("held", tally.held);
  out.count("skipped", tally.skipped);
  out.value("rate_intended", intended ? fmt::format("{:.3f}", *intended) : "null");
  out.real("rate_achieved", outcome.rate_achieved());
  out.value("endings", endings_object(sum));
  out.value("replies", replies_object(tally));
  out.value("connect_errors", errors_object(tally));
  out.count("bytes_out", sum.bytes_out);
  out.count("bytes_in", sum.bytes_in);
  out.value("latency_us", latencies_object(tally.all_latencies()));
  out.value("profiles", profiles_object(outcome));
  out.value("preflight", findings_list(outcome.preflight));
  out.value("interrupted", outcome.signal != 0 ? "true" : "false");
  out.count("exit_code", static_cast<uint64_t>(outcome.exit_code()));
  return out.object() + "\n";
}

std::string json_plan(const Outcome& outcome) {
  Joined out = head(outcome);
  out.count("rings", outcome.preflight.rings);
  out.count("open_most", outcome.preflight.open_most);
  out.count("memory_bytes", outcome.preflight.memory_bytes);
  out.count("would_do", outcome.preflight.would_do);
  out.value("can_start", outcome.preflight.can_start() ? "true" : "false");
  out.value("preflight", findings_list(outcome.preflight));
  return out.object() + "\n";
}

}  // namespace lychgate::flood
