// Sums and quantiles. Cells of a histogram are 64 equal steps of each doubling of a microsecond.

#include "bench/flood/tally.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace lychgate::flood {
namespace {

constexpr uint64_t kMicrosecond = 1000;  // in the histogram's nanoseconds

Counts& operator+=(Counts& sum, const Counts& more) {
  sum.started += more.started;
  sum.connected += more.connected;
  sum.first_bytes += more.first_bytes;
  sum.greeted += more.greeted;
  sum.delivered += more.delivered;
  for (size_t i = 0; i < kEndingCount; ++i) sum.endings[i] += more.endings[i];
  sum.bytes_out += more.bytes_out;
  sum.bytes_in += more.bytes_in;
  return sum;
}

std::chrono::microseconds rounded(nanoseconds value) {
  return std::chrono::round<std::chrono::microseconds>(value);
}

}  // namespace

const char* const kEndingNames[kEndingCount] = {"done",        "refused",   "closed",
                                                "reset",       "timed_out", "broken",
                                                "unconnected", "unstarted", "cut_off"};

// Less than a microsecond goes to the first cell, more than the last doubling to the last one;
// least and most are exact all the same.
void Histogram::add(nanoseconds value) {
  const auto span = static_cast<uint64_t>(std::max<int64_t>(value.count(), 0));
  const uint64_t whole = std::max<uint64_t>(span / kMicrosecond, 1);
  const auto doubling = static_cast<size_t>(std::bit_width(whole)) - 1;
  size_t cell = cells_.size() - 1;
  if (doubling < kDoublings) {
    const uint64_t edge = kMicrosecond << doubling;
    cell = doubling * kSteps + (std::max(span, edge) - edge) * kSteps / edge;
  }
  ++cells_[cell];
  ++count_;
  least_ = std::min(least_, nanoseconds(span));
  most_ = std::max(most_, nanoseconds(span));
}

void Histogram::add(const Histogram& other) {
  for (size_t i = 0; i < cells_.size(); ++i) cells_[i] += other.cells_[i];
  count_ += other.count_;
  least_ = std::min(least_, other.least_);
  most_ = std::max(most_, other.most_);
}

// The upper edge of the cell that holds the value of this rank: never an understatement.
std::chrono::microseconds Histogram::quantile(double part) const {
  if (count_ == 0) return {};
  const double exact = std::ceil(std::clamp(part, 0.0, 1.0) * static_cast<double>(count_));
  const uint64_t rank = std::clamp<uint64_t>(static_cast<uint64_t>(exact), 1, count_);
  uint64_t seen = 0;
  size_t cell = 0;
  while ((seen += cells_[cell]) < rank) ++cell;
  const uint64_t edge = kMicrosecond << (cell / kSteps);
  const nanoseconds upper(edge + edge * (cell % kSteps + 1) / kSteps);
  return rounded(std::clamp(cell + 1 == cells_.size() ? most_ : upper, least_, most_));
}

std::chrono::microseconds Histogram::least() const {
  return count_ == 0 ? std::chrono::microseconds{} : rounded(least_);
}

std::chrono::microseconds Histogram::most() const {
  return rounded(most_);
}

Counts Tally::sum() const {
  Counts out;
  for (const Counts& counts : profiles) out += counts;
  return out;
}

Latencies Tally::all_latencies() const {
  Latencies out;
  for (const Latencies& more : latencies) {
    out.connect.add(more.connect);
    out.first_byte.add(more.first_byte);
    out.greeting.add(more.greeting);
    out.transaction.add(more.transaction);
    out.lateness.add(more.lateness);
  }
  return out;
}

}  // namespace lychgate::flood
