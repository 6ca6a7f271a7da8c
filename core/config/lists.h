// The DNS lists a gate really asks: site lines joined with the catalogue, one entry a zone. Made
// once at start, then const. The zone's text may hold a key and is a Secret; every other field may
// be printed. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/private_memory.h"
#include "core/config/catalogue.h"
#include "core/config/config.h"
#include "core/config/site.h"

namespace lychgate::config {

// A site line of one list. Adds its weight at most once, however many records match.
struct ListLine {
  std::optional<CodePattern>
      pattern;                    // nullopt: every code that the catalogue calls listed or allow
  std::optional<int32_t> weight;  // nullopt: the catalogue's weight of the code

  bool operator==(const ListLine&) const = default;
};

struct List {
  std::string name;        // the domain as written: "$dqs.zen.dq.spamhaus.net"; safe to print
  std::string reply_name;  // what refused clients read: the catalogue's, else name without the key
  Secret zone;             // the whole domain, keys filled in, lower case, no final dot
  bool catalogued = false;
  bool ip4 = true;
  bool ip6 = true;
  bool serves(const IpAddress& address) const { return address.is_v4() ? ip4 : ip6; }
  std::vector<CodeRow> codes;   // of the catalogue
  std::vector<ListLine> lines;  // at least one
  // Most that one answer can add to (>= 0) and take from (<= 0) a score; for stopping early.
  int32_t gain_max = 0;
  int32_t loss_max = 0;
  // What to probe; both empty: the list is never probed and always trusted.
  TestPoints test4;
  TestPoints test6;
  // True for catalogued lists: every test point must hold. Of a list nobody has described we ask
  // less: one of its `listed` points (it may have one family only), and neither `unlisted` one.
  bool strict_test_points = false;
  uint32_t daily_budget = 0;

  bool operator==(const List&) const = default;
};

// The value of a [[secret]], read by the daemon.
struct NamedSecret {
  std::string name;
  Secret value;  // one label: letters, digits and hyphens
};

struct Lists {
  std::vector<List> lists;
  std::vector<std::string> warnings;  // one line each: uncatalogued without pattern, ...

  bool operator==(const Lists&) const = default;
};

// Whether a text holds one of the keys in the list's zone, in any case of letters.
bool tells_a_key(const List& list, std::string_view text);

// Every problem at once, each naming the site. A dead list, or one of domains, is a problem; so is
// a key that stands in the configuration itself. Never prints a key.
tl::expected<Lists, std::vector<std::string>> make_lists(const Dnsl& dnsl,
                                                         const Catalogue& catalogue,
                                                         std::span<const NamedSecret> secrets);

}  // namespace lychgate::config
