// Sweep over the sorted intervals with a heap of those open, then the fence levels.

#include "core/admission/interval_table.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "core/base/check.h"

namespace lychgate::admission {
namespace {

// 16 keys of 4 bytes are one cache line; 16 of 16 bytes are four neighbours, fetched together.
constexpr size_t kFanOut = 16;
constexpr uint32_t kValueMask = (1u << kIntervalValueBits) - 1;
constexpr size_t kValuesPerByte = 8 / kIntervalValueBits;

template <typename Key>
constexpr Key kLargest = ~Key{0};

template <typename Key>
struct LaterRank {
  bool operator()(const Interval<Key>& a, const Interval<Key>& b) const { return a.rank > b.rank; }
};

// How many of the 16 keys are not above `key`; without a branch, because it would be a coin toss.
template <typename Key>
size_t count_not_above(const Key* block, Key key) {
  size_t count = 0;
  for (size_t i = 0; i < kFanOut; ++i) count += block[i] <= key ? 1 : 0;
  return count;
}

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
void IntervalTable<Key>::append(Key first, uint32_t value) {
  if (size_ > 0 && value == last_value_) return;
  last_value_ = value;
  levels_[0].push_back(first);
  if (size_ % kValuesPerByte == 0) values_.push_back(0);
  const auto shifted = value << (size_ % kValuesPerByte * kIntervalValueBits);
  values_.back() = static_cast<uint8_t>(values_.back() | shifted);
  ++size_;
}

template <typename Key>
void IntervalTable<Key>::build_fences() {
  while (levels_.back().size() > kFanOut) {
    std::vector<Key> fences;
    for (size_t i = 0; i < levels_.back().size(); i += kFanOut) {
      fences.push_back(levels_.back()[i]);
    }
    levels_.push_back(std::move(fences));
  }
  for (auto& level : levels_) {
    level.resize((level.size() + kFanOut - 1) / kFanOut * kFanOut, kLargest<Key>);
    level.shrink_to_fit();
  }
  values_.shrink_to_fit();
}

template <typename Key>
uint32_t IntervalTable<Key>::find(Key key) const {
  size_t at = 0;
  for (size_t level = levels_.size(); level-- > 0;) {
    const size_t block = at * kFanOut;
    // The first key of the block is not above `key`: it is the fence that led here, or 0.
    at = block + count_not_above(&levels_[level][block], key) - 1;
    // Only the largest key counts the padding; what it then means is the last real entry.
    const size_t entries = level == 0 ? size_ : levels_[level - 1].size() / kFanOut;
    at = std::min(at, entries - 1);
  }
  return values_[at / kValuesPerByte] >> (at % kValuesPerByte * kIntervalValueBits) & kValueMask;
}

template <typename Key>
size_t IntervalTable<Key>::bytes() const {
  size_t sum = values_.capacity();
  for (const auto& level : levels_) sum += level.capacity() * sizeof(Key);
  return sum;
}

template class IntervalTable<Key32>;
template class IntervalTable<Key128>;

}  // namespace lychgate::admission
