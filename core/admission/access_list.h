// The access list: Postfix cidr_table(5) text turned into a sorted table for fast lookups.
// Owns the table, nothing else: whoever reads the file hands over its text, and a list is replaced
// whole by building a new one. Never half-loaded: any bad line means no list.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/address.h"

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
  AccessList() = default;

  static tl::expected<AccessList, std::vector<AccessProblem>> parse(std::string_view text);

  // The first matching rule in file order, as Postfix does; not the longest prefix.
  AccessResult lookup(const IpAddress& address) const;

  // Rules read, not counting comments, `if` and `endif`.
  size_t rules() const { return rules_; }
  // Memory of the table.
  size_t bytes() const { return v4_.bytes() + v6_.bytes(); }

 private:
  IntervalTable<Key32> v4_;
  IntervalTable<Key128> v6_;
  size_t rules_ = 0;
};

}  // namespace lychgate::admission
