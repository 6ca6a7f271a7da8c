// Micro-benchmarks of what reads SMTP: lines as a server, replies as a client, whole, split and
// over long. Figures are for the whole stream; bytes and lines a second stand beside them.

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include "core/smtp/line_reader.h"
#include "core/smtp/replies.h"
#include "core/smtp/reply_reader.h"

namespace lychgate::smtp {
namespace {

constexpr std::string_view kDialogue =
    "EHLO mail.example.org\r\nMAIL FROM:<bounce@example.org>\r\nRCPT TO:<someone@example.net>\r\n"
    "DATA\r\nRSET\r\nQUIT\r\n";
constexpr std::string_view kAnnounced =
    "250-mx.example.net\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"
    "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n";
constexpr size_t kLineCount = 8;

std::string lines_of(size_t size) {
  std::string out;
  for (size_t i = 0; i < kLineCount; ++i) out += std::string(size - 2, 'x') + "\r\n";
  return out;
}

struct Stream {
  std::string bytes;
  size_t piece = 0;  // bytes that come at once; 0: all
};

// Gives the lines and replies read; Reader is LineReader or ReplyReader.
template <typename Outcome, typename Reader>
size_t read_stream(Reader& reader, const Stream& stream, Outcome need_more) {
  size_t told = 0;
  std::string_view left = stream.bytes;
  const size_t most = stream.piece == 0 ? left.size() : stream.piece;
  while (!left.empty()) {
    std::span<const char> piece(left.substr(0, most));
    left.remove_prefix(piece.size());
    while (!piece.empty()) {
      const auto read = reader.read(piece);
      piece = piece.subspan(read.used);
      if (read.outcome == need_more) break;
      benchmark::DoNotOptimize(read.text.data());
      ++told;
    }
  }
  return told;
}

void count(benchmark::State& state, const Stream& stream, size_t told) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(stream.bytes.size()));
  state.SetItemsProcessed(static_cast<int64_t>(told));
}

void BM_ReadLines(benchmark::State& state, const Stream& stream) {
  std::array<char, kTextLineMax> storage;
  LineReader reader(storage);
  size_t told = 0;
  for ([[maybe_unused]] auto _ : state) {
    told += read_stream(reader, stream, LineOutcome::kNeedMore);
  }
  count(state, stream, told);
}
BENCHMARK_CAPTURE(BM_ReadLines, commands, Stream{std::string(kDialogue)});
BENCHMARK_CAPTURE(BM_ReadLines, commands_in_pieces_of_7, Stream{std::string(kDialogue), 7});
BENCHMARK_CAPTURE(BM_ReadLines, commands_byte_by_byte, Stream{std::string(kDialogue), 1});
BENCHMARK_CAPTURE(BM_ReadLines, longest_lines, Stream{lines_of(kTextLineMax)});
BENCHMARK_CAPTURE(BM_ReadLines, longest_lines_in_pieces_of_700,
                  Stream{lines_of(kTextLineMax), 700});
BENCHMARK_CAPTURE(BM_ReadLines, too_long, Stream{lines_of(16384)});

void BM_ReadReplies(benchmark::State& state, const Stream& stream) {
  std::array<char, kReplyLineMax> storage;
  ReplyReader reader(storage);
  size_t told = 0;
  for ([[maybe_unused]] auto _ : state) {
    told += read_stream(reader, stream, ReplyOutcome::kNeedMore);
  }
  count(state, stream, told);
}
BENCHMARK_CAPTURE(BM_ReadReplies, greeting, Stream{"220 mx.example.net ESMTP\r\n"});
BENCHMARK_CAPTURE(BM_ReadReplies, ehlo, Stream{std::string(kAnnounced)});
BENCHMARK_CAPTURE(BM_ReadReplies, ehlo_in_pieces_of_7, Stream{std::string(kAnnounced), 7});

void BM_WriteListedReply(benchmark::State& state) {
  const ListedReply listed{.client = IpAddress::from_v4(0xcb007105),
                           .reply_name = "zen.spamhaus.org",
                           .reason = "https://www.spamhaus.org/query/ip/203.0.113.5"};
  std::array<char, kReplyLineMax> out;
  for ([[maybe_unused]] auto _ : state) {
    benchmark::DoNotOptimize(write_listed_reply(ReplyId::kRefuseListed, listed, out));
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_WriteListedReply);

}  // namespace
}  // namespace lychgate::smtp
