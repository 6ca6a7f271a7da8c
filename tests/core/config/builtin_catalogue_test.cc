// The data of dns/catalogue.toml: it parses, and holds what a list's answers must never be taken
// for.

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "core/config/catalogue_files.h"
#include "core/config/lists.h"
#include "dns/catalogue.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

const Catalogue& builtin() {
  static const Catalogue catalogue = [] {
    auto loaded = load_catalogue(dns::builtin_catalogue(), {}, "");
    EXPECT_TRUE(loaded) << joined(loaded.error().problems);
    return loaded ? std::move(*loaded) : Catalogue{};
  }();
  return catalogue;
}

// The first row that matches, as a meaning and a weight.
std::pair<Meaning, int32_t> meaning_of(std::string_view zone, std::string_view code) {
  const CatalogueList* list = builtin().find(zone);
  if (list == nullptr) return {Meaning::kDead, 0};
  for (const CodeRow& row : list->codes) {
    if (row.codes.matches(IpAddress::parse(code)->v4())) return {row.meaning, row.weight};
  }
  return {Meaning::kNeutral, 0};
}

TEST(BuiltinCatalogue, IsTheFileByteForByte) {
  std::ostringstream content;
  content << std::ifstream(LYCHGATE_CATALOGUE).rdbuf();
  EXPECT_EQ(content.str(), dns::builtin_catalogue());
  EXPECT_EQ(builtin().date.size(), 10u);
}

TEST(BuiltinCatalogue, NoErrorOfAnyListCounts) {
  ASSERT_GT(builtin().lists.size(), 20u);
  for (const CatalogueList& list : builtin().lists) {
    for (const CodeRow& row : list.codes) {
      if (row.meaning != Meaning::kListed && row.meaning != Meaning::kAllow) continue;
      for (uint32_t last = 0; last < 256; ++last) {
        EXPECT_FALSE(row.codes.matches(0x7fffff00 + last)) << list.zone;
      }
    }
  }
}

TEST(BuiltinCatalogue, SaysOfWellKnownCodesWhatTheListsSay) {
  struct Row {
    const char* zone;
    const char* code;
    Meaning meaning;
    int32_t weight;
  };
  const Row rows[] = {
      {"zen.spamhaus.org", "127.0.0.2", Meaning::kListed, 6},
      {"zen.spamhaus.org", "127.0.0.3", Meaning::kListed, 5},
      {"zen.spamhaus.org", "127.0.0.4", Meaning::kListed, 8},
      {"zen.spamhaus.org", "127.0.0.6", Meaning::kNeutral, 0},
      {"zen.spamhaus.org", "127.0.0.9", Meaning::kListed, 8},
      {"zen.spamhaus.org", "127.0.0.11", Meaning::kListed, 8},
      {"zen.spamhaus.org", "127.0.0.1", Meaning::kNeutral, 0},
      {"zen.spamhaus.org", "127.255.255.252", Meaning::kError, 0},
      {"zen.spamhaus.org", "127.255.255.254", Meaning::kError, 0},
      {"zen.spamhaus.org", "127.255.255.255", Meaning::kOverQuota, 0},
      {"$k.zen.dq.spamhaus.net", "127.0.0.10", Meaning::kListed, 8},
      {"$k.zen.dq.spamhaus.net", "127.255.255.250", Meaning::kError, 0},
      {"bl.spamcop.net", "127.0.0.2", Meaning::kListed, 3},
      {"b.barracudacentral.org", "127.0.0.2", Meaning::kListed, 4},
      {"bl.mailspike.net", "127.0.0.10", Meaning::kListed, 4},
      {"rep.mailspike.net", "127.0.0.15", Meaning::kNeutral, 0},
      {"wl.mailspike.net", "127.0.0.19", Meaning::kAllow, -2},
      {"list.dnswl.org", "127.0.5.1", Meaning::kAllow, -2},
      {"list.dnswl.org", "127.0.15.2", Meaning::kAllow, -5},
      {"list.dnswl.org", "127.0.9.3", Meaning::kAllow, -8},
      {"list.dnswl.org", "127.0.9.0", Meaning::kNeutral, 0},
      {"list.dnswl.org", "127.0.1.3", Meaning::kNeutral, 0},
      {"list.dnswl.org", "127.0.0.255", Meaning::kOverQuota, 0},
      {"hostkarma.junkemailfilter.com", "127.0.0.1", Meaning::kAllow, -2},
      {"hostkarma.junkemailfilter.com", "127.0.0.3", Meaning::kNeutral, 0},
      {"ips.backscatterer.org", "127.0.0.2", Meaning::kNeutral, 0},
  };
  for (const Row& row : rows) {
    const auto [meaning, weight] = meaning_of(row.zone, row.code);
    EXPECT_EQ(meaning, row.meaning) << row.zone << " " << row.code;
    EXPECT_EQ(weight, row.weight) << row.zone << " " << row.code;
  }
}

// Over quota, dnswl has answered 127.0.10.3 for every address: highest trust for all of the world.
TEST(BuiltinCatalogue, NothingOfDnswlsSectorTenIsTrusted) {
  for (const char* code :
       {"127.0.10.0", "127.0.10.1", "127.0.10.2", "127.0.10.3", "127.0.10.255"}) {
    EXPECT_EQ(meaning_of("list.dnswl.org", code).first, Meaning::kError) << code;
  }
}

TEST(BuiltinCatalogue, TestPointsAreNotTakenForErrors) {
  EXPECT_FALSE(builtin().find("list.dnswl.org")->test4.listed) << "it answers 127.0.10.0";
  EXPECT_TRUE(builtin().find("list.dnswl.org")->test4.unlisted);
  EXPECT_FALSE(builtin().find("hostkarma.junkemailfilter.com")->has_test_points);
  for (const CatalogueList& list : builtin().lists) {
    if (!list.dead.empty() || list.domain || !list.has_test_points) continue;
    const bool standard = !list.test4.listed && !list.test4.unlisted;
    EXPECT_TRUE(standard || list.test4.unlisted == IpAddress::parse("127.0.0.1")) << list.zone;
  }
}

TEST(BuiltinCatalogue, OneListAloneRefusesNobodyButForItsSurestCodes) {
  const std::set<std::string> sure = {"zen.spamhaus.org", "zen.dq.spamhaus.net", "sbl.spamhaus.org",
                                      "xbl.spamhaus.org", "pbl.spamhaus.org"};
  const Dnsl dnsl;
  for (const CatalogueList& list : builtin().lists) {
    for (const CodeRow& row : list.codes) {
      EXPECT_LE(row.weight, dnsl.threshold) << list.zone;
      if (sure.contains(list.zone)) continue;
      EXPECT_LT(row.weight, dnsl.threshold) << list.zone;
    }
  }
}

TEST(BuiltinCatalogue, DeadListsAndListsOfDomainsAreRefused) {
  for (const char* zone : {"dnsbl.sorbs.net", "ix.dnsbl.manitu.net", "dbl.spamhaus.org",
                           "multi.surbl.org", "multi.uribl.com", "zen.dq.spamhaus.net"}) {
    Dnsl dnsl;
    dnsl.sites.push_back(*parse_site(zone));
    EXPECT_FALSE(make_lists(dnsl, builtin(), {})) << zone;
  }
}

// The design's own example, and every list that can be asked without a key.
TEST(BuiltinCatalogue, EveryLivingListCanBeAsked) {
  for (const CatalogueList& list : builtin().lists) {
    if (!list.dead.empty() || list.domain || list.keyed) continue;
    Dnsl dnsl;
    dnsl.threshold = 1;  // one list need not reach more alone
    dnsl.sites.push_back(*parse_site(list.zone));
    const auto made = make_lists(dnsl, builtin(), {});
    ASSERT_TRUE(made) << list.zone;
    EXPECT_TRUE(made->warnings.empty()) << list.zone;
  }
}

}  // namespace
}  // namespace lychgate::config
