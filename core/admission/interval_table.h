// A static map from a key to a small value, built from intervals of which the first in order wins.
// The table is read where its bytes lie and owns none of them, so that many processes can read one
// copy; the builder makes those bytes. Knows nothing of addresses or rules.
//
// The intervals become disjoint segments, of which only the first keys are stored, sorted. A fence
// level above holds every 16th key of the level below, up to a single block of 16, so that a lookup
// in two million segments reads six blocks, of which the upper four stay in the cache. In memory
// the upper levels come first, the values of the segments last, four in a byte, filled up with
// zeros to a whole cache line. How long each part is follows from the number of segments.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lychgate::admission {

using Key32 = uint32_t;
using Key128 = unsigned __int128;

// The values of an IntervalTable have two bits.
inline constexpr uint32_t kIntervalValueBits = 2;
// Of the bytes of a table: a block begins with a cache line.
inline constexpr size_t kTableAlignment = 64;

// first..last, both inside. `rank` is the order in the high bits and the value in the low ones;
// where intervals overlap the smallest rank wins. REQUIRES: first <= last.
template <typename Key>
struct Interval {
  Key first;
  Key last;
  uint32_t rank;
};

// 16 sorted keys. Four bytes each, they are one cache line. Of the wide ones the upper halves lie
// apart and fill two lines; the lower halves are read only where an upper half is equal.
inline constexpr size_t kFanOut = 16;
template <typename Key>
struct KeyBlock;
template <>
struct alignas(kTableAlignment) KeyBlock<Key32> {
  std::array<uint32_t, kFanOut> keys;

  Key32 get(size_t i) const { return keys[i]; }
  void set(size_t i, Key32 key) { keys[i] = key; }
  bool not_above(size_t i, Key32 key) const { return keys[i] <= key; }
};
template <>
struct alignas(kTableAlignment) KeyBlock<Key128> {
  std::array<uint64_t, kFanOut> high;
  std::array<uint64_t, kFanOut> low;

  Key128 get(size_t i) const { return Key128{high[i]} << 64 | low[i]; }
  void set(size_t i, Key128 key) {
    high[i] = static_cast<uint64_t>(key >> 64);
    low[i] = static_cast<uint64_t>(key);
  }
  bool not_above(size_t i, Key128 key) const {
    const auto key_high = static_cast<uint64_t>(key >> 64);
    if (high[i] == key_high) [[unlikely]]
      return low[i] <= static_cast<uint64_t>(key);
    return high[i] < key_high;
  }
};

template <typename Key>
class IntervalTable {
 public:
  static constexpr size_t kLevelsMax = 8;
  static constexpr size_t kSegmentsMax = size_t{1} << 32;

  // REQUIRES of both: 1 <= segments <= kSegmentsMax.
  static size_t bytes_for(size_t segments);
  // REQUIRES: as many bytes, aligned, and there for as long as the table is used. What is in them
  // is not looked at; from bytes that no builder made the values are wrong, but nothing else is
  // read.
  IntervalTable(std::span<const uint8_t> bytes, size_t segments);

  uint32_t find(Key key) const;
  size_t segments() const { return levels_[0].size; }

 private:
  using Block = KeyBlock<Key>;
  struct Level {
    const Block* blocks = nullptr;
    size_t size = 0;  // keys; the last block is padded
  };

  static size_t find_in(const Block& block, Key key);

  std::array<Level, kLevelsMax> levels_;  // levels_[0]: the first key of every segment
  size_t depth_ = 0;
  const uint8_t* values_ = nullptr;
};

template <typename Key>
class IntervalTableBuilder {
 public:
  // No interval: every key has value 0.
  explicit IntervalTableBuilder(std::vector<Interval<Key>> intervals);

  size_t segments() const { return firsts_.size(); }
  // REQUIRES: IntervalTable<Key>::bytes_for(segments()) bytes, all 0.
  void write(std::span<uint8_t> out) const;

 private:
  void append(Key first, uint32_t value);

  std::vector<Key> firsts_;  // of the segments
  std::vector<uint8_t> values_;
  uint32_t last_value_ = 0;
};

extern template class IntervalTable<Key32>;
extern template class IntervalTable<Key128>;
extern template class IntervalTableBuilder<Key32>;
extern template class IntervalTableBuilder<Key128>;

}  // namespace lychgate::admission
