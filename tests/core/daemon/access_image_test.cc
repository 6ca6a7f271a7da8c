// The access list as a descriptor: sealed, read in place by another process, unmapped when it is
// let go; and every descriptor that is refused.

#include "core/daemon/access_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

using admission::AccessList;
using admission::AccessResult;

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

AccessList list_of(std::string_view text) {
  return AccessList::parse(text).value();
}

AccessResult ask(const AccessList& list, const char* address) {
  return list.lookup(IpAddress::parse(address).value());
}

// A memory file of the bytes, with the seals.
int memory_file(std::string_view bytes, int seals) {
  const int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
  return fd;
}

std::string_view image_of(const AccessList& list) {
  return {reinterpret_cast<const char*>(list.image().data()), list.bytes()};
}

bool is_mapped(const void* page) {
  unsigned char resident = 0;
  return mincore(const_cast<void*>(page), 1, &resident) == 0 || errno != ENOMEM;
}

TEST(AccessImage, NobodyCanChangeItAndNoProgramInheritsIt) {
  const Descriptor fd(make_access_image(list_of("192.0.2.1 reject\n")).value());
  EXPECT_EQ(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  EXPECT_EQ(write(fd, "x", 1), -1);
  EXPECT_EQ(ftruncate(fd, 0), -1);
  EXPECT_EQ(ftruncate(fd, 1 << 20), -1);
  EXPECT_EQ(mmap(nullptr, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, kSeals), -1) << "not even a seal can be added";
}

TEST(AccessImage, CarriesTheListWithoutTheDescriptor) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += fmt::format("10.{}.{}.1 reject\n", i / 256, i % 256);
  const AccessList list = list_of(text + "2001:db8::/32 permit\n");
  const auto mapped = [&] {
    const Descriptor fd(make_access_image(list).value());
    return MappedAccessList::map(fd);
  }();
  ASSERT_TRUE(mapped.has_value()) << mapped.error().text;
  EXPECT_EQ(mapped->list().rules(), 5001U);
  EXPECT_EQ(ask(mapped->list(), "10.19.135.1"), AccessResult::kReject);
  EXPECT_EQ(ask(mapped->list(), "10.19.136.1"), AccessResult::kDunno);
  EXPECT_EQ(ask(mapped->list(), "2001:db8::1"), AccessResult::kPermit);
}

TEST(AccessImage, AnotherProcessReadsIt) {
  const Descriptor fd(make_access_image(list_of("192.0.2.1 reject\n")).value());
  const pid_t child = fork();
  if (child == 0) {
    const auto mapped = MappedAccessList::map(fd);
    _exit(mapped && ask(mapped->list(), "192.0.2.1") == AccessResult::kReject ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(AccessImage, IsUnmappedWhenItsListIsReplaced) {
  const auto map = [](std::string_view text) {
    const Descriptor fd(make_access_image(list_of(text)).value());
    return std::move(MappedAccessList::map(fd).value());
  };
  MappedAccessList current = map("192.0.2.1 permit\n");
  const void* const old_page = current.list().image().data();
  {
    MappedAccessList next = map("192.0.2.1 reject\n");
    const AccessList* const stays = &next.list();
    current = std::move(next);
    EXPECT_EQ(&current.list(), stays) << "whoever was told of it before may go on";
  }
  EXPECT_EQ(ask(current.list(), "192.0.2.1"), AccessResult::kReject);
  EXPECT_FALSE(is_mapped(old_page));
}

TEST(AccessImage, IsRefusedUnlessItIsSealedAndWhole) {
  const AccessList list = list_of("192.0.2.1 reject\n");
  const std::string_view whole = image_of(list);
  const struct {
    const char* what;
    std::function<int()> open;
    const char* says;
  } rows[] = {
      {"no descriptor", [] { return -1; }, "Bad file descriptor"},
      {"a device", [] { return open("/dev/zero", O_RDONLY | O_CLOEXEC); }, "no memory file"},
      {"not sealed", [&] { return memory_file(whole, 0); }, "not sealed"},
      {"can still be written", [&] { return memory_file(whole, kSeals & ~F_SEAL_WRITE); },
       "not sealed"},
      {"can still be cut short", [&] { return memory_file(whole, kSeals & ~F_SEAL_SHRINK); },
       "not sealed"},
      {"empty", [] { return memory_file("", kSeals); }, "empty"},
      {"other bytes", [] { return memory_file("192.0.2.1 reject\n", kSeals); },
       "shorter than its header"},
      {"cut short before it was sealed",
       [&] { return memory_file(whole.substr(0, whole.size() - 64), kSeals); }, "contradicts"},
  };
  for (const auto& row : rows) {
    const Descriptor fd(row.open());
    const auto mapped = MappedAccessList::map(fd);
    ASSERT_FALSE(mapped.has_value()) << row.what;
    EXPECT_NE(mapped.error().text.find(row.says), std::string::npos)
        << row.what << ", got: " << mapped.error().text;
  }
}

}  // namespace
}  // namespace lychgate::daemon
