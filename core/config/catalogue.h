// What the codes of well-known DNS lists mean: plain structs and their TOML reader. The data is
// dns/catalogue.toml, built into the program; drop-ins replace or add whole lists. No I/O.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/address.h"
#include "core/config/reader.h"
#include "core/config/site.h"

namespace lychgate::config {

// What one A record of a list says. Only kListed and kAllow ever count.
enum class Meaning : uint8_t {
  kNeutral,    // known to say nothing about the client, or not in the catalogue
  kListed,     // the list speaks against the client
  kAllow,      // the list vouches for the client
  kError,      // the list refuses to answer us (wrong zone, open resolver, not registered)
  kOverQuota,  // the list refuses because we ask too much
  kDead,       // the list has been shut down and answers everything
};
inline constexpr size_t kMeaningCount = 6;
// News about the list itself, which says nothing about the client.
constexpr bool is_error(Meaning meaning) {
  return meaning == Meaning::kError || meaning == Meaning::kOverQuota || meaning == Meaning::kDead;
}
// "neutral", "listed", "allow", "error", "over quota", "dead".
extern const char* const kMeaningNames[kMeaningCount];

struct CodeRow {
  CodePattern codes;
  Meaning meaning = Meaning::kNeutral;
  int32_t weight = 0;  // used by a site line that gives neither pattern nor weight
  std::string text;    // "XBL: exploited host"

  bool operator==(const CodeRow&) const = default;
};

// An address that the list must, or must not, list (RFC 5782 section 5).
struct TestPoints {
  std::optional<IpAddress> listed;
  std::optional<IpAddress> unlisted;

  bool operator==(const TestPoints&) const = default;
};

struct CatalogueList {
  std::string zone;             // "zen.spamhaus.org"; of a keyed list, what follows the key
  bool keyed = false;           // a customer's key comes first: KEY.zen.dq.spamhaus.net
  bool ip4 = true;              // may be asked about IPv4 clients
  bool ip6 = false;             // may be asked about IPv6 clients
  bool domain = false;          // lists domains: must never be asked about addresses
  std::string dead;             // not empty: shut down; when and why
  std::string reply_name;       // what refused clients read; empty: the zone
  std::string checked;          // date of the last look at the list's own page
  std::vector<CodeRow> codes;   // the first that matches says it
  bool has_test_points = true;  // false: test_points = "none"
  TestPoints test4;             // both empty: 127.0.0.2 and 127.0.0.1
  TestPoints test6;             // both empty: ::ffff:7f00:2 and ::ffff:7f00:1
  uint32_t daily_budget = 0;    // lookups a day; 0: no limit known
};

struct Catalogue {
  std::string date;
  std::vector<CatalogueList> lists;

  // The list of a domain as written in a site: the zone itself, or label.zone of a keyed list.
  // nullptr: not in the catalogue.
  const CatalogueList* find(std::string_view domain) const;
};

// A later source replaces whole lists of an earlier one. All errors at once, in reading order.
tl::expected<Catalogue, std::vector<Problem>> parse_catalogue(std::span<const Source> sources);

}  // namespace lychgate::config
