// Puts the two families of a parsed list into their tables and asks the right one.

#include "core/admission/access_list.h"

#include <endian.h>

#include <cstring>
#include <utility>

#include "core/admission/access_parse.h"

namespace lychgate::admission {
namespace {

Key128 v6_key(const IpAddress& address) {
  uint64_t halves[2];
  std::memcpy(halves, address.bytes.data(), sizeof(halves));
  return Key128{be64toh(halves[0])} << 64 | be64toh(halves[1]);
}

}  // namespace

tl::expected<AccessList, std::vector<AccessProblem>> AccessList::parse(std::string_view text) {
  auto intervals = parse_access(text);
  if (!intervals) return tl::unexpected(std::move(intervals.error()));
  AccessList out;
  out.v4_ = IntervalTable<Key32>(std::move(intervals->v4));
  out.v6_ = IntervalTable<Key128>(std::move(intervals->v6));
  out.rules_ = intervals->rules;
  return out;
}

AccessResult AccessList::lookup(const IpAddress& address) const {
  if (address.is_v4()) return static_cast<AccessResult>(v4_.find(address.v4()));
  return static_cast<AccessResult>(v6_.find(v6_key(address)));
}

}  // namespace lychgate::admission
