// A static map from a key to a small value, built from intervals of which the first in order wins.
// Owns its sorted arrays and never changes after build(). Knows nothing of addresses or rules.
//
// The intervals become disjoint segments, of which only the first keys are stored, sorted. A fence
// level above holds every 16th key of the level below, up to a single block of 16, so that a lookup
// in two million segments reads six blocks, of which the upper four stay in the cache.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lychgate::admission {

using Key32 = uint32_t;
using Key128 = unsigned __int128;

// The values of an IntervalTable have two bits.
inline constexpr uint32_t kIntervalValueBits = 2;

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
struct alignas(64) KeyBlock<Key32> {
  std::array<uint32_t, kFanOut> keys;

  Key32 get(size_t i) const { return keys[i]; }
  void set(size_t i, Key32 key) { keys[i] = key; }
  bool not_above(size_t i, Key32 key) const { return keys[i] <= key; }
};
template <>
struct alignas(64) KeyBlock<Key128> {
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
  // Every key has value 0.
  IntervalTable() : IntervalTable(std::vector<Interval<Key>>{}) {}
  explicit IntervalTable(std::vector<Interval<Key>> intervals);

  uint32_t find(Key key) const;
  size_t segments() const { return levels_[0].size; }
  size_t bytes() const;

 private:
  using Block = KeyBlock<Key>;
  // The last block is padded with the largest key, so that a block is always searched whole.
  struct Level {
    std::vector<Block> blocks;
    size_t size = 0;
    void append(Key key);
  };

  void append(Key first, uint32_t value);
  void build_fences();
  static size_t find_in(const Block& block, Key key);

  std::vector<Level> levels_;    // levels_[0]: the first key of every segment
  std::vector<uint8_t> values_;  // of the segments, four in a byte
  uint32_t last_value_ = 0;
};

extern template class IntervalTable<Key32>;
extern template class IntervalTable<Key128>;

}  // namespace lychgate::admission
