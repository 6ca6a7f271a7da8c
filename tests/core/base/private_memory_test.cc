// Private memory: readable while it lives, wiped before the pages go back, left out of core dumps;
// and a Secret that nothing prints by accident.

#include "core/base/private_memory.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace lychgate {
namespace {

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};

static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!Streamable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_copy_constructible_v<PrivateMemory>);

constexpr std::string_view kKey = "q2xkm7wvznp4";

PrivateMemory make_memory(size_t bytes) {
  return std::move(PrivateMemory::create(bytes).value());
}

// The VmFlags line of the mapping that an address lies in.
std::string vm_flags(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    char dash = 0;
    std::istringstream in(line);
    if (in >> std::hex >> begin >> dash >> end && dash == '-')
      inside = begin <= wanted && wanted < end;
    if (inside && line.starts_with("VmFlags:")) return line + " ";
  }
  return {};
}

TEST(PrivateMemory, IsZeroedWholePages) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (const size_t bytes : {size_t{1}, page, page + 1}) {
    const PrivateMemory memory = make_memory(bytes);
    EXPECT_EQ(memory.bytes().size(), (bytes + page - 1) / page * page) << bytes;
    EXPECT_TRUE(std::ranges::all_of(memory.bytes(), [](char c) { return c == 0; })) << bytes;
    std::ranges::fill(memory.bytes(), 'x');
    EXPECT_EQ(memory.bytes().back(), 'x') << bytes;
  }
}

TEST(PrivateMemory, IsLeftOutOfCoreDumps) {
  const PrivateMemory memory = make_memory(10'000);
  EXPECT_NE(vm_flags(memory.bytes().data()).find(" dd "), std::string::npos)
      << vm_flags(memory.bytes().data());
  EXPECT_NE(vm_flags(&memory.bytes().back()).find(" dd "), std::string::npos) << "its last byte";
  const std::string ordinary(10'000, 'x');
  EXPECT_EQ(vm_flags(ordinary.data()).find(" dd "), std::string::npos) << "the test sees the flag";
}

// A pipe that holds the page itself, not a copy (vmsplice(2)), still shows it when it is unmapped.
class PageInPipe {
 public:
  explicit PageInPipe(std::span<char> bytes) {
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
    const iovec page{bytes.data(), kKey.size()};
    EXPECT_EQ(vmsplice(ends_[1], &page, 1, 0), static_cast<ssize_t>(kKey.size()));
  }
  PageInPipe(const PageInPipe&) = delete;
  PageInPipe& operator=(const PageInPipe&) = delete;
  ~PageInPipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  std::string read_now() {
    std::string text(kKey.size(), '?');
    EXPECT_EQ(read(ends_[0], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    return text;
  }

 private:
  std::array<int, 2> ends_{};
};

TEST(PrivateMemory, IsWipedBeforeItIsGivenBack) {
  const std::string zeros(kKey.size(), '\0');
  auto memory = std::make_unique<PrivateMemory>(make_memory(1));
  std::memcpy(memory->bytes().data(), kKey.data(), kKey.size());
  PageInPipe alive(memory->bytes());
  EXPECT_EQ(alive.read_now(), kKey) << "the pipe shows the page";
  PageInPipe dead(memory->bytes());
  memory.reset();
  EXPECT_EQ(dead.read_now(), zeros);
}

TEST(PrivateMemory, IsEmptyOnceMovedFrom) {
  PrivateMemory first = make_memory(1);
  char* const data = first.bytes().data();
  PrivateMemory second(std::move(first));
  EXPECT_EQ(second.bytes().data(), data);
  // NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move): what is tested
  EXPECT_TRUE(first.bytes().empty());
  PrivateMemory third;
  third = std::move(second);
  EXPECT_EQ(third.bytes().data(), data);
  // NOLINTNEXTLINE(bugprone-use-after-move,clang-analyzer-cplusplus.Move): likewise
  EXPECT_TRUE(second.bytes().empty());
}

TEST(Secret, GrowsByTextAndByRead) {
  Secret secret = std::move(Secret::create().value());
  EXPECT_EQ(secret.size(), 0U);
  EXPECT_EQ(secret.reveal(), "");
  EXPECT_GE(secret.room().size(), Secret::kBytesMax);
  secret.append(kKey);
  secret.append(".zen.dq.example");
  EXPECT_EQ(secret.reveal(), std::string(kKey) + ".zen.dq.example");
  secret.shrink_to(kKey.size());
  EXPECT_EQ(secret.reveal(), kKey);
  std::memcpy(secret.room().data(), "-end", 4);
  secret.grow(4);
  EXPECT_EQ(secret.reveal(), std::string(kKey) + "-end");
}

TEST(Secret, TakesAsMuchAsItPromises) {
  Secret secret = std::move(Secret::create().value());
  const std::string full(Secret::kBytesMax, 'k');
  secret.append(full);
  EXPECT_EQ(secret.reveal(), full);
  EXPECT_DEATH(secret.append("x"), "check failed");
}

TEST(Secret, LiesInPrivateMemory) {
  Secret secret = std::move(Secret::create().value());
  secret.append(kKey);
  EXPECT_NE(vm_flags(secret.reveal().data()).find(" dd "), std::string::npos);
}

TEST(Secret, MovesWithItsBytes) {
  Secret first = std::move(Secret::create().value());
  first.append(kKey);
  const char* const data = first.reveal().data();
  const Secret second = std::move(first);
  EXPECT_EQ(second.reveal(), kKey);
  EXPECT_EQ(second.reveal().data(), data) << "no copy is left behind";
}

TEST(Secret, AMovedFromOneIsEmpty) {
  auto made = Secret::create();
  ASSERT_TRUE(made.has_value());
  made->append("key");
  const Secret moved = std::move(*made);
  EXPECT_EQ(moved.reveal(), "key");
  EXPECT_EQ(made->size(), 0U);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_TRUE(made->reveal().empty());
}

TEST(Secret, EqualsOneOfTheSameBytes) {
  const auto made = [](std::string_view text) {
    Secret secret = std::move(Secret::create().value());
    secret.append(text);
    return secret;
  };
  EXPECT_TRUE(made(kKey) == made(kKey));
  EXPECT_FALSE(made("key1") == made("key2"));
  EXPECT_FALSE(made("1key") == made("2key"));
  EXPECT_FALSE(made("key") == made("key1"));
  EXPECT_TRUE(made("") == Secret()) << "one without room for a key has none";
}

}  // namespace
}  // namespace lychgate
