// A static map from a key to a small value, built from intervals of which the first in order wins.
// Owns its sorted arrays and never changes after build(). Knows nothing of addresses or rules.
//
// The intervals become disjoint segments, of which only the first keys are stored, sorted. A fence
// level above holds every 16th key of the level below, up to a single block of 16, so that a lookup
// in two million segments reads six blocks, of which the upper four stay in the cache.

#pragma once

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

template <typename Key>
class IntervalTable {
 public:
  // Every key has value 0.
  IntervalTable() : IntervalTable(std::vector<Interval<Key>>{}) {}
  explicit IntervalTable(std::vector<Interval<Key>> intervals);

  uint32_t find(Key key) const;
  size_t segments() const { return size_; }
  size_t bytes() const;

 private:
  void append(Key first, uint32_t value);
  void build_fences();

  // levels_[0] holds the first key of every segment; each level is padded to whole blocks with the
  // largest key, so that a block is always compared whole.
  std::vector<std::vector<Key>> levels_;
  std::vector<uint8_t> values_;  // of the segments, four in a byte
  size_t size_ = 0;
  uint32_t last_value_ = 0;
};

extern template class IntervalTable<Key32>;
extern template class IntervalTable<Key128>;

}  // namespace lychgate::admission
