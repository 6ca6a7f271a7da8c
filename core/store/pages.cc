// The format, from mdb.c of liblmdb 0.9.24, all numbers little-endian:
//   page   number u64, pad u16, flags u16, lower u16, upper u16, then an offset u16 for each entry,
//          up to `lower`
//   entry  at its offset: low u16, high u16, flags u16, key size u16, key, value. In a leaf low and
//          high are the value's size; in a branch they are, with flags on top, a page's number
//   meta   (pages 0 and 1, behind the page's 16 bytes) magic u32, version u32, address u64, map
//          size u64, two trees of 48 bytes (page size u32 and 36 more bytes, root u64), last page
//          u64, commit u64. Commit N is in page N % 2

#include "core/store/pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace lychgate::store {
namespace {

static_assert(std::endian::native == std::endian::little && sizeof(void*) == 8);

constexpr uint32_t kMagic = 0xBEEFC0DE;
constexpr uint32_t kFormat = 1;
constexpr uint16_t kBranch = 1;
constexpr uint16_t kLeaf = 2;
constexpr uint16_t kMeta = 8;
constexpr size_t kPageHeader = 16;
constexpr size_t kEntryHeader = 8;
constexpr size_t kMetaBytes = kPageHeader + 24 + 48 * 2 + 16;
constexpr uint32_t kPageBytesMin = 512;
constexpr uint32_t kPageBytesMax = 32768;
// 2^32 pages of two entries each: a deeper tree runs in a circle.
constexpr int kDepthMax = 32;

template <typename T>
T number_at(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

// REQUIRES: kMetaBytes at `page`.
Commit read_meta(const uint8_t* page) {
  const uint8_t* meta = page + kPageHeader;
  return {.page_bytes = number_at<uint32_t>(meta + 24),
          .last_page = number_at<uint64_t>(meta + 120),
          .free_root = number_at<uint64_t>(meta + 24 + 40),
          .root = number_at<uint64_t>(meta + 72 + 40),
          .number = number_at<uint64_t>(meta + 128)};
}

bool is_page_size(uint32_t bytes) {
  return std::has_single_bit(bytes) && bytes >= kPageBytesMin && bytes <= kPageBytesMax;
}

// A page of a tree, and no more of it than is there. Of one that is damaged: no entries.
class Page {
 public:
  Page(const uint8_t* at, uint32_t bytes, uint64_t number) : at_(at), bytes_(bytes) {
    const auto lower = number_at<uint16_t>(at + 12);
    const auto flags = number_at<uint16_t>(at + 10);
    const bool is_this = number_at<uint64_t>(at) == number;
    if (!is_this || lower < kPageHeader || lower > bytes) return;
    if (flags != kBranch && flags != kLeaf) return;
    flags_ = flags;
    entries_ = (lower - kPageHeader) / sizeof(uint16_t);
  }

  bool is_branch() const { return flags_ == kBranch; }
  bool is_leaf() const { return flags_ == kLeaf; }
  size_t entries() const { return entries_; }

  struct Entry {
    const uint8_t* at = nullptr;
    std::span<const uint8_t> key;
    uint64_t page() const { return size() | uint64_t{number_at<uint16_t>(at + 4)} << 32; }
    uint32_t size() const { return number_at<uint32_t>(at); }
    bool is_plain() const { return number_at<uint16_t>(at + 4) == 0; }
  };
  // nullopt: it would not end inside of the page.
  std::optional<Entry> entry(size_t i) const {
    const auto offset = number_at<uint16_t>(at_ + kPageHeader + i * sizeof(uint16_t));
    if (offset + kEntryHeader > bytes_) return std::nullopt;
    const uint8_t* at = at_ + offset;
    const auto key_bytes = number_at<uint16_t>(at + 6);
    if (offset + kEntryHeader + key_bytes > bytes_) return std::nullopt;
    return Entry{at, {at + kEntryHeader, key_bytes}};
  }
  std::optional<std::span<const uint8_t>> value(const Entry& entry) const {
    const uint8_t* start = entry.key.data() + entry.key.size();
    const auto left = static_cast<size_t>(at_ + bytes_ - start);
    if (!entry.is_plain() || entry.size() > left) return std::nullopt;
    return std::span(start, entry.size());
  }

 private:
  const uint8_t* at_;
  uint32_t bytes_;
  uint16_t flags_ = 0;
  size_t entries_ = 0;
};

int compare(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  const int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
  if (order != 0) return order;
  return static_cast<int>(a.size()) - static_cast<int>(b.size());
}

// The last of the entries from `first` on whose key is not behind `key`; first - 1 if there is
// none. nullopt: damaged.
std::optional<size_t> last_not_behind(const Page& page, size_t first,
                                      std::span<const uint8_t> key) {
  size_t low = first;
  size_t high = page.entries();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const auto entry = page.entry(middle);
    if (!entry) return std::nullopt;
    if (compare(entry->key, key) <= 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

FileLook broken(std::string why) {
  return {.state = FileState::kBroken, .why = std::move(why), .commit = {}};
}

// A root must be a page of a tree.
bool is_root(int fd, const Commit& commit, uint64_t root) {
  if (root == kNoPage) return true;
  std::array<uint8_t, kPageHeader> header{};
  if (root < 2 || root > commit.last_page) return false;
  const auto at = static_cast<off_t>(root * commit.page_bytes);
  if (pread(fd, header.data(), header.size(), at) != static_cast<ssize_t>(header.size())) {
    return false;
  }
  const auto flags = number_at<uint16_t>(header.data() + 10);
  return number_at<uint64_t>(header.data()) == root && (flags & (kBranch | kLeaf)) != 0;
}

// Both meta pages: the newer one counts.
FileLook look_at_metas(int fd, uint64_t file_bytes) {
  Commit newest;
  off_t at = 0;
  for (int i = 0; i < 2; ++i) {
    std::array<uint8_t, kMetaBytes> page{};
    if (pread(fd, page.data(), page.size(), at) != static_cast<ssize_t>(page.size())) {
      return broken("it ends in its first pages");
    }
    const bool is_meta = (number_at<uint16_t>(page.data() + 10) & kMeta) != 0 &&
                         number_at<uint32_t>(page.data() + kPageHeader) == kMagic;
    if (!is_meta) return broken("it is no LMDB file");
    const auto format = number_at<uint32_t>(page.data() + kPageHeader + 4);
    if (format > kFormat) {
      return {.state = FileState::kNewer,
              .why = fmt::format("it is LMDB's format {}, this program reads {}", format, kFormat),
              .commit = {}};
    }
    const Commit commit = read_meta(page.data());
    if (!is_page_size(commit.page_bytes)) return broken("its first pages make no sense");
    if (i == 0 || commit.number > newest.number) newest = commit;
    at = commit.page_bytes;
  }
  if (newest.last_page >= file_bytes / newest.page_bytes) {
    return broken(fmt::format("it has {} bytes and should have {} pages of {}", file_bytes,
                              newest.last_page + 1, newest.page_bytes));
  }
  if (!is_root(fd, newest, newest.root) || !is_root(fd, newest, newest.free_root)) {
    return broken("the roots of its trees are damaged");
  }
  return {.state = FileState::kWhole, .why = {}, .commit = newest};
}

}  // namespace

Result<FileLook> look_at_file(const std::string& path) {
  // A pipe or a device put there by mistake must not hold us up.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    if (errno == ENOENT) return FileLook{};
    return fail(ExitCode::kCantCreate,
                fmt::format("client store {} cannot be read: {}", path, errno_text(errno)));
  }
  struct stat status {};
  const bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  FileLook look;
  if (is_file && status.st_size > 0) {
    look = look_at_metas(fd, static_cast<uint64_t>(status.st_size));
  }
  close(fd);
  if (!is_file) {
    return fail(ExitCode::kCantCreate,
                fmt::format("client store {} is not a file; name another one", path));
  }
  return look;
}

Result<Pages> Pages::map(const std::string& path, uint64_t bytes_max, uint32_t page_bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* memory = MAP_FAILED;
  if (fd >= 0) memory = mmap(nullptr, bytes_max, PROT_READ, MAP_SHARED, fd, 0);
  const int error = errno;
  if (fd >= 0) close(fd);  // a mapping stays
  if (memory == MAP_FAILED) {
    return fail(ExitCode::kOsError,
                fmt::format("client store {} cannot be mapped: {}", path, errno_text(error)));
  }
  // Neighbours of a client in the tree are strangers: reading ahead would only fill memory.
  madvise(memory, bytes_max, MADV_RANDOM);
  return Pages({static_cast<const uint8_t*>(memory), bytes_max}, page_bytes);
}

Pages::~Pages() {
  if (!bytes_.empty()) munmap(const_cast<uint8_t*>(bytes_.data()), bytes_.size());
}

Commit Pages::commit(uint64_t number) const {
  Commit commit = read_meta(bytes_.data() + number % 2 * page_bytes_);
  commit.last_page = std::min(commit.last_page, bytes_.size() / page_bytes_ - 1);
  return commit;
}

Pages::Value Pages::find(const Commit& commit, std::span<const uint8_t> key) const {
  uint64_t number = commit.root;
  if (number == kNoPage) return {};
  for (int depth = 0; depth < kDepthMax && number <= commit.last_page; ++depth) {
    const Page page(bytes_.data() + number * page_bytes_, page_bytes_, number);
    if (page.entries() == 0) break;
    // The first key of a branch is not written; what it leads to is before all others.
    const auto at = last_not_behind(page, page.is_branch() ? 1 : 0, key);
    if (!at) break;
    if (page.is_leaf() && *at == SIZE_MAX) return {};
    const auto entry = page.entry(*at);
    if (!entry) break;
    if (page.is_leaf()) {
      if (compare(entry->key, key) != 0) return {};
      const auto value = page.value(*entry);
      if (!value) break;
      return {Found::kYes, *value};
    }
    number = entry->page();
  }
  return {Found::kDamaged, {}};
}

}  // namespace lychgate::store
