// How long things took, in cells of powers of two milliseconds: relaxed atomics in a shared
// mapping, one writer, any reader. One store for the cell and one for the sum.

#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace lychgate {

template <size_t kCells>
struct TimeHistogram {
  // Cell i counts what took less than 2^i ms, and not less than the cell before; the last all
  // others.
  std::array<std::atomic<uint64_t>, kCells> cells{};
  std::atomic<uint64_t> sum_ms{0};

  static void add(std::atomic<uint64_t>& cell, uint64_t n) {
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void took(uint32_t ms) {
    const auto width = static_cast<size_t>(std::bit_width(ms));
    add(cells[width < kCells ? width : kCells - 1], 1);
    add(sum_ms, ms);
  }
};

}  // namespace lychgate
