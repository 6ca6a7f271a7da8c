// Writes the two families of a parsed list into one image, and asks the right one of its tables.

#include "core/admission/access_list.h"

#include <endian.h>

#include <array>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "core/admission/access_parse.h"

namespace lychgate::admission {
namespace {

constexpr uint32_t kMagic = 0x4c414c31;  // no text begins with it
constexpr uint32_t kVersion = 1;

struct Header {
  uint32_t magic;
  uint32_t version;
  uint64_t rules;
  uint64_t v4_segments;
  uint64_t v6_segments;
};

// A cache line: what the tables are aligned to.
struct alignas(kTableAlignment) Line {
  std::array<uint8_t, kTableAlignment> bytes;
};
static_assert(sizeof(Header) <= sizeof(Line));

using V4 = IntervalTable<Key32>;
using V6 = IntervalTable<Key128>;

// REQUIRES: at least a header.
Header header_of(std::span<const uint8_t> image) {
  Header header;
  std::memcpy(&header, image.data(), sizeof(header));
  return header;
}

// Why the bytes are no image; nullptr: they are one.
const char* flaw_of(std::span<const uint8_t> bytes) {
  if (bytes.size() < sizeof(Line)) return "shorter than its header";
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(Line) != 0) return "not aligned";
  const Header header = header_of(bytes);
  if (header.magic != kMagic) return "not one at all";
  if (header.version != kVersion) return "made by another version";
  // No segment takes less than a byte: the sums below cannot overflow.
  for (const uint64_t segments : {header.v4_segments, header.v6_segments}) {
    if (segments == 0 || segments > bytes.size() || segments > V4::kSegmentsMax) {
      return "of a size that its header contradicts";
    }
  }
  const size_t wanted =
      sizeof(Line) + V4::bytes_for(header.v4_segments) + V6::bytes_for(header.v6_segments);
  return bytes.size() == wanted ? nullptr : "of a size that its header contradicts";
}

std::span<const uint8_t> bytes_of(const std::vector<Line>& lines) {
  return {reinterpret_cast<const uint8_t*>(lines.data()), lines.size() * sizeof(Line)};
}

std::shared_ptr<const std::vector<Line>> make_image(AccessIntervals intervals) {
  const IntervalTableBuilder<Key32> v4(std::move(intervals.v4));
  const IntervalTableBuilder<Key128> v6(std::move(intervals.v6));
  const Header header{kMagic, kVersion, intervals.rules, v4.segments(), v6.segments()};
  const size_t v4_bytes = V4::bytes_for(v4.segments());
  const size_t tables_bytes = v4_bytes + V6::bytes_for(v6.segments());
  auto lines = std::make_shared<std::vector<Line>>(1 + tables_bytes / sizeof(Line));
  std::memcpy(lines->data(), &header, sizeof(header));
  const std::span<uint8_t> tables(lines->data()[1].bytes.data(), tables_bytes);
  v4.write(tables.first(v4_bytes));
  v6.write(tables.subspan(v4_bytes));
  return lines;
}

Key128 v6_key(const IpAddress& address) {
  uint64_t halves[2];
  std::memcpy(halves, address.bytes.data(), sizeof(halves));
  return Key128{be64toh(halves[0])} << 64 | be64toh(halves[1]);
}

// Of a broken image also the one value that is no result.
AccessResult result_of(uint32_t value) {
  const auto result = static_cast<AccessResult>(value);
  return result <= AccessResult::kReject ? result : AccessResult::kDunno;
}

}  // namespace

AccessList::AccessList(std::shared_ptr<const void> own, std::span<const uint8_t> image)
    : own_(std::move(own)),
      image_(image),
      rules_(header_of(image).rules),
      v4_(image.subspan(sizeof(Line), V4::bytes_for(header_of(image).v4_segments)),
          header_of(image).v4_segments),
      v6_(image.last(V6::bytes_for(header_of(image).v6_segments)), header_of(image).v6_segments) {}

AccessList::AccessList() : AccessList(*parse("")) {}

tl::expected<AccessList, std::vector<AccessProblem>> AccessList::parse(std::string_view text) {
  auto intervals = parse_access(text);
  if (!intervals) return tl::unexpected(std::move(intervals.error()));
  const auto lines = make_image(std::move(*intervals));
  return AccessList(lines, bytes_of(*lines));
}

Result<AccessList> AccessList::from_image(std::span<const uint8_t> bytes) {
  if (const char* flaw = flaw_of(bytes)) {
    return fail(ExitCode::kSoftware,
                fmt::format("the image of an access list is {} ({} bytes)", flaw, bytes.size()));
  }
  return AccessList(nullptr, bytes);
}

AccessResult AccessList::lookup(const IpAddress& address) const {
  if (address.is_v4()) return result_of(v4_.find(address.v4()));
  return result_of(v6_.find(v6_key(address)));
}

}  // namespace lychgate::admission
