// Writers and readers killed at any moment: what was committed is there and whole, the next one
// goes on, and the file does not grow for those who are gone.

#include <algorithm>
#include <string>

#include <gtest/gtest.h>

#include "core/store/store.h"
#include "tests/core/store/harness.h"

namespace lychgate::store {
namespace {

constexpr uint32_t kClients = 3'000;

// Gives all clients the same count, one higher each time, and says a byte before and after each
// commit.
void count_up(const Options& options, int fd) {
  auto writer = Writer::open(options);
  LYCH_CHECK(writer.has_value());
  uint32_t count = writer->find(key_of(0)).value().value_or(ClientRecord{}).passes;
  while (true) {
    ClientRecord record = record_of(0);
    record.passes = ++count;
    for (uint32_t i = 0; i < kClients; ++i) writer->replace(key_of(i), record);
    if (write(fd, "b", 1) != 1) return;
    LYCH_CHECK(writer->commit().has_value());
    if (write(fd, "a", 1) != 1) return;
  }
}

TEST(Death, OfAWriterLeavesTheLastCommit) {
  const Folder folder;
  Random random(20240705);
  uint32_t last = 0;
  for (int round = 0; round < 30; ++round) {
    const auto prepared = prepare(folder.options());
    ASSERT_TRUE(prepared) << prepared.error().text;
    ASSERT_EQ(prepared->warning, "") << "round " << round;
    uint32_t committed = last;
    {
      Peer writer([&](int fd) { count_up(folder.options(), fd); });
      const uint32_t bytes = 1 + 2 * (random() % 4);  // the last one: before a commit
      for (uint32_t i = 0; i < bytes; ++i) committed += writer.hear() == 'a' ? 1 : 0;
      // As long as it takes to find some clients, so that the commit is under way.
      volatile uint32_t spin = random() % 2'000'000;
      while (spin > 0) spin = spin - 1;
    }
    auto writer = Writer::open(folder.options());
    ASSERT_TRUE(writer) << writer.error().text;
    const auto first = writer->find(key_of(0)).value();
    const uint32_t count = first ? first->passes : 0;
    EXPECT_GE(count, committed) << "what was committed stays, round " << round;
    for (uint32_t i = 0; i < kClients; ++i) {
      const auto record = writer->find(key_of(i)).value();
      ASSERT_EQ(record ? record->passes : 0, count) << "all of a batch or nothing, round " << round;
    }
    // As a steward does who has come back; five deaths without a commit would condemn the file.
    writer->replace(key_of(kClients), record_of(1));
    ASSERT_TRUE(writer->commit()) << "the next one goes on, round " << round;
    last = count;
  }
  EXPECT_GT(last, 0U);
}

TEST(Death, OfReadersDoesNotMakeTheFileGrow) {
  const Folder folder;
  ASSERT_TRUE(prepare(folder.options()));
  auto writer = Writer::open(folder.options());
  ASSERT_TRUE(writer);
  const auto commit_all = [&] {
    for (uint32_t i = 0; i < kClients; ++i) writer->add_visit(key_of(i), record_of(i));
    ASSERT_TRUE(writer->commit());
  };
  for (int i = 0; i < 20; ++i) commit_all();
  const uint64_t high = writer->stats().bytes_high;
  for (int round = 0; round < 20; ++round) {
    Peer reader([&](int fd) {
      auto view = View::open(folder.options());
      const char answer = view && view->find(key_of(1)) ? 'y' : 'n';
      LYCH_CHECK(write(fd, &answer, 1) == 1);
      char never = 0;
      LYCH_CHECK(read(fd, &never, 1) == 0);
    });
    ASSERT_EQ(reader.hear(), 'y') << "a reader in the middle of its turn";
    reader.kill_now();
    for (int i = 0; i < 20; ++i) commit_all();
  }
  EXPECT_LE(writer->stats().bytes_high, high * 2);
  EXPECT_EQ(writer->stats().records, kClients);
}

}  // namespace
}  // namespace lychgate::store
