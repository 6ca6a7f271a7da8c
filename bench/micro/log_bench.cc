// Micro-benchmarks of the log: a session's events put into words, the pieces that words are made
// of, and the frame that each target puts around a line.

#include <string>
#include <string_view>
#include <vector>

#include <benchmark/benchmark.h>

#include "core/base/log_line.h"
#include "core/daemon/log.h"
#include "core/daemon/log_lines.h"

namespace lychgate::daemon {
namespace {

constexpr std::string_view kSaid = "EHLO win-box01\r\n";

LogEvent event_of(LogKind kind) {
  LogEvent event;
  event.kind = kind;
  event.address = IpAddress::from_v4(0xcb007105);
  event.port = 41822;
  event.since = milliseconds(1003);
  event.reply = kind == LogKind::kRejectListed ? smtp::ReplyId::kRefuseListed
                                               : smtp::ReplyId::kRefuseProtocol;
  event.said = static_cast<uint32_t>(kSaid.size());
  kSaid.copy(event.quoted.data(), event.quoted.size());
  event.list = 0;
  event.code = 0x7f000002;
  event.score = 12;
  return event;
}

LogEvent from_v6(LogEvent event) {
  event.address = *IpAddress::parse("2001:db8:85a3::8a2e:370:7334");
  return event;
}

void BM_LogWords(benchmark::State& state, const LogEvent& event) {
  config::Config config;
  config.listens = {{.name = "mx", .address = {IpAddress::from_v4(0), 25}}};
  std::vector<config::List> lists(1);
  lists[0].name = "zen.spamhaus.org";
  lists[0].reply_name = lists[0].name;
  const Words words{.config = config, .lists = lists};
  for ([[maybe_unused]] auto _ : state) {
    LogLine line;
    put_into_words(event, words, line);
    benchmark::DoNotOptimize(line.text().data());
  }
}
BENCHMARK_CAPTURE(BM_LogWords, connect, event_of(LogKind::kConnect));
BENCHMARK_CAPTURE(BM_LogWords, connect_ipv6, from_v6(event_of(LogKind::kConnect)));
BENCHMARK_CAPTURE(BM_LogWords, pass_new, event_of(LogKind::kPassNew));
BENCHMARK_CAPTURE(BM_LogWords, pregreet, event_of(LogKind::kPregreet));
BENCHMARK_CAPTURE(BM_LogWords, hangup, event_of(LogKind::kHangup));
BENCHMARK_CAPTURE(BM_LogWords, reject, event_of(LogKind::kRejectReply));
BENCHMARK_CAPTURE(BM_LogWords, reject_listed, event_of(LogKind::kRejectListed));
BENCHMARK_CAPTURE(BM_LogWords, listed, event_of(LogKind::kListed));
BENCHMARK_CAPTURE(BM_LogWords, disconnect, event_of(LogKind::kDisconnect));

void BM_LogPieceClient(benchmark::State& state) {
  const IpAddress address = IpAddress::from_v4(0xcb007105);
  for ([[maybe_unused]] auto _ : state) {
    LogLine line;
    benchmark::DoNotOptimize(line.client(address, 41822).text().data());
  }
}
BENCHMARK(BM_LogPieceClient);

void BM_LogPieceSeconds(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    LogLine line;
    benchmark::DoNotOptimize(line.seconds(milliseconds(1003)).text().data());
  }
}
BENCHMARK(BM_LogPieceSeconds);

void BM_LogPieceEscaped(benchmark::State& state) {
  for ([[maybe_unused]] auto _ : state) {
    LogLine line;
    benchmark::DoNotOptimize(line.escaped(kSaid).text().data());
  }
}
BENCHMARK(BM_LogPieceEscaped);

void BM_LogFrame(benchmark::State& state, config::LogTarget target) {
  const LogSink sink{.target = target, .fd = -1, .ident = "lychgate/gate", .hostname = "mx1"};
  LogFrame frame(sink, 4711);
  const WallTime at = std::chrono::system_clock::now();
  std::string out;
  for ([[maybe_unused]] auto _ : state) {
    out.clear();
    frame.append(at, "CONNECT from [203.0.113.5]:41822 to [192.0.2.1]:25", out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK_CAPTURE(BM_LogFrame, file, config::LogTarget::kFile);
BENCHMARK_CAPTURE(BM_LogFrame, syslog, config::LogTarget::kSyslog);
BENCHMARK_CAPTURE(BM_LogFrame, journal, config::LogTarget::kJournal);

}  // namespace
}  // namespace lychgate::daemon
