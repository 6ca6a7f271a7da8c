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

// As many bad lines are reported at once; one more problem then tells how many there were.
inline constexpr size_t kAccessProblemsMax = 100;
// More rules than this are refused: the index of a rule has 30 bits beside its result.
inline constexpr size_t kAccessRulesMax = size_t{1} << 24;

class AccessList {
 public:
  // An empty list: every client is kDunno.
  AccessList();

  static tl::expected<AccessList, std::vector<AccessProblem>> parse(std::string_view text);

  // The first matching rule in file order, as Postfix does; not the longest prefix.
  AccessResult lookup(const IpAddress& address) const;

  // Rules read, without comments, `if` and `endif`.
  size_t rules() const { return rules_; }
  size_t bytes() const;

 private:
  size_t rules_ = 0;
};

}  // namespace lychgate::admission
