// The same rows twice.

#include "core/daemon/record_report.h"

#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/config/values.h"

namespace lychgate::daemon {
namespace {

// In the order of ScreenTest.
constexpr std::string_view kTestNames[kScreenTestCount] = {"pregreet", "dnsl", "pipelining",
                                                           "non_smtp", "bare_newline"};

std::string moment(Seconds at) {
  if (at == kForever) return "for ever";
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(at)));
}

std::string row(std::string_view name, std::string_view value) {
  return fmt::format("{:<13}{}\n", name, value);
}

std::string until(Seconds at, Seconds now) {
  if (at == kForever) return "for ever";
  return at > now ? "until " + moment(at) : "until " + moment(at) + ", over";
}

std::string failed_names(uint8_t bits) {
  std::string out;
  for (size_t i = 0; i < kScreenTestCount; ++i) {
    if ((bits & bit_of(static_cast<ScreenTest>(i))) == 0) continue;
    out += fmt::format("{}{}", out.empty() ? "" : ", ", kTestNames[i]);
  }
  return out;
}

std::string json_time(Seconds at) {
  return at == 0 ? "null" : fmt::format("{}", at);
}

}  // namespace

std::string record_text(const RecordParts& parts) {
  if (!parts.is_open) return row("remembered", fmt::format("nothing: {}", parts.store));
  if (!parts.record) return row("remembered", fmt::format("nothing of {}", parts.client));
  const ClientRecord& record = *parts.record;
  std::string out = row("remembered", fmt::format("{}: {} visits passed, {} failed", parts.client,
                                                  record.passes, record.failures));
  if (record.first_seen != 0) out += row("  first seen", moment(record.first_seen));
  if (record.last_seen != 0) {
    out += row("  last seen", fmt::format("{}, score {}", moment(record.last_seen), record.score));
  }
  for (size_t i = 0; i < kScreenTestCount; ++i) {
    if (record.passed_until[i] == 0) continue;
    out += row("  passed",
               fmt::format("{} {}", kTestNames[i], until(record.passed_until[i], parts.now)));
  }
  if (record.failed_until != 0) {
    out += row("  failed", fmt::format("{} {}", failed_names(record.failed),
                                       until(record.failed_until, parts.now)));
  }
  if (record.allowed_until != 0) out += row("  allowed", until(record.allowed_until, parts.now));
  if (record.denied_until != 0) out += row("  denied", until(record.denied_until, parts.now));
  return out;
}

std::string record_json(const RecordParts& parts) {
  std::string inside = "null";
  if (parts.record) {
    const ClientRecord& record = *parts.record;
    std::string passed;
    for (size_t i = 0; i < kScreenTestCount; ++i) {
      passed += fmt::format("{}\"{}\":{}", i == 0 ? "" : ",", kTestNames[i],
                            json_time(record.passed_until[i]));
    }
    inside = fmt::format(
        "{{\"first_seen\":{},\"last_seen\":{},\"passes\":{},\"failures\":{},\"score\":{},"
        "\"passed_until\":{{{}}},\"failed\":{},\"failed_until\":{},\"allowed_until\":{},"
        "\"denied_until\":{}}}",
        json_time(record.first_seen), json_time(record.last_seen), record.passes, record.failures,
        record.score, passed, config::toml_quoted(failed_names(record.failed)),
        json_time(record.failed_until), json_time(record.allowed_until),
        json_time(record.denied_until));
  }
  return fmt::format("{{\"client\":\"{}\",\"store\":{},\"record\":{}}}\n", parts.client,
                     config::toml_quoted(parts.store), inside);
}

}  // namespace lychgate::daemon
