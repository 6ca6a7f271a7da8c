// Walks the tree of each source; one small function per key. The format is described at the top of
// dns/catalogue.toml.

#include "core/config/catalogue.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/config/document.h"
#include "core/config/findings.h"
#include "core/config/values.h"

namespace lychgate::config {

const char* const kMeaningNames[kMeaningCount] = {"neutral", "listed",     "allow",
                                                  "error",   "over quota", "dead"};

namespace {

// A name goes into a reply line, a text into a line of `why`.
constexpr size_t kReplyNameBytesMax = 100;
constexpr size_t kTextBytesMax = 200;

bool counts(Meaning meaning) {
  return meaning == Meaning::kListed || meaning == Meaning::kAllow;
}

bool is_date(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return false;
  return std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
    return form == '0' ? c >= '0' && c <= '9' : c == form;
  });
}

// A [[list]] while its keys are read, in whatever order they stand.
struct ListDraft {
  CatalogueList list;
  Position at;
  bool has_zone = false;          // given, if only with a mistake
  std::optional<int32_t> weight;  // of its codes that give none
  const Node* codes = nullptr;
  const Node* test_points6 = nullptr;
};

class CatalogueReader {
 public:
  explicit CatalogueReader(std::span<const Source> sources) : sources_(sources) {}

  tl::expected<Catalogue, std::vector<Problem>> run();

 private:
  using ReadKey = void (CatalogueReader::*)(const Node&, ListDraft&);
  struct ListKey {
    std::string_view name;
    ReadKey read;
  };
  static const ListKey kListKeys[];

  void read_root(const Node& root);
  void read_list(const Node& table);
  void finish_list(ListDraft& draft);

  void read_zone(const Node& node, ListDraft& draft);
  void read_keyed(const Node& node, ListDraft& draft);
  void read_families(const Node& node, ListDraft& draft);
  void read_dead(const Node& node, ListDraft& draft);
  void read_reply_name(const Node& node, ListDraft& draft);
  void read_checked(const Node& node, ListDraft& draft);
  void read_weight(const Node& node, ListDraft& draft);
  void read_budget(const Node& node, ListDraft& draft);
  void read_test_points(const Node& node, ListDraft& draft);
  void read_test_points6(const Node& node, ListDraft& draft);
  void read_codes(const Node& node, ListDraft& draft);

  void read_points(const Node& node, bool ip6, TestPoints& points);
  void read_row(const Node& table, ListDraft& draft);
  void read_pattern(const Node& node, CodePattern& pattern);
  void read_meaning(const Node& node, Meaning& meaning);
  void check_weight(const Node& row, const Node* given, const ListDraft& draft, CodeRow& code);

  bool is(const Node& node, NodeKind kind, std::string_view expected);
  // A text for people; at least one byte.
  void read_text(const Node& node, size_t bytes_max, std::string& text);
  std::optional<int64_t> read_integer(const Node& node, int64_t min, int64_t max);
  void complain(Position at, std::string text) {
    findings_.push_back({{source_, at.line, at.column}, std::move(text)});
  }

  std::span<const Source> sources_;
  uint32_t source_ = 0;
  std::set<std::string> zones_;            // of this source
  std::map<std::string, size_t> indices_;  // of all sources
  Catalogue catalogue_;
  std::vector<Finding> findings_;
};

const CatalogueReader::ListKey CatalogueReader::kListKeys[] = {
    {"zone", &CatalogueReader::read_zone},
    {"keyed", &CatalogueReader::read_keyed},
    {"families", &CatalogueReader::read_families},
    {"dead", &CatalogueReader::read_dead},
    {"reply_name", &CatalogueReader::read_reply_name},
    {"checked", &CatalogueReader::read_checked},
    {"weight", &CatalogueReader::read_weight},
    {"daily_budget", &CatalogueReader::read_budget},
    {"test_points", &CatalogueReader::read_test_points},
    {"test_points6", &CatalogueReader::read_test_points6},
    {"codes", &CatalogueReader::read_codes},
};

tl::expected<Catalogue, std::vector<Problem>> CatalogueReader::run() {
  for (const Source& source : sources_) {
    zones_.clear();
    const auto root = parse_document(source.text);
    if (root) {
      read_root(*root);
    } else {
      complain(root.error().at, root.error().text);
    }
    ++source_;
  }
  if (!findings_.empty()) return tl::unexpected(to_problems(std::move(findings_), sources_));
  return std::move(catalogue_);
}

void CatalogueReader::read_root(const Node& root) {
  for (const Node& child : root.children) {
    if (child.key == "date") {
      std::string date;
      read_text(child, kTextBytesMax, date);
      if (!date.empty() && !is_date(date)) {
        complain(child.at, "date: expected a day such as \"2026-11-21\"");
      }
      if (catalogue_.date.empty()) catalogue_.date = date;
    } else if (child.key == "list") {
      if (!is(child, NodeKind::kList, "[[list]] entries")) continue;
      for (const Node& entry : child.children) {
        if (is(entry, NodeKind::kTable, "[[list]] entries")) read_list(entry);
      }
    } else {
      complain(child.key_at, fmt::format("unknown key {}, expected date or [[list]]",
                                         hide_keys(toml_quoted(child.key))));
    }
  }
}

void CatalogueReader::read_list(const Node& table) {
  ListDraft draft;
  draft.at = table.at;
  for (const Node& child : table.children) {
    const auto* key = std::find_if(std::begin(kListKeys), std::end(kListKeys),
                                   [&](const ListKey& k) { return k.name == child.key; });
    if (key != std::end(kListKeys)) {
      (this->*key->read)(child, draft);
      continue;
    }
    std::string names;
    for (const ListKey& k : kListKeys)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", k.name);
    complain(child.key_at, fmt::format("unknown key {} in [[list]], expected one of {}",
                                       hide_keys(toml_quoted(child.key)), names));
  }
  finish_list(draft);
}

// What the keys of one list must be to each other.
void CatalogueReader::finish_list(ListDraft& draft) {
  CatalogueList& list = draft.list;
  if (list.zone.empty()) {
    if (!draft.has_zone) complain(draft.at, "[[list]] without zone, expected the list's name");
    return;
  }
  const bool asked = list.dead.empty() && !list.domain;
  if (draft.codes != nullptr && !asked) {
    complain(draft.codes->at,
             "codes: of a list that is never asked (dead, or of domains), "
             "expected none");
    return;
  }
  if (asked && draft.codes == nullptr) {
    complain(draft.at, fmt::format("[[list]] {} without codes, expected at least one: an answer "
                                   "that no code describes never counts",
                                   list.zone));
  }
  if (draft.codes != nullptr) {
    for (const Node& row : draft.codes->children) {
      if (is(row, NodeKind::kTable, "a table such as {code = \"127.0.0.2\", is = \"listed\"}")) {
        read_row(row, draft);
      }
    }
  }
  if (draft.test_points6 != nullptr && !list.ip6) {
    complain(draft.test_points6->at, "test_points6: of a list without \"ip6\" in its families");
  }
  const auto known = indices_.find(list.zone);
  if (known == indices_.end()) {
    indices_[list.zone] = catalogue_.lists.size();
    catalogue_.lists.push_back(std::move(list));
  } else {
    catalogue_.lists[known->second] = std::move(list);
  }
}

void CatalogueReader::read_zone(const Node& node, ListDraft& draft) {
  draft.has_zone = true;
  if (!is(node, NodeKind::kString, "zone: the name of a list")) return;
  const auto site = parse_site(node.text);
  if (!site) {
    complain(node.at, fmt::format("zone: {}: column {}: {}", hide_keys(toml_quoted(node.text)),
                                  site.error().column, site.error().text));
    return;
  }
  if (site->pattern || site->weight || site->domain.find('$') != std::string::npos) {
    complain(node.at, fmt::format("zone: {}: expected the list's name alone, without a pattern, a "
                                  "weight or a key",
                                  hide_keys(toml_quoted(node.text))));
    return;
  }
  if (!zones_.insert(site->domain).second) {
    complain(node.at, fmt::format("zone: {} is described twice in this file, expected once",
                                  toml_quoted(site->domain)));
    return;
  }
  draft.list.zone = site->domain;
}

void CatalogueReader::read_keyed(const Node& node, ListDraft& draft) {
  if (is(node, NodeKind::kBoolean, "keyed: true or false")) draft.list.keyed = node.boolean;
}

void CatalogueReader::read_families(const Node& node, ListDraft& draft) {
  constexpr std::string_view kExpected =
      "families: one or both of \"ip4\" and \"ip6\", or [\"domain\"]";
  if (!is(node, NodeKind::kList, kExpected)) return;
  bool ip4 = false;
  bool ip6 = false;
  bool domain = false;
  for (const Node& item : node.children) {
    if (!is(item, NodeKind::kString, kExpected)) return;
    if (item.text != "ip4" && item.text != "ip6" && item.text != "domain") {
      complain(item.at, fmt::format("found {}, expected {}", hide_keys(describe(item)), kExpected));
      return;
    }
    ip4 = ip4 || item.text == "ip4";
    ip6 = ip6 || item.text == "ip6";
    domain = domain || item.text == "domain";
  }
  if ((ip4 || ip6) == domain) {
    complain(node.at,
             fmt::format("found {}, expected {}",
                         domain ? "addresses and domains in one list" : "none", kExpected));
    return;
  }
  draft.list.ip4 = ip4;
  draft.list.ip6 = ip6;
  draft.list.domain = domain;
}

void CatalogueReader::read_dead(const Node& node, ListDraft& draft) {
  read_text(node, kTextBytesMax, draft.list.dead);
}

void CatalogueReader::read_reply_name(const Node& node, ListDraft& draft) {
  read_text(node, kReplyNameBytesMax, draft.list.reply_name);
  if (draft.list.reply_name.find(' ') == std::string::npos) return;
  complain(node.at, "reply_name: has a space, expected none");
}

void CatalogueReader::read_checked(const Node& node, ListDraft& draft) {
  read_text(node, kTextBytesMax, draft.list.checked);
  if (!draft.list.checked.empty() && !is_date(draft.list.checked)) {
    complain(node.at, "checked: expected a day such as \"2026-11-21\"");
  }
}

void CatalogueReader::read_weight(const Node& node, ListDraft& draft) {
  if (const auto weight = read_integer(node, kSiteWeightMin, kSiteWeightMax)) {
    draft.weight = static_cast<int32_t>(*weight);
  }
}

void CatalogueReader::read_budget(const Node& node, ListDraft& draft) {
  const auto budget = read_integer(node, 0, std::numeric_limits<uint32_t>::max());
  if (budget) draft.list.daily_budget = static_cast<uint32_t>(*budget);
}

void CatalogueReader::read_test_points(const Node& node, ListDraft& draft) {
  if (node.kind == NodeKind::kString && node.text == "none") {
    draft.list.has_test_points = false;
    return;
  }
  read_points(node, false, draft.list.test4);
}

void CatalogueReader::read_test_points6(const Node& node, ListDraft& draft) {
  draft.test_points6 = &node;
  read_points(node, true, draft.list.test6);
}

// ["listed", "unlisted"], either of them empty. The family is that of the text: ::ffff:7f00:2 is an
// IPv4 address in another form, but as a test point it is asked for in nibbles (RFC 5782 section
// 5).
void CatalogueReader::read_points(const Node& node, bool ip6, TestPoints& points) {
  const std::string expected =
      fmt::format("{}: an address that must be listed and one that must not, such as {}", node.key,
                  ip6 ? "[\"::ffff:7f00:2\", \"::ffff:7f00:1\"]"
                      : "[\"127.0.0.2\", \"127.0.0.1\"] (or \"none\")");
  if (!is(node, NodeKind::kList, expected)) return;
  if (node.children.size() != 2) {
    complain(node.at, fmt::format("found {} entries, expected {}", node.children.size(), expected));
    return;
  }
  std::optional<IpAddress>* const places[] = {&points.listed, &points.unlisted};
  for (size_t i = 0; i < std::size(places); ++i) {
    const Node& item = node.children[i];
    if (!is(item, NodeKind::kString, expected)) continue;
    if (item.text.empty()) continue;
    *places[i] = IpAddress::parse(item.text);
    if (places[i]->has_value() && (item.text.find(':') != std::string::npos) == ip6) continue;
    complain(item.at, fmt::format("found {}, expected {}", describe(item), expected));
  }
  if (points.listed || points.unlisted) return;
  complain(node.at, fmt::format("found no address, expected {}", expected));
}

void CatalogueReader::read_codes(const Node& node, ListDraft& draft) {
  if (is(node, NodeKind::kList, "codes: a list of tables")) draft.codes = &node;
}

void CatalogueReader::read_row(const Node& table, ListDraft& draft) {
  CodeRow row;
  const Node* code = nullptr;
  const Node* meaning = nullptr;
  const Node* weight = nullptr;
  for (const Node& child : table.children) {
    if (child.key == "code") {
      code = &child;
    } else if (child.key == "is") {
      meaning = &child;
    } else if (child.key == "weight") {
      weight = &child;
    } else if (child.key == "text") {
      read_text(child, kTextBytesMax, row.text);
    } else {
      complain(child.key_at, fmt::format("unknown key {} in codes, expected one of code, is, "
                                         "weight, text",
                                         hide_keys(toml_quoted(child.key))));
    }
  }
  if (code == nullptr || meaning == nullptr) {
    complain(table.at, "codes: a row without code or is, expected both");
    return;
  }
  read_pattern(*code, row.codes);
  read_meaning(*meaning, row.meaning);
  check_weight(table, weight, draft, row);
  const bool takes_errors = row.codes.octets()[1][255] && row.codes.octets()[2][255];
  if (counts(row.meaning) && takes_errors) {
    complain(code->at,
             "code: 127.255.255.0/24 is where lists put their errors and never counts, "
             "expected a pattern without it");
  }
  draft.list.codes.push_back(std::move(row));
}

void CatalogueReader::read_pattern(const Node& node, CodePattern& pattern) {
  if (!is(node, NodeKind::kString, "code: a pattern such as \"127.0.0.[2..11]\"")) return;
  const auto parsed = parse_code_pattern(node.text);
  if (!parsed) {
    complain(node.at, fmt::format("code: {}: column {}: {}", hide_keys(toml_quoted(node.text)),
                                  parsed.error().column, parsed.error().text));
    return;
  }
  pattern = *parsed;
  const std::bitset<256>& first = pattern.octets()[0];
  if (first.count() == 1 && first[127]) return;
  complain(node.at, fmt::format("code: {}: expected codes in 127.0.0.0/8: no list may answer "
                                "anything else (RFC 5782 section 2.1)",
                                toml_quoted(node.text)));
}

void CatalogueReader::read_meaning(const Node& node, Meaning& meaning) {
  constexpr std::string_view kExpected =
      "is: \"listed\", \"allow\", \"neutral\", \"error\", \"over quota\" or \"dead\"";
  if (!is(node, NodeKind::kString, kExpected)) return;
  for (size_t i = 0; i < kMeaningCount; ++i) {
    if (node.text != kMeaningNames[i]) continue;
    meaning = static_cast<Meaning>(i);
    return;
  }
  complain(node.at, fmt::format("found {}, expected {}", hide_keys(describe(node)), kExpected));
}

void CatalogueReader::check_weight(const Node& row, const Node* given, const ListDraft& draft,
                                   CodeRow& code) {
  if (!counts(code.meaning)) {
    if (given != nullptr) {
      complain(given->at, fmt::format("weight: of a code that is {}, expected none: only listed "
                                      "and allow count",
                                      kMeaningNames[static_cast<size_t>(code.meaning)]));
    }
    return;
  }
  std::optional<int64_t> weight = draft.weight;
  if (given != nullptr) {
    weight = read_integer(*given, kSiteWeightMin, kSiteWeightMax);
    if (!weight) return;
  }
  if (!weight) {
    complain(row.at,
             "codes: a row that counts without a weight, expected one here or for the list");
    return;
  }
  code.weight = static_cast<int32_t>(*weight);
  const bool listed = code.meaning == Meaning::kListed;
  if (listed ? code.weight > 0 : code.weight < 0) return;
  complain(given != nullptr ? given->at : row.at,
           fmt::format("weight: is {}, expected {} for a code that is {}", code.weight,
                       listed ? "more than 0" : "less than 0", listed ? "listed" : "allow"));
}

bool CatalogueReader::is(const Node& node, NodeKind kind, std::string_view expected) {
  if (node.kind == kind) return true;
  complain(node.at, fmt::format("found {}, expected {}", hide_keys(describe(node)), expected));
  return false;
}

void CatalogueReader::read_text(const Node& node, size_t bytes_max, std::string& text) {
  if (!is(node, NodeKind::kString, node.key + ": a text")) return;
  text = node.text;
  if (text.empty() || text.size() > bytes_max) {
    complain(node.at, fmt::format("{}: is {} bytes long, expected 1 to {}", node.key, text.size(),
                                  bytes_max));
  } else if (const auto objection = object_to_banner(text)) {
    complain(node.at, fmt::format("{}: {}", node.key, *objection));
  }
}

std::optional<int64_t> CatalogueReader::read_integer(const Node& node, int64_t min, int64_t max) {
  if (!is(node, NodeKind::kInteger, node.key + ": an integer")) return std::nullopt;
  if (min <= node.integer && node.integer <= max) return node.integer;
  complain(node.at, fmt::format("{}: is {}, expected {} to {}", node.key, node.integer, min, max));
  return std::nullopt;
}

}  // namespace

const CatalogueList* Catalogue::find(std::string_view domain) const {
  const auto describes = [&](const CatalogueList& list) {
    if (domain == list.zone) return true;
    if (!list.keyed || !domain.ends_with(list.zone)) return false;
    const std::string_view front = domain.substr(0, domain.size() - list.zone.size());
    return front.find('.') == front.size() - 1;
  };
  const auto found = std::find_if(lists.begin(), lists.end(), describes);
  return found == lists.end() ? nullptr : &*found;
}

tl::expected<Catalogue, std::vector<Problem>> parse_catalogue(std::span<const Source> sources) {
  return CatalogueReader(sources).run();
}

}  // namespace lychgate::config
