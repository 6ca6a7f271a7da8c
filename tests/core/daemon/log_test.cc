// Framing for each target, the rhythm of lots, and the counting of lines that are lost.

#include "core/daemon/log.h"

#include <cerrno>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using config::LogTarget;

struct FrameRow {
  const char* what;
  LogTarget target;
  const char* text;
  const char* want;
};

const FrameRow kFrames[] = {
    {"a file has RFC 3339 time in UTC, host, program and process", LogTarget::kFile,
     "CONNECT from [192.0.2.7]:4711 to [192.0.2.1]:25",
     "2026-02-03T04:05:06.000789+00:00 mail lychgate/gate[42]: "
     "CONNECT from [192.0.2.7]:4711 to [192.0.2.1]:25\n"},
    {"stderr looks the same", LogTarget::kStderr, "x",
     "2026-02-03T04:05:06.000789+00:00 mail lychgate/gate[42]: x\n"},
    {"syslog has facility mail, severity info and no line end", LogTarget::kSyslog, "x",
     "<22>Feb  3 04:05:06 lychgate/gate[42]: x"},
    {"a warning is one in syslog", LogTarget::kSyslog, "warning: x",
     "<20>Feb  3 04:05:06 lychgate/gate[42]: warning: x"},
    {"the journal has fields", LogTarget::kJournal, "x",
     "MESSAGE=x\nPRIORITY=6\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=lychgate/gate\nSYSLOG_PID=42\n"},
    {"a warning is one in the journal", LogTarget::kJournal, "warning: x",
     "MESSAGE=warning: x\nPRIORITY=4\nSYSLOG_FACILITY=2\nSYSLOG_IDENTIFIER=lychgate/gate\n"
     "SYSLOG_PID=42\n"},
};

// 2026-02-03 04:05:06.000789 UTC.
const WallTime kTime{std::chrono::microseconds(1770091506000789)};

TEST(LogFrame, FramesForEachTarget) {
  ASSERT_EQ(setenv("TZ", "UTC", 1), 0);
  tzset();
  for (const FrameRow& row : kFrames) {
    const LogSink sink{row.target, -1, "lychgate/gate", "mail"};
    std::string out;
    LogFrame(sink, 42).append(kTime, row.text, out);
    EXPECT_EQ(out, row.want) << row.what;
  }
}

TEST(LogFrame, RenewsWhatItKeepsWhenTheSecondChanges) {
  const LogSink sink{LogTarget::kFile, -1, "gate", "mail"};
  LogFrame frame(sink, 1);
  std::string out;
  frame.append(kTime, "a", out);
  frame.append(kTime + std::chrono::milliseconds(500), "b", out);
  frame.append(kTime + std::chrono::seconds(54), "c", out);
  EXPECT_EQ(out,
            "2026-02-03T04:05:06.000789+00:00 mail gate[1]: a\n"
            "2026-02-03T04:05:06.500789+00:00 mail gate[1]: b\n"
            "2026-02-03T04:06:00.000789+00:00 mail gate[1]: c\n");
}

// A log over a kernel that notes the writes and leaves their answers to the test.
class Writes : public sim::SimReactor {
 public:
  using SimReactor::SimReactor;
  void write_fd(int, std::span<const char> bytes, ring::OpTag) override {
    written.emplace_back(bytes.begin(), bytes.end());
  }
  void send_fd(int, std::span<const char> bytes, ring::OpTag) override {
    written.emplace_back(bytes.begin(), bytes.end());
  }
  std::vector<std::string> written;
};

class LogTest : public ::testing::Test {
 protected:
  void open(LogTarget target) {
    sink_ = {target, 3, "gate", "mail"};
    log_ = std::make_unique<Log>(sink_, writes_, counters_, 1);
    log_->set_time(kTime);
  }
  void answer(int32_t result) {
    log_->complete({ring::OpTag::of(ring::Op::kLogWrite), result, false, std::nullopt});
  }
  uint64_t lost() const { return counters_.get(Counter::kLogLost); }
  static size_t lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  sim::Agenda agenda_;
  sim::Random random_{1};
  Writes writes_{agenda_, random_, {}};
  ShardCounters counters_;
  LogSink sink_;
  std::unique_ptr<Log> log_;
};

TEST_F(LogTest, WritesAtOnceWhenCalmAndTwentyTimesASecondWhenBusy) {
  open(LogTarget::kFile);
  log_->flush(1000);
  EXPECT_TRUE(writes_.written.empty()) << "nothing to say";
  log_->add(kTime, "a");
  log_->flush(1000);
  ASSERT_EQ(writes_.written.size(), 1U) << "the first line goes at once";
  answer(static_cast<int32_t>(writes_.written[0].size()));
  log_->add(kTime, "b");
  log_->flush(1003);
  EXPECT_EQ(writes_.written.size(), 1U) << "the next waits for its grain";
  EXPECT_EQ(log_->next_wake(), 1000 + kTimerGrainMs);
  for (size_t i = 1; i < kLogLotLines; ++i) log_->add(kTime, "c");
  log_->flush(1000 + kTimerGrainMs);
  ASSERT_EQ(writes_.written.size(), 2U);
  EXPECT_EQ(lines(writes_.written[1]), kLogLotLines) << "all that came meanwhile, in one write";
  answer(static_cast<int32_t>(writes_.written[1].size()));
  log_->add(kTime, "d");
  EXPECT_EQ(log_->next_wake(), 1000 + kTimerGrainMs + kLogLotMs)
      << "after so many lines it is busy";
}

TEST_F(LogTest, WritesTheRestAfterAShortWrite) {
  open(LogTarget::kFile);
  log_->add(kTime, "abc");
  log_->flush(0);
  answer(4);
  ASSERT_EQ(writes_.written.size(), 2U);
  EXPECT_EQ(writes_.written[1], writes_.written[0].substr(4));
  EXPECT_FALSE(log_->idle());
  answer(static_cast<int32_t>(writes_.written[1].size()));
  EXPECT_TRUE(log_->idle());
  EXPECT_EQ(lost(), 0U);
}

TEST_F(LogTest, SendsOneDatagramALine) {
  open(LogTarget::kSyslog);
  log_->add(kTime, "a");
  log_->add(kTime, "b");
  log_->flush(0);
  EXPECT_EQ(writes_.written.size(), 2U);
  answer(10);
  EXPECT_FALSE(log_->idle()) << "the second is still on its way";
  answer(-EAGAIN);
  EXPECT_TRUE(log_->idle());
  EXPECT_EQ(lost(), 1U);
}

TEST_F(LogTest, CountsEveryLineOfAFailedWriteAndSaysSo) {
  open(LogTarget::kFile);
  for (int i = 0; i < 3; ++i) log_->add(kTime, "x");
  log_->flush(0);
  answer(-ENOSPC);
  EXPECT_EQ(lost(), 3U);
  log_->add(kTime, "y");
  log_->flush(100);
  EXPECT_NE(writes_.written.back().find("warning: 3 log lines lost"), std::string::npos);
}

// The note about lost lines used to be lost as well: it was added to the very lot that was full,
// and its number with it.
TEST_F(LogTest, TellsOfLostLinesEvenWhenTheLotIsFull) {
  open(LogTarget::kFile);
  log_->add(kTime, "first");
  log_->flush(0);  // a slow sink: no answer yet
  const std::string line(400, 'x');
  uint64_t added = 0;
  while (lost() < 7) {
    log_->add(kTime, line);
    ++added;
  }
  answer(static_cast<int32_t>(writes_.written[0].size()));
  log_->flush(100);
  ASSERT_EQ(writes_.written.size(), 2U);
  const std::string& lot = writes_.written[1];
  EXPECT_NE(lot.find("warning: 7 log lines lost"), std::string::npos);
  EXPECT_EQ(lines(lot), added - 7 + 1);
  EXPECT_EQ(lost(), 7U);
  EXPECT_LE(lot.size(), kLogQueueBytes + kLogLineMax);
}

TEST_F(LogTest, DoesNotWaitForTheGrainWhenHalfFull) {
  open(LogTarget::kFile);
  log_->add(kTime, "first");
  log_->flush(0);
  answer(static_cast<int32_t>(writes_.written[0].size()));
  const std::string line(400, 'x');
  for (size_t bytes = 0; bytes <= kLogQueueBytes / 2; bytes += line.size()) log_->add(kTime, line);
  log_->flush(1);
  EXPECT_EQ(writes_.written.size(), 2U);
}

}  // namespace
}  // namespace lychgate::daemon
