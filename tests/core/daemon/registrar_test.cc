// The steward's batches over a real store: when they are written, and what is said when they cannot
// be.

#include "core/daemon/registrar.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include <gtest/gtest.h>

#include "core/base/limits.h"
#include "core/daemon/visitor_book.h"

namespace lychgate::daemon {
namespace {

constexpr Seconds kWall = 1'800'000'000;

class RegistrarTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "registrar-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    config_.store.file = folder_ / "clients.mdb";
    const int fd = open((folder_ / "log").c_str(), O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
    sink_ = {config::LogTarget::kFile, fd, "gate", "mail"};
  }
  void TearDown() override {
    close(sink_.fd);
    std::filesystem::remove_all(folder_);
  }

  static Visit visit(uint32_t client) {
    ClientRecord record;
    record.passes = 1;
    record.first_seen = record.last_seen = kWall;
    record.passed_until[0] = kWall + 100;
    return {ClientKey::of(IpAddress::from_v4(client), {}), record};
  }
  static std::vector<uint8_t> message(uint32_t first, uint32_t count) {
    std::vector<uint8_t> out(1 + count * kVisitBytes);
    out[0] = static_cast<uint8_t>(LineMessage::kVisits);
    for (uint32_t i = 0; i < count; ++i) {
      encode_visit(visit(first + i),
                   std::span(out).subspan(1 + i * kVisitBytes).first<kVisitBytes>());
    }
    return out;
  }
  void take(Registrar& registrar, uint32_t first, uint32_t count) {
    for (uint32_t done = 0; done < count;) {
      const uint32_t some = std::min<uint32_t>(count - done, kVisitsPerMessage);
      registrar.take_visits(message(first + done, some));
      done += some;
    }
  }
  // What a shard can read; `view` ends its turn.
  bool is_known(uint32_t client) {
    StoreBook book(store_options(config_.store));
    book.keep_open(0);
    return book.find(visit(client).key).has_value();
  }
  size_t lines(const std::string& word) const {
    std::ifstream in(folder_ / "log");
    size_t count = 0;
    for (std::string line; std::getline(in, line);) {
      if (line.find(word) != std::string::npos) ++count;
    }
    return count;
  }

  std::filesystem::path folder_;
  config::Config config_;
  LogSink sink_;
};

TEST_F(RegistrarTest, WritesABatchWhenItsTimeHasCome) {
  Registrar registrar(config_, sink_, 1000);
  EXPECT_EQ(registrar.store_state(), "good");
  take(registrar, 1, 3);
  registrar.turn(1000, kWall);
  EXPECT_EQ(registrar.next_wake(), 1000 + kStoreCommitMs);
  registrar.turn(1000 + kStoreCommitMs - 1, kWall);
  EXPECT_EQ(registrar.writer()->uncommitted(), 3U);
  registrar.turn(1000 + kStoreCommitMs, kWall);
  EXPECT_EQ(registrar.writer()->uncommitted(), 0U);
  EXPECT_TRUE(is_known(1));
  EXPECT_TRUE(is_known(3));
  EXPECT_FALSE(is_known(4));
  EXPECT_EQ(lines(""), 0U) << "nothing to say";
}

TEST_F(RegistrarTest, WritesALargeBatchAtOnce) {
  Registrar registrar(config_, sink_, 0);
  take(registrar, 1, kStoreCommitRecords);
  registrar.turn(1, kWall);
  EXPECT_EQ(registrar.writer()->uncommitted(), 0U);
}

TEST_F(RegistrarTest, WritesWhatIsLeftWhenItEnds) {
  {
    Registrar registrar(config_, sink_, 0);
    take(registrar, 1, 1);
    registrar.close();
  }
  EXPECT_TRUE(is_known(1));
}

TEST_F(RegistrarTest, DropsWhatIsNoVisit) {
  Registrar registrar(config_, sink_, 0);
  std::vector<uint8_t> bad = message(1, 2);
  bad[1] = 99;  // the first one's key
  registrar.take_visits(bad);
  EXPECT_EQ(registrar.visits_dropped(), 1U);
  EXPECT_EQ(registrar.writer()->uncommitted(), 1U);
  bad.pop_back();
  registrar.take_visits(bad);
  registrar.take_visits({});
  EXPECT_EQ(registrar.visits_dropped(), 3U) << "and what is cut off";
}

TEST_F(RegistrarTest, WithoutAStoreNothingIsKept) {
  config_.store.file.clear();
  Registrar registrar(config_, sink_, 0);
  take(registrar, 1, 5);
  registrar.turn(10000, kWall);
  registrar.close();
  EXPECT_EQ(registrar.store_state(), "none");
  EXPECT_EQ(registrar.writer(), nullptr);
  EXPECT_EQ(registrar.next_wake(), std::nullopt);
  EXPECT_EQ(registrar.visits_dropped(), 5U);
}

TEST_F(RegistrarTest, TriesAgainToOpenAndSaysSoOnce) {
  const std::filesystem::path inner = folder_ / "later";
  config_.store.file = inner / "clients.mdb";
  Registrar registrar(config_, sink_, 0);
  EXPECT_EQ(registrar.writer(), nullptr);
  EXPECT_NE(registrar.store_state(), "good");
  EXPECT_EQ(registrar.next_wake(), kStoreReopenMs);
  registrar.turn(kStoreReopenMs, kWall);
  registrar.turn(2 * kStoreReopenMs, kWall);
  EXPECT_EQ(lines("warning: "), 1U);
  std::filesystem::create_directory(inner);
  registrar.turn(3 * kStoreReopenMs, kWall);
  EXPECT_NE(registrar.writer(), nullptr);
  EXPECT_EQ(registrar.store_state(), "good");
  EXPECT_EQ(lines("works again"), 1U);
}

TEST_F(RegistrarTest, AFullStoreIsSaidOnceAndLosesNothingThatWasWritten) {
  config_.store.size_max = 1;
  Registrar registrar(config_, sink_, 0);
  Tick now = 0;
  uint32_t first = 1;
  while (registrar.store_state() == "good" && first < 50000) {
    take(registrar, first, 1000);
    first += 1000;
    now += kStoreCommitMs;
    registrar.turn(now, kWall);
    registrar.turn(now + kStoreCommitMs, kWall);
    now += kStoreCommitMs;
  }
  EXPECT_NE(registrar.store_state(), "good");
  for (int i = 0; i < 5; ++i) registrar.turn(now += kStoreRetryMs, kWall);
  EXPECT_EQ(lines("warning: "), 1U);
  EXPECT_TRUE(is_known(1));
}

TEST_F(RegistrarTest, ForgetsTheOldALittleEachSecond) {
  config_.store.retention = std::chrono::seconds(10);
  Registrar registrar(config_, sink_, 0);
  take(registrar, 1, 50);
  registrar.turn(0, kWall);
  registrar.turn(kStoreCommitMs, kWall);
  Tick now = kStoreCommitMs;
  for (int i = 0; i < 100; ++i) registrar.turn(now += 1000, kWall + 50);
  EXPECT_TRUE(is_known(1)) << "its pass is good for a hundred seconds";
  for (int i = 0; i < 100; ++i) registrar.turn(now += 1000, kWall + 200);
  EXPECT_FALSE(is_known(1));
  EXPECT_FALSE(is_known(50));
}

}  // namespace
}  // namespace lychgate::daemon
