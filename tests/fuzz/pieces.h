// A stream for the targets of readers, split as one byte of the input says.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lychgate::fuzz {

// Each piece is an allocation of its own: a byte read behind it is seen.
using Pieces = std::vector<std::vector<char>>;

// Pieces of the same size; 0: all at once.
inline Pieces pieces_of(std::span<const char> stream, size_t size) {
  Pieces out;
  while (!stream.empty()) {
    const auto piece = stream.first(size == 0 ? stream.size() : std::min(size, stream.size()));
    out.emplace_back(piece.begin(), piece.end());
    stream = stream.subspan(piece.size());
  }
  return out;
}

// Pieces of 1 to 16 bytes, drawn from the seed.
inline Pieces uneven_pieces_of(std::span<const char> stream, uint8_t seed) {
  Pieces out;
  uint32_t draw = seed;
  while (!stream.empty()) {
    draw = draw * 1664525 + 1013904223;
    const auto piece = stream.first(std::min<size_t>(1 + (draw >> 28), stream.size()));
    out.emplace_back(piece.begin(), piece.end());
    stream = stream.subspan(piece.size());
  }
  return out;
}

}  // namespace lychgate::fuzz
