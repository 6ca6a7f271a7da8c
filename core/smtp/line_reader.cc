// Only LF is searched for as bytes come; CR and the flags are looked at once the line is whole, so
// that nothing depends on how it was split.

#include "core/smtp/line_reader.h"

#include <algorithm>

#include "core/base/check.h"

namespace lychgate::smtp {
namespace {

// Bytes up to and with the first LF; all of them when there is none.
struct Stretch {
  size_t size;
  bool ended;
};

Stretch to_newline(std::span<const char> bytes) {
  const size_t at = std::string_view(bytes.data(), bytes.size()).find('\n');
  if (at == std::string_view::npos) return {bytes.size(), false};
  return {at + 1, true};
}

uint8_t flags_of(std::string_view text) {
  bool cr = false;
  bool nul = false;
  bool eight_bit = false;
  for (const char c : text) {
    cr |= c == '\r';
    nul |= c == '\0';
    eight_bit |= static_cast<unsigned char>(c) > 127;
  }
  return static_cast<uint8_t>((cr ? kBareCr : 0) | (nul ? kNul : 0) | (eight_bit ? kEightBit : 0));
}

// REQUIRES: the last byte is the LF.
ReadLine line_of(std::string_view octets, size_t used) {
  octets.remove_suffix(1);
  const bool bare = !octets.ends_with('\r');
  if (!bare) octets.remove_suffix(1);
  const auto flags = static_cast<uint8_t>(flags_of(octets) | (bare ? kBareLf : 0));
  return {LineOutcome::kLine, flags, used, octets};
}

}  // namespace

LineReader::LineReader(std::span<char> storage) : storage_(storage) {
  LYCH_CHECK(!storage.empty());
}

void LineReader::move_to(std::span<char> storage) {
  LYCH_CHECK(storage.size() > size_);
  std::copy_n(storage_.begin(), size_, storage.begin());
  storage_ = storage;
}

ReadLine LineReader::read(std::span<const char> bytes) {
  size_t skipped = 0;
  if (skipping_) {
    const Stretch rest = to_newline(bytes);
    skipping_ = !rest.ended;
    skipped = rest.size;
    bytes = bytes.subspan(skipped);
  }
  if (bytes.empty()) return {.used = skipped};
  // At least one, since a line that fills the storage has been told.
  const size_t room = storage_.size() - size_;
  const Stretch piece = to_newline(bytes.first(std::min(room, bytes.size())));
  std::string_view octets(bytes.data(), piece.size);
  const bool too_long = !piece.ended && piece.size == room;
  const bool done = piece.ended || too_long;
  if (size_ > 0 || !done) {
    std::copy(octets.begin(), octets.end(), storage_.begin() + static_cast<ptrdiff_t>(size_));
    size_ += piece.size;
    octets = unfinished();
  }
  const size_t used = skipped + piece.size;
  if (!done) return {.used = used};
  size_ = 0;
  if (piece.ended) return line_of(octets, used);
  skipping_ = true;
  return {LineOutcome::kTooLong, 0, used, octets};
}

}  // namespace lychgate::smtp
