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
constexpr size_t kTreeBytes = 48;
constexpr size_t kMetaBytes = kPageHeader + 24 + 2 * kTreeBytes + 16;
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
    // The offsets of all entries of a full leaf, and of most of a full branch.
    for (size_t line = 0; line < 6; ++line) __builtin_prefetch(at + line * 64);
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
  void prefetch(size_t i) const {
    __builtin_prefetch(at_ + number_at<uint16_t>(at_ + kPageHeader + i * sizeof(uint16_t)));
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

// Keys of IPv4 clients are five bytes, which make one number.
uint64_t five_bytes(const uint8_t* at) {
  return uint64_t{at[0]} << 32 | __builtin_bswap32(number_at<uint32_t>(at + 1));
}

int compare(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  if (a.size() == 5 && b.size() == 5) {
    const uint64_t left = five_bytes(a.data());
    const uint64_t right = five_bytes(b.data());
    return static_cast<int>(left > right) - static_cast<int>(left < right);
  }
  const int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
  if (order != 0) return order;
  return static_cast<int>(a.size()) - static_cast<int>(b.size());
}

// The beginning of a key as a number: enough to say how far between two others it is.
uint64_t beginning(std::span<const uint8_t> key) {
  if (key.size() == 5) return five_bytes(key.data()) << 24;
  if (key.size() >= 8) return __builtin_bswap64(number_at<uint64_t>(key.data()));
  return 0;
}
struct Range {
  uint64_t low = 0;
  uint64_t high = UINT64_MAX;
};

// The last of the entries from `first` on whose key is not behind `key`; first - 1 if there is
// none. nullopt: damaged.
//
// Nearly all of the time of a lookup is waiting for memory: entries lie in cache lines of their
// own, and in a large store not in the cache. A search by halves waits for one after the other;
// this one asks for several at once. The first are those around the place that the key should have
// if all between the ends of the page were evenly spread, which is a poor guess at worst; then
// every eighth part of what is left. 10,000,000 clients: see docs/benchmarks.md.
std::optional<size_t> last_not_behind(const Page& page, size_t first, const Range& range,
                                      std::span<const uint8_t> key) {
  constexpr size_t kAtOnce = 8;
  size_t low = first;
  size_t high = page.entries();
  if (high - low > 2 * kAtOnce) {
    const uint64_t number = std::clamp(beginning(key), range.low, range.high);
    const double part =
        static_cast<double>(number - range.low) / (static_cast<double>(range.high - range.low) + 1);
    const auto guess = low + static_cast<size_t>(part * static_cast<double>(high - low));
    const size_t from = std::max(guess, low + kAtOnce) - kAtOnce;
    const size_t to = std::min(guess + kAtOnce, high) - 1;
    for (size_t at = from; at <= to; ++at) page.prefetch(at);
    const auto lowest = page.entry(from);
    const auto highest = page.entry(to);
    if (!lowest || !highest) return std::nullopt;
    if (compare(lowest->key, key) > 0) {
      high = from;
    } else if (compare(highest->key, key) <= 0) {
      low = to + 1;
    } else {
      low = from + 1;
      high = to;
    }
  }
  while (low < high) {
    const size_t step = (high - low + kAtOnce - 1) / kAtOnce;
    for (size_t at = low + step - 1; at < high; at += step) page.prefetch(at);
    for (size_t at = low + step - 1; at < high; at += step) {
      const auto entry = page.entry(at);
      if (!entry) return std::nullopt;
      if (compare(entry->key, key) > 0) {
        high = at;
      } else {
        low = at + 1;
      }
    }
  }
  return low - 1;
}

FileId id_of(const struct stat& status) {
  return {.device = status.st_dev, .inode = status.st_ino};
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
  struct stat status {};
  if (fd >= 0 && fstat(fd, &status) == 0) {
    memory = mmap(nullptr, bytes_max, PROT_READ, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  if (fd >= 0) close(fd);  // a mapping stays
  if (memory == MAP_FAILED) {
    return fail(ExitCode::kOsError,
                fmt::format("client store {} cannot be mapped: {}", path, errno_text(error)));
  }
  // Neighbours of a client in the tree are strangers: reading ahead would only fill memory.
  madvise(memory, bytes_max, MADV_RANDOM);
  return Pages({static_cast<const uint8_t*>(memory), bytes_max}, page_bytes, id_of(status));
}

bool Pages::is_replaced(const std::string& path) const {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && id_of(status) != id_;
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
  Range range;
  for (int depth = 0; depth < kDepthMax && number <= commit.last_page; ++depth) {
    const Page page(bytes_.data() + number * page_bytes_, page_bytes_, number);
    if (page.entries() == 0) break;
    // The first key of a branch is not written; what it leads to is before all others.
    const size_t first = page.is_branch() ? 1 : 0;
    const auto at = last_not_behind(page, first, range, key);
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
    const auto next = *at + 1 < page.entries() ? page.entry(*at + 1) : std::nullopt;
    if (*at >= first) range.low = beginning(entry->key);
    if (next) range.high = std::max(range.low, beginning(next->key));
  }
  return {Found::kDamaged, {}};
}

}  // namespace lychgate::store
