// Pages that rot while their file is whole: a view must live, whatever is in them, and a writer
// must not keep a gate busy with dying. liblmdb itself survives neither.

#include <cstring>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "core/store/pages.h"
#include "core/store/store.h"
#include "tests/core/store/harness.h"

namespace lychgate::store {
namespace {

constexpr uint32_t kClients = 20'000;
constexpr size_t kPage = 4096;

struct GoodFile {
  std::string bytes;
  Commit commit;
};

const GoodFile& good_file() {
  static const GoodFile kFile = [] {
    const Folder folder;
    LYCH_CHECK(prepare(folder.options()).has_value());
    {
      auto writer = Writer::open(folder.options());
      for (uint32_t i = 0; i < kClients; ++i) writer->add_visit(key_of(i), record_of(i));
      LYCH_CHECK(writer->commit().has_value());
    }
    const Commit commit = look_at_file(folder.options().path)->commit;
    std::ifstream in(folder.options().path, std::ios::binary);
    std::string bytes((commit.last_page + 1) * kPage, '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return GoodFile{bytes, commit};
  }();
  return kFile;
}

// A leaf of clients, which nothing looks at before a lookup or a commit does.
bool is_clients(const std::string& bytes, size_t page) {
  constexpr char kLeaf = 2;
  const std::string_view text(bytes.data() + page * kPage, kPage);
  const Commit& commit = good_file().commit;
  return text[10] == kLeaf && page != commit.root && page != commit.free_root &&
         text.find("!lychgate") == text.npos;
}

// Behind the two first pages, which prepare() looks at.
void damage(std::string& bytes, Random& random) {
  const size_t page = 2 + random() % (bytes.size() / kPage - 2);
  char* at = bytes.data() + page * kPage;
  switch (random() % 5) {
    case 0:  // all of a page
      for (size_t i = 0; i < kPage; ++i) at[i] = static_cast<char>(random());
      return;
    case 1:  // never written
      std::memset(at, 0, kPage);
      return;
    case 2:  // what says how many entries there are, and where
      for (size_t i = 10; i < 64; ++i) at[i] = static_cast<char>(random());
      return;
    case 3:  // another page in its place
      std::memmove(at, bytes.data() + (2 + random() % (bytes.size() / kPage - 2)) * kPage, kPage);
      return;
    default:  // some bytes
      for (int i = 0; i < 20; ++i) at[random() % kPage] = static_cast<char>(random());
  }
}

struct Answers {
  uint32_t known = 0;
  uint32_t wrong = 0;  // neither what was written nor nothing
  uint32_t damaged = 0;
};

// In memory that ends where the file ends, so that a byte read behind it is seen.
Answers look_up_all(const std::string& path, const Commit& commit) {
  Answers answers;
  const auto pages = Pages::map(path, (commit.last_page + 1) * kPage, commit.page_bytes);
  LYCH_CHECK(pages.has_value());
  for (uint32_t i = 0; i < kClients; ++i) {
    const auto value = pages->find(commit, key_of(i).encoded());
    if (value.found == Pages::Found::kDamaged) ++answers.damaged;
    if (value.found != Pages::Found::kYes) continue;
    ++answers.known;
    if (ClientRecord::decode(value.bytes) != record_of(i)) ++answers.wrong;
  }
  return answers;
}

TEST(Damage, IsSurvivedByAView) {
  const Folder folder;
  const std::string path = folder.options().path;
  Random random(20240703);
  Answers total;
  for (int round = 0; round < 200; ++round) {
    std::string bytes = good_file().bytes;
    for (int i = 0; i < 1 + round % 40; ++i) damage(bytes, random);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
    const Answers answers = look_up_all(path, good_file().commit);
    total.known += answers.known;
    total.damaged += answers.damaged;
  }
  EXPECT_GT(total.known, 0U);
  EXPECT_GT(total.damaged, 0U) << "the rounds must have damaged something that is looked at";
}

TEST(Damage, IsNotSeenInAGoodFile) {
  const Folder folder;
  const std::string path = folder.options().path;
  std::ofstream(path, std::ios::binary) << good_file().bytes;
  const Answers answers = look_up_all(path, good_file().commit);
  EXPECT_EQ(answers.known, kClients);
  EXPECT_EQ(answers.wrong, 0U);
  EXPECT_EQ(answers.damaged, 0U);
}

TEST(Damage, IsCountedByAView) {
  const Folder folder;
  std::string bytes = good_file().bytes;
  for (size_t page = 2; page < bytes.size() / kPage; ++page) {
    if (is_clients(bytes, page)) std::memset(bytes.data() + page * kPage, 0x5a, kPage);
  }
  std::ofstream(folder.options().path, std::ios::binary) << bytes;
  const int status = in_child([&] {
    auto view = View::open(folder.options());
    if (!view) return 1;
    uint64_t known = 0;
    for (uint32_t i = 0; i < kClients; ++i) {
      known += view->find(key_of(i)) ? 1 : 0;
      view->end_turn();
    }
    if (known == 0 || known > 100) return 2;  // those beside the signature
    return view->failed() == kClients - known ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
}

// A store that is cut under a view used to end the shard, and all its clients, by SIGBUS.
TEST(Damage, OfAFileCutShortUnderAViewMakesStrangers) {
  const Folder folder;
  const std::string path = folder.options().path;
  struct Case {
    const char* what;
    const char* file;
    size_t bytes;
    bool in_turn;
  };
  const Case cases[] = {
      {"to nothing, in a turn", "", 0, true},
      {"to nothing, between turns", "", 0, false},
      {"after the first two pages, in a turn", "", 2 * kPage, true},
      {"in half, between turns", "", good_file().bytes.size() / 2, false},
      {"the table of readers, in a turn", "-lock", 0, true},
      {"the table of readers, between turns", "-lock", 0, false},
  };
  for (const Case& c : cases) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << good_file().bytes;
    const int status = in_child([&] {
      auto view = View::open(folder.options());
      if (!view || !view->find(key_of(0))) return 1;
      if (!c.in_turn) view->end_turn();
      if (truncate((path + c.file).c_str(), static_cast<off_t>(c.bytes)) != 0) return 2;
      for (uint32_t i = 0; i < kClients; ++i) view->find(key_of(i));
      view->end_turn();
      if (!view->is_cut()) return 3;
      return view->find(key_of(0)) || view->failed() == 0 ? 4 : 0;
    });
    EXPECT_EQ(status, 0) << c.what;
    std::filesystem::remove(path + "-lock");
  }
}

TEST(Damage, ByAnotherSigbusStillEndsTheProcess) {
  const Folder folder;
  std::ofstream(folder.options().path, std::ios::binary) << good_file().bytes;
  const int status = in_child([&] {
    auto view = View::open(folder.options());
    if (view) view->find(key_of(0));
    raise(SIGBUS);
    return 0;
  });
  EXPECT_EQ(status, 128 + SIGBUS);
}

// Whether liblmdb notices, asserts or crashes: after a few writers the file is set aside, and then
// all is well.
TEST(Damage, EndsWithTheFileSetAside) {
  Random random(20240704);
  for (int round = 0; round < 10; ++round) {
    const Folder folder;
    std::string bytes = good_file().bytes;
    for (size_t page = 2; page < bytes.size() / kPage; ++page) {
      char* at = bytes.data() + page * kPage;
      if (!is_clients(bytes, page)) continue;
      if (round % 2 == 0) std::memset(at + 10, 0, kPage - 10);
      for (size_t i = 10; round % 2 == 1 && i < kPage; ++i) at[i] = static_cast<char>(random());
    }
    std::ofstream(folder.options().path, std::ios::binary) << bytes;
    std::string warning;
    int starts = 0;
    for (; warning.empty() && starts < 10; ++starts) {
      const auto prepared = prepare(folder.options());
      ASSERT_TRUE(prepared) << prepared.error().text;
      warning = prepared->warning;
      in_child([&] {
        // The words of a failed assertion are no news here.
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        auto writer = Writer::open(folder.options());
        for (uint32_t i = 0; writer && i < 1'000; ++i) writer->add_visit(key_of(i), record_of(i));
        return writer && writer->commit() ? 0 : 1;
      });
    }
    EXPECT_NE(warning.find("set aside"), std::string::npos) << "round " << round;
    EXPECT_LE(starts, 7) << "round " << round;
    EXPECT_EQ(Writer::open(folder.options())->stats().records, 1'000U) << "round " << round;
  }
}

}  // namespace
}  // namespace lychgate::store
