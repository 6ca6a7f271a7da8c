// The builder sweeps over the sorted intervals with a heap of those open, then writes every level;
// reader and writer agree by one Layout.

#include "core/admission/interval_table.h"

#include <algorithm>
#include <cstring>
#include <queue>
#include <utility>

#include "core/base/check.h"

namespace lychgate::admission {
namespace {

constexpr uint32_t kValueMask = (1u << kIntervalValueBits) - 1;
constexpr size_t kValuesPerByte = 8 / kIntervalValueBits;

template <typename Key>
constexpr Key kLargest = ~Key{0};

// The part of a block that every search reads.
template <typename Key>
constexpr size_t kSearchedBytes = kFanOut*(sizeof(Key) == 16 ? 8 : sizeof(Key));

// Where the parts of a table lie.
template <typename Key>
struct Layout {
  using Table = IntervalTable<Key>;
  std::array<size_t, Table::kLevelsMax> keys{};    // of each level, [0] the segments
  std::array<size_t, Table::kLevelsMax> begins{};  // in bytes
  size_t depth = 0;
  size_t values = 0;
  size_t end = 0;

  explicit Layout(size_t segments) {
    LYCH_CHECK(segments > 0 && segments <= Table::kSegmentsMax);
    do {
      keys[depth++] = segments;
      segments = blocks_for(segments);
    } while (keys[depth - 1] > kFanOut);
    for (size_t i = depth; i-- > 0; values += blocks_for(keys[i]) * sizeof(KeyBlock<Key>)) {
      begins[i] = values;
    }
    const size_t value_bytes = (keys[0] + kValuesPerByte - 1) / kValuesPerByte;
    end = values + (value_bytes + kTableAlignment - 1) / kTableAlignment * kTableAlignment;
  }
  static size_t blocks_for(size_t count) { return (count + kFanOut - 1) / kFanOut; }
};
static_assert(IntervalTable<Key32>::kSegmentsMax == size_t{1} << (4 * 8) && kFanOut == 1 << 4,
              "as many levels as the largest table needs");

template <typename Key>
struct LaterRank {
  bool operator()(const Interval<Key>& a, const Interval<Key>& b) const { return a.rank > b.rank; }
};

}  // namespace

template <typename Key>
IntervalTableBuilder<Key>::IntervalTableBuilder(std::vector<Interval<Key>> intervals) {
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval<Key>& a, const Interval<Key>& b) { return a.first < b.first; });
  std::priority_queue<Interval<Key>, std::vector<Interval<Key>>, LaterRank<Key>> open;
  size_t next = 0;
  Key at = 0;
  // Each turn starts an interval or goes past the end of one: at most two turns per interval.
  for (;;) {
    for (; next < intervals.size() && intervals[next].first <= at; ++next) {
      LYCH_CHECK(intervals[next].first <= intervals[next].last);
      open.push(intervals[next]);
    }
    while (!open.empty() && open.top().last < at) open.pop();
    append(at, open.empty() ? 0 : open.top().rank & kValueMask);
    const bool more = next < intervals.size();
    if (open.empty()) {
      if (!more) break;
      at = intervals[next].first;
    } else if (more && intervals[next].first <= open.top().last) {
      at = intervals[next].first;
    } else {
      if (open.top().last == kLargest<Key>) break;
      at = open.top().last + 1;
    }
  }
}

template <typename Key>
void IntervalTableBuilder<Key>::append(Key first, uint32_t value) {
  const size_t index = firsts_.size();
  if (index > 0 && value == last_value_) return;
  last_value_ = value;
  firsts_.push_back(first);
  if (index % kValuesPerByte == 0) values_.push_back(0);
  const auto shifted = value << (index % kValuesPerByte * kIntervalValueBits);
  values_.back() = static_cast<uint8_t>(values_.back() | shifted);
}

// The last block of a level is padded with the largest key, so that a block is always searched
// whole.
template <typename Key>
void IntervalTableBuilder<Key>::write(std::span<uint8_t> out) const {
  const Layout<Key> layout(segments());
  LYCH_CHECK(out.size() == layout.end);
  size_t stride = 1;
  for (size_t level = 0; level < layout.depth; ++level, stride *= kFanOut) {
    uint8_t* to = out.data() + layout.begins[level];
    for (size_t key = 0; key < layout.keys[level]; to += sizeof(KeyBlock<Key>)) {
      KeyBlock<Key> block;
      for (size_t i = 0; i < kFanOut; ++i, ++key) {
        block.set(i, key < layout.keys[level] ? firsts_[key * stride] : kLargest<Key>);
      }
      std::memcpy(to, &block, sizeof(block));
    }
  }
  std::memcpy(out.data() + layout.values, values_.data(), values_.size());
}

template <typename Key>
size_t IntervalTable<Key>::bytes_for(size_t segments) {
  return Layout<Key>(segments).end;
}

template <typename Key>
IntervalTable<Key>::IntervalTable(std::span<const uint8_t> bytes, size_t segments) {
  const Layout<Key> layout(segments);
  LYCH_CHECK(bytes.size() == layout.end);
  LYCH_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % kTableAlignment == 0);
  depth_ = layout.depth;
  for (size_t i = 0; i < depth_; ++i) {
    levels_[i] = {reinterpret_cast<const Block*>(bytes.data() + layout.begins[i]), layout.keys[i]};
  }
  values_ = bytes.data() + layout.values;
}

// Where in the block the last key not above `key` is. Four halvings without a branch, because each
// would be a coin toss; the lines are asked for first, or the misses would queue up (2 x slower).
// REQUIRES: the first key of the block is not above it: it is the fence that led here, or 0.
template <typename Key>
size_t IntervalTable<Key>::find_in(const Block& block, Key key) {
  const auto* bytes = reinterpret_cast<const char*>(&block);
  for (size_t i = 0; i < kSearchedBytes<Key>; i += kTableAlignment) __builtin_prefetch(bytes + i);
  size_t at = 0;
  for (size_t step = kFanOut / 2; step > 0; step /= 2) {
    at += block.not_above(at + step, key) ? step : 0;
  }
  return at;
}

template <typename Key>
uint32_t IntervalTable<Key>::find(Key key) const {
  size_t at = 0;
  for (size_t i = depth_; i-- > 0;) {
    const Level& level = levels_[i];
    // The values of a block share a cache line; asked for now, they arrive while it is searched.
    if (i == 0) __builtin_prefetch(&values_[at * kFanOut / kValuesPerByte]);
    // Only the largest key can land in the padding; what it then means is the last real entry.
    at = std::min(at * kFanOut + find_in(level.blocks[at], key), level.size - 1);
  }
  return values_[at / kValuesPerByte] >> (at % kValuesPerByte * kIntervalValueBits) & kValueMask;
}

template class IntervalTable<Key32>;
template class IntervalTable<Key128>;
template class IntervalTableBuilder<Key32>;
template class IntervalTableBuilder<Key128>;

}  // namespace lychgate::admission
