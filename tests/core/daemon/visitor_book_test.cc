// A shard's way to the store while others do things to its file: set it aside, cut it short.

#include "core/daemon/visitor_book.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "core/base/check.h"
#include "core/base/limits.h"

namespace lychgate::daemon {
namespace {

class StoreBookTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "book-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    options_ = {.path = folder_ / "clients.mdb", .bytes_max = 16 << 20};
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  static ClientKey key(uint32_t client) { return ClientKey::of(IpAddress::from_v4(client), {}); }
  // A new file in which one client is known.
  void make_store(uint32_t client) const {
    LYCH_CHECK(store::prepare(options_).has_value());
    auto writer = store::Writer::open(options_);
    LYCH_CHECK(writer.has_value());
    ClientRecord record;
    record.passes = 1;
    writer->add_visit(key(client), record);
    LYCH_CHECK(writer->commit().has_value());
  }
  // As the steward does it with one that is not whole.
  void set_aside() const {
    std::filesystem::rename(options_.path, options_.path + ".corrupt-1");
    std::filesystem::remove(options_.path + "-lock");
  }
  static bool knows(StoreBook& book, uint32_t client) {
    const bool known = book.find(key(client)).has_value();
    book.end_turn();
    return known;
  }

  std::filesystem::path folder_;
  store::Options options_;
};

// A shard used to go on with the old file until its own restart: whoever the steward had learned
// since then stayed a stranger.
TEST_F(StoreBookTest, TakesTheNewFileWhenTheOldOneWasSetAside) {
  make_store(1);
  StoreBook book(options_);
  EXPECT_EQ(book.keep_open(0), std::nullopt);
  EXPECT_TRUE(knows(book, 1));
  set_aside();
  EXPECT_EQ(book.keep_open(kStoreReopenMs), std::nullopt);
  EXPECT_TRUE(knows(book, 1)) << "as long as there is no other";
  make_store(2);
  EXPECT_EQ(book.keep_open(2 * kStoreReopenMs - 1), std::nullopt);
  EXPECT_TRUE(knows(book, 1)) << "it looks once a minute";
  EXPECT_EQ(book.keep_open(2 * kStoreReopenMs), std::nullopt);
  EXPECT_TRUE(knows(book, 2));
  EXPECT_FALSE(knows(book, 1));
}

TEST_F(StoreBookTest, ClosesAFileThatIsCutShortAndSaysSoOnce) {
  make_store(1);
  StoreBook book(options_);
  book.keep_open(0);
  EXPECT_TRUE(knows(book, 1));
  std::filesystem::resize_file(options_.path, 0);
  EXPECT_FALSE(knows(book, 1));
  const auto warning = book.keep_open(10);
  ASSERT_TRUE(warning);
  EXPECT_NE(warning->find("clients.mdb: the file was cut short"), std::string::npos) << *warning;
  EXPECT_FALSE(knows(book, 1));
  EXPECT_EQ(book.keep_open(20), std::nullopt);
  set_aside();
  make_store(2);
  EXPECT_EQ(book.keep_open(10 + kStoreReopenMs), std::nullopt);
  EXPECT_TRUE(knows(book, 2));
}

}  // namespace
}  // namespace lychgate::daemon
