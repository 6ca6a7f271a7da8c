// Sweep over the sorted intervals with a heap of those open, then the fence levels.

#include "core/admission/interval_table.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "core/base/check.h"

namespace lychgate::admission {
namespace {

constexpr size_t kCacheLineBytes = 64;
constexpr uint32_t kValueMask = (1u << kIntervalValueBits) - 1;
constexpr size_t kValuesPerByte = 8 / kIntervalValueBits;

template <typename Key>
constexpr Key kLargest = ~Key{0};

// The part of a block that every search reads.
template <typename Key>
constexpr size_t kSearchedBytes = kFanOut*(sizeof(Key) == 16 ? 8 : sizeof(Key));

template <typename Key>
struct LaterRank {
  bool operator()(const Interval<Key>& a, const Interval<Key>& b) const { return a.rank > b.rank; }
};

}  // namespace

template <typename Key>
IntervalTable<Key>::IntervalTable(std::vector<Interval<Key>> intervals) : levels_(1) {
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
  build_fences();
}

template <typename Key>
void IntervalTable<Key>::Level::append(Key key) {
  if (size % kFanOut == 0) {
    blocks.emplace_back();
    for (size_t i = 0; i < kFanOut; ++i) blocks.back().set(i, kLargest<Key>);
  }
  blocks.back().set(size % kFanOut, key);
  ++size;
}

template <typename Key>
void IntervalTable<Key>::append(Key first, uint32_t value) {
  const size_t index = levels_[0].size;
  if (index > 0 && value == last_value_) return;
  last_value_ = value;
  levels_[0].append(first);
  if (index % kValuesPerByte == 0) values_.push_back(0);
  const auto shifted = value << (index % kValuesPerByte * kIntervalValueBits);
  values_.back() = static_cast<uint8_t>(values_.back() | shifted);
}

template <typename Key>
void IntervalTable<Key>::build_fences() {
  while (levels_.back().blocks.size() > 1) {
    Level fences;
    for (const Block& block : levels_.back().blocks) fences.append(block.get(0));
    levels_.push_back(std::move(fences));
  }
  for (Level& level : levels_) level.blocks.shrink_to_fit();
  values_.shrink_to_fit();
}

// Where in the block the last key not above `key` is. Four halvings without a branch, because each
// would be a coin toss; the lines are asked for first, or the misses would queue up (2 x slower).
// REQUIRES: the first key of the block is not above it: it is the fence that led here, or 0.
template <typename Key>
size_t IntervalTable<Key>::find_in(const Block& block, Key key) {
  const auto* bytes = reinterpret_cast<const char*>(&block);
  for (size_t i = 0; i < kSearchedBytes<Key>; i += kCacheLineBytes) __builtin_prefetch(bytes + i);
  size_t at = 0;
  for (size_t step = kFanOut / 2; step > 0; step /= 2) {
    at += block.not_above(at + step, key) ? step : 0;
  }
  return at;
}

template <typename Key>
uint32_t IntervalTable<Key>::find(Key key) const {
  size_t at = 0;
  for (size_t i = levels_.size(); i-- > 0;) {
    const Level& level = levels_[i];
    // The values of a block share a cache line; asked for now, they arrive while it is searched.
    if (i == 0) __builtin_prefetch(&values_[at * kFanOut / kValuesPerByte]);
    // Only the largest key can land in the padding; what it then means is the last real entry.
    at = std::min(at * kFanOut + find_in(level.blocks[at], key), level.size - 1);
  }
  return values_[at / kValuesPerByte] >> (at % kValuesPerByte * kIntervalValueBits) & kValueMask;
}

template <typename Key>
size_t IntervalTable<Key>::bytes() const {
  size_t sum = values_.capacity();
  for (const Level& level : levels_) sum += level.blocks.capacity() * sizeof(Block);
  return sum;
}

template class IntervalTable<Key32>;
template class IntervalTable<Key128>;

}  // namespace lychgate::admission
