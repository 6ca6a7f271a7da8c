// The access list: Postfix cidr_table(5) text turned into a sorted table for fast lookups.
// The whole list is one run of bytes, its image, which another process can read in place: nothing
// in it points anywhere. Whoever reads the file hands over its text, and a list is replaced whole
// by building a new one. Never half-loaded: any bad line means no list.
//
//   image: | header, 64 bytes | table of IPv4 | table of IPv6 |   (core/admission/interval_table.h)
//
// Integers are in the host's order: an image never leaves the host, nor outlives the gate.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/address.h"
#include "core/base/result.h"

#include "core/admission/interval_table.h"

namespace lychgate::admission {

enum class AccessResult : uint8_t {
  kDunno,  // no rule matched, or the matching one says dunno
  kPermit,
  kReject,
};

struct AccessProblem {
  size_t line = 0;  // 1 is the first; where a continued line starts
  std::string text;
};

// As many bad lines are reported at once; one more problem then tells how many were left out.
inline constexpr size_t kAccessProblemsMax = 100;
// More rules than this are refused: ten times what the largest published lists have. The index of
// a rule must leave room for its result in 32 bits.
inline constexpr size_t kAccessRulesMax = size_t{1} << 24;
static_assert(kAccessRulesMax <= size_t{1} << (32 - kIntervalValueBits));

class AccessList {
 public:
  // An empty list: every client is kDunno.
  AccessList();
  // A copy reads the same bytes. There is no move, for it would leave a list without any.
  AccessList(const AccessList&) = default;
  AccessList& operator=(const AccessList&) = default;

  static tl::expected<AccessList, std::vector<AccessProblem>> parse(std::string_view text);

  // Reads the bytes where they lie: they must outlive the list and its copies. Looked at is the
  // header alone, in constant time; a table with wrong contents gives wrong results, no worse.
  static Result<AccessList> from_image(std::span<const uint8_t> bytes);
  std::span<const uint8_t> image() const { return image_; }

  // The first matching rule in file order, as Postfix does; not the longest prefix.
  AccessResult lookup(const IpAddress& address) const;

  // Rules read, not counting comments, `if` and `endif`.
  size_t rules() const { return rules_; }
  // Memory of the list.
  size_t bytes() const { return image_.size(); }

 private:
  // REQUIRES: a whole image.
  AccessList(std::shared_ptr<const void> own, std::span<const uint8_t> image);

  std::shared_ptr<const void> own_;  // what holds the image; none: it is somebody else's
  std::span<const uint8_t> image_;
  size_t rules_ = 0;
  IntervalTable<Key32> v4_;
  IntervalTable<Key128> v6_;
};

}  // namespace lychgate::admission
