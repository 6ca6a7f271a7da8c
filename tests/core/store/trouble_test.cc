// Files that are not ours or not whole, folders that take none, no space: each is told in a
// sentence, nothing is deleted, and the store can be used as soon as the trouble is over.

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "core/store/store.h"
#include "tests/core/store/harness.h"

namespace lychgate::store {
namespace {

constexpr size_t kPage = 4096;

std::string bytes_of_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// 2,000 clients; without the hole at its end.
std::string good_file() {
  static const std::string kBytes = [] {
    const Folder folder;
    Options options = folder.options();
    options.bytes_max = 1 << 20;
    LYCH_CHECK(prepare(options).has_value());
    {
      auto writer = Writer::open(options);
      for (uint32_t i = 0; i < 2'000; ++i) writer->add_visit(key_of(i), record_of(i));
      LYCH_CHECK(writer->commit().has_value());
    }
    return bytes_of_file(options.path);
  }();
  return kBytes;
}

std::vector<std::filesystem::path> set_aside_in(const Folder& folder) {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    if (entry.path().string().find(".corrupt-") != std::string::npos) out.push_back(entry.path());
  }
  return out;
}

void replace_all(std::string& bytes, std::string_view from, std::string_view to) {
  ASSERT_EQ(from.size(), to.size());
  size_t at = bytes.find(from);
  ASSERT_NE(at, std::string::npos);
  for (; at != std::string::npos; at = bytes.find(from, at)) bytes.replace(at, to.size(), to);
}

struct Damage {
  const char* what;
  void (*change)(std::string& bytes);
};
const Damage kBroken[] = {
    {"a text", [](std::string& b) { b = "192.0.2.1 permit\n"; }},
    {"a long text", [](std::string& b) { b = std::string(100'000, 'x'); }},
    {"one byte", [](std::string& b) { b.resize(1); }},
    {"cut in the first page", [](std::string& b) { b.resize(100); }},
    {"cut after the first page", [](std::string& b) { b.resize(kPage); }},
    {"cut after the first two pages", [](std::string& b) { b.resize(2 * kPage); }},
    {"cut in half of what is used", [](std::string& b) { b.resize(20 * kPage); }},
    {"the first page is noise", [](std::string& b) { b.replace(0, kPage, kPage, '\x5a'); }},
    {"the second page is noise", [](std::string& b) { b.replace(kPage, kPage, kPage, '\x5a'); }},
    {"everything behind is noise",
     [](std::string& b) { b.replace(2 * kPage, b.npos, b.size() - 2 * kPage, '\x5a'); }},
    {"everything behind is zero",
     [](std::string& b) { b.replace(2 * kPage, b.npos, b.size() - 2 * kPage, '\0'); }},
    {"another program's", [](std::string& b) { replace_all(b, "!lychgate", "!someones"); }},
};

TEST(Trouble, SetsAsideWhatIsNoStore) {
  for (const Damage& damage : kBroken) {
    const Folder folder;
    const Options options = folder.options();
    std::string bytes = good_file();
    damage.change(bytes);
    write_file(options.path, bytes);
    const auto prepared = prepare(options);
    ASSERT_TRUE(prepared) << damage.what << ": " << prepared.error().text;
    EXPECT_NE(prepared->warning.find("set aside as"), std::string::npos)
        << damage.what << ": " << prepared->warning;
    const auto aside = set_aside_in(folder);
    ASSERT_EQ(aside.size(), 1U) << damage.what;
    EXPECT_TRUE(bytes_of_file(aside[0]) == bytes) << damage.what << ": kept as it was";
    auto writer = Writer::open(options);
    ASSERT_TRUE(writer) << damage.what;
    writer->add_visit(key_of(1), record_of(1));
    EXPECT_TRUE(writer->commit()) << damage.what;
    EXPECT_EQ(writer->stats().records, 1U) << damage.what;
  }
}

TEST(Trouble, SetsAsideASecondOneBesideTheFirst) {
  const Folder folder;
  for (const char* text : {"first", "second", "third"}) {
    write_file(folder.options().path, text);
    ASSERT_TRUE(prepare(folder.options()));
  }
  EXPECT_EQ(set_aside_in(folder).size(), 3U);
}

TEST(Trouble, AViewRefusesAFileThatIsNotWhole) {
  for (const Damage& damage : kBroken) {
    if (std::string_view(damage.what) == "another program's") continue;  // whole, if not ours
    const Folder folder;
    std::string bytes = good_file();
    damage.change(bytes);
    write_file(folder.options().path, bytes);
    const int status = in_child([&] {
      const auto view = View::open(folder.options());
      return view || view.error().code != ExitCode::kOsError ? 1 : 0;
    });
    EXPECT_EQ(status, 0) << damage.what;
  }
  const Folder folder;
  EXPECT_FALSE(View::open(folder.options())) << "no file at all";
}

TEST(Trouble, LeavesAWholeFileAlone) {
  const Folder folder;
  write_file(folder.options().path, good_file());
  const auto prepared = prepare(folder.options());
  ASSERT_TRUE(prepared) << prepared.error().text;
  EXPECT_EQ(prepared->warning, "");
  EXPECT_EQ(Writer::open(folder.options())->stats().records, 2'000U);
}

TEST(Trouble, TakesAnEmptyFileForANewOne) {
  const Folder folder;
  write_file(folder.options().path, "");
  const auto prepared = prepare(folder.options());
  ASSERT_TRUE(prepared) << prepared.error().text;
  EXPECT_EQ(prepared->warning, "");
  EXPECT_TRUE(Writer::open(folder.options()));
}

TEST(Trouble, LeavesAFileOfANewerVersionAlone) {
  const Damage rows[] = {
      {"a later way of keeping clients",
       [](std::string& b) { replace_all(b, "!lychgate\x01\x01", "!lychgate\x02\x01"); }},
      {"later records",
       [](std::string& b) { replace_all(b, "!lychgate\x01\x01", "!lychgate\x01\x02"); }},
      {"a later format of LMDB",
       [](std::string& b) {
         b[20] = 2;
         b[kPage + 20] = 2;
       }},
  };
  for (const Damage& row : rows) {
    const Folder folder;
    std::string bytes = good_file();
    row.change(bytes);
    write_file(folder.options().path, bytes);
    const auto prepared = prepare(folder.options());
    ASSERT_FALSE(prepared) << row.what;
    EXPECT_EQ(prepared.error().code, ExitCode::kConfig) << row.what;
    EXPECT_TRUE(set_aside_in(folder).empty()) << row.what;
    EXPECT_TRUE(bytes_of_file(folder.options().path) == bytes) << row.what;
  }
}

TEST(Trouble, SaysWhyAFileCannotBeMade) {
  struct Row {
    const char* what;
    std::function<void(const Folder& folder, Options& options)> arrange;
    bool as_nobody;    // root may write everywhere
    const char* want;  // in the sentence
  };
  const Row rows[] = {
      {"no folder",
       [](const Folder& f, Options& o) { o.path = f.path() / "missing" / "clients.mdb"; }, false,
       "No such file or directory"},
      {"a folder in its place",
       [](const Folder&, Options& o) { std::filesystem::create_directory(o.path); }, false,
       "is not a file"},
      {"a pipe in its place",
       [](const Folder&, Options& o) { LYCH_CHECK(mkfifo(o.path.c_str(), 0600) == 0); }, false,
       "is not a file"},
      {"a folder that may only be read",
       [](const Folder& f, Options&) { LYCH_CHECK(chmod(f.path().c_str(), 0555) == 0); }, true,
       "Permission denied"},
  };
  for (const Row& row : rows) {
    const Folder folder;
    Options options = folder.options();
    row.arrange(folder, options);
    const int status = in_child([&] {
      constexpr uid_t kNobody = 65534;
      const bool changes = row.as_nobody && geteuid() == 0;
      if (changes && setresuid(kNobody, kNobody, kNobody) != 0) return 2;
      const auto prepared = prepare(options);
      if (prepared || prepared.error().code != ExitCode::kCantCreate) return 3;
      return prepared.error().text.find(row.want) != std::string::npos ? 0 : 4;
    });
    EXPECT_EQ(status, 0) << row.what;
  }
}

TEST(Trouble, HasOneWriter) {
  const Folder folder;
  ASSERT_TRUE(prepare(folder.options()));
  auto first = Writer::open(folder.options());
  ASSERT_TRUE(first);
  const auto refused = [&] {
    const auto second = Writer::open(folder.options());
    return !second && second.error().code == ExitCode::kUnavailable ? 0 : 1;
  };
  EXPECT_EQ(in_child(refused), 0) << "another gate";
  const auto prepared = prepare(folder.options());
  EXPECT_TRUE(prepared) << "which may look at the file, since shards may read it";
  EXPECT_EQ(prepared->warning, "");
  first->add_visit(key_of(1), record_of(1));
  EXPECT_TRUE(first->commit()) << "and does the first one no harm";
}

TEST(Trouble, StaysUsableWhenTheFileIsFull) {
  const Folder folder;
  Options options = folder.options();
  options.bytes_max = 1 << 20;
  ASSERT_TRUE(prepare(options));
  auto writer = Writer::open(options);
  ASSERT_TRUE(writer);
  uint32_t clients = 0;
  Result<void> done;
  for (; done && clients < 100'000; done = writer->commit()) {
    for (int i = 0; i < 100; ++i, ++clients) writer->add_visit(key_of(clients), record_of(clients));
  }
  ASSERT_FALSE(done) << "1 MiB takes no 100,000 clients";
  EXPECT_NE(done.error().text.find("store.size_max"), std::string::npos) << done.error().text;
  EXPECT_EQ(writer->uncommitted(), 100U) << "kept for the next try";
  EXPECT_EQ(writer->stats().commit_errors, 1U);
  EXPECT_EQ(writer->stats().records, clients - 100);
  EXPECT_FALSE(writer->commit()) << "still full";
  const uint64_t before = writer->stats().records;
  for (int i = 0; i < 2'000 && writer->stats().records > before / 2; ++i) {
    const auto looked = writer->clean(1'000'000'000, 0, 1'000);
    ASSERT_TRUE(looked) << looked.error().text << " in round " << i;
  }
  EXPECT_LE(writer->stats().records, before / 2) << "forgetting needs pages, too, and has some";
  done = writer->commit();
  EXPECT_TRUE(done) << done.error().text;
  EXPECT_EQ(writer->uncommitted(), 0U);
  EXPECT_LE(std::filesystem::file_size(options.path), options.bytes_max);
}

// A file system of this process alone, whose last pages are taken. Written through a mapping, a
// file without space would end the process.
int prepare_without_space(const Folder& folder) {
  constexpr int kNoMounts = 77;
  if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) return kNoMounts;
  mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (mount("none", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) return kNoMounts;
  const std::string filler = folder.path() / "filler";
  const int fd = open(filler.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);
  const std::string page(kPage, 'x');
  while (write(fd, page.data(), page.size()) == static_cast<ssize_t>(page.size())) {
  }
  for (int free_pages = 0; free_pages < 10; ++free_pages) {
    const auto prepared = prepare(folder.options());
    if (prepared || prepared.error().code != ExitCode::kCantCreate) return 1;
    if (prepared.error().text.find("make room") == std::string::npos) return 2;
    if (ftruncate(fd, lseek(fd, 0, SEEK_END) - static_cast<off_t>(kPage)) != 0) return 3;
  }
  if (ftruncate(fd, 0) != 0) return 4;
  return prepare(folder.options()) ? 0 : 5;
}

TEST(Trouble, IsNotKilledByAFullFileSystem) {
  const Folder folder;
  const int status = in_child([&] { return prepare_without_space(folder); });
  if (status == 77) GTEST_SKIP() << "may not mount a file system of its own";
  EXPECT_EQ(status, 0);
}

// The kernel's limit for files stands for a full file system.
TEST(Trouble, StaysUsableWhenThereIsNoSpace) {
  const Folder folder;
  ASSERT_TRUE(prepare(folder.options()));
  const int status = in_child([&] {
    auto writer = Writer::open(folder.options());
    if (!writer) return 1;
    writer->add_visit(key_of(0), record_of(0));
    if (!writer->commit()) return 2;
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 10 * kPage;
    setrlimit(RLIMIT_FSIZE, &limit);
    for (uint32_t i = 1; i < 5'000; ++i) writer->add_visit(key_of(i), record_of(i));
    for (int tries = 0; tries < 3; ++tries) {
      const auto done = writer->commit();
      if (done || done.error().text.find("make room") == std::string::npos) return 3;
    }
    if (writer->uncommitted() != 4'999 || writer->stats().records != 1) return 4;
    if (writer->find(key_of(0)).value() != record_of(0)) return 5;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    if (!writer->commit() || writer->stats().records != 5'000) return 6;
    return writer->stats().commit_errors == 3 ? 0 : 7;
  });
  EXPECT_EQ(status, 0);
  const auto prepared = prepare(folder.options());
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->warning, "");
}

}  // namespace
}  // namespace lychgate::store
