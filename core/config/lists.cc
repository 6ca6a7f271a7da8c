// Joins lines by domain, then makes each list from its catalogue entry and its secrets. No message
// holds the value of a secret: only its name is ever at hand where messages are made.

#include "core/config/lists.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/base/ascii.h"
#include "core/base/limits.h"

namespace lychgate::config {
namespace {

constexpr size_t kLabelBytesMax = 63;  // RFC 1035 section 2.3.4
// 255 octets in wire form, less 64 for the nibbles of an IPv6 address, the first length and the
// root.
constexpr size_t kZoneBytesMax = 189;

// RFC 5782 section 5. Of both families: ::ffff:7f00:2 is 127.0.0.2.
TestPoints standard_points() {
  return {IpAddress::from_v4(0x7f000002), IpAddress::from_v4(0x7f000001)};
}

bool is_given(const TestPoints& points) {
  return points.listed || points.unlisted;
}

// Whether any answer that may count at all matches: in 127.0.0.0/8, not in 127.255.255.0/24.
bool can_match(CodePattern pattern) {
  auto& octets = pattern.octets();
  const bool only_errors =
      octets[1].count() == 1 && octets[1][255] && octets[2].count() == 1 && octets[2][255];
  return octets[0][127] && !only_errors;
}

bool is_label(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return plain && !text.empty() && text.size() <= kLabelBytesMax && text.front() != '-' &&
         text.back() != '-';
}

// What follows the last $name; the domain itself when nothing does.
std::string without_secrets(const std::string& domain) {
  const size_t last = domain.rfind('$');
  const size_t dot = last == std::string::npos ? last : domain.find('.', last);
  return dot == std::string::npos ? domain : domain.substr(dot + 1);
}

void take_over(const CatalogueList& entry, List& list) {
  list.catalogued = list.strict_test_points = true;
  list.reply_name = entry.reply_name.empty() ? entry.zone : entry.reply_name;
  list.ip4 = entry.ip4;
  list.ip6 = entry.ip6;
  list.codes = entry.codes;
  list.daily_budget = entry.daily_budget;
  if (!entry.has_test_points) return;
  if (entry.ip4) list.test4 = is_given(entry.test4) ? entry.test4 : standard_points();
  if (entry.ip6) list.test6 = is_given(entry.test6) ? entry.test6 : standard_points();
}

class Maker {
 public:
  Maker(const Dnsl& dnsl, const Catalogue& catalogue, std::span<const NamedSecret> secrets)
      : dnsl_(dnsl), catalogue_(catalogue), secrets_(secrets) {}

  tl::expected<Lists, std::vector<std::string>> run();

 private:
  List make(const Site& first);
  bool may_be_asked(const Site& first, const CatalogueList& entry);
  void fill_in(const Site& first, Secret& zone);
  const NamedSecret* secret(const Site& first, std::string_view name, size_t column);
  void add_line(const Site& site, List& list);
  void complain(const Site& site, std::string_view text) {
    problems_.push_back(fmt::format("dnsl.sites: {}: {}", site.text, text));
  }
  void warn(const Site& site, std::string_view text) {
    lists_.warnings.push_back(fmt::format("dnsl.sites: {}: {}", site.text, text));
  }

  const Dnsl& dnsl_;
  const Catalogue& catalogue_;
  std::span<const NamedSecret> secrets_;
  Lists lists_;
  std::vector<std::string> problems_;
};

tl::expected<Lists, std::vector<std::string>> Maker::run() {
  for (const Site& site : dnsl_.sites) {
    auto& lists = lists_.lists;
    auto list = std::find_if(lists.begin(), lists.end(),
                             [&](const List& other) { return other.name == site.domain; });
    if (list == lists.end()) {
      if (lists.size() == kListsMax) {
        complain(site, fmt::format("one list too many, expected at most {}", kListsMax));
        break;
      }
      lists.push_back(make(site));
      list = lists.end() - 1;
    }
    add_line(site, *list);
  }
  int64_t most = 0;
  for (const List& list : lists_.lists) most += list.gain_max;
  if (most > 0 && most < dnsl_.threshold) {
    lists_.warnings.push_back(
        fmt::format("dnsl.threshold = {}: all of dnsl.sites together reach {} at the most, so no "
                    "client can ever "
                    "fail; lower it or raise their weights",
                    dnsl_.threshold, most));
  }
  if (!problems_.empty()) return tl::unexpected(std::move(problems_));
  return std::move(lists_);
}

List Maker::make(const Site& first) {
  List list;
  list.name = first.domain;
  list.reply_name = without_secrets(first.domain);
  if (const CatalogueList* entry = catalogue_.find(first.domain)) {
    take_over(*entry, list);
    if (!may_be_asked(first, *entry)) return list;
  } else {
    list.test4 = list.test6 = standard_points();
  }
  auto zone = Secret::create();
  if (!zone) {
    complain(first, zone.error().text);
    return list;
  }
  list.zone = std::move(*zone);
  fill_in(first, list.zone);
  return list;
}

bool Maker::may_be_asked(const Site& first, const CatalogueList& entry) {
  const size_t problems = problems_.size();
  if (!entry.dead.empty()) {
    complain(first, fmt::format("the list has been shut down ({}), take it out", entry.dead));
  } else if (entry.domain) {
    complain(first,
             "the list is one of domains and must not be asked about addresses, take it out");
  } else if (entry.keyed && first.domain == entry.zone) {
    complain(first, fmt::format("the list wants a customer's key in front: put it into a "
                                "[[secret]] and write $name.{}",
                                entry.zone));
  } else if (entry.keyed && !first.domain.starts_with('$')) {
    // The site is not repeated: its first label is a key.
    problems_.push_back(
        fmt::format("dnsl.sites: a key does not belong into the configuration: "
                    "put it into a [[secret]] and write $name.{}",
                    entry.zone));
  }
  return problems_.size() == problems;
}

// The domain with the values of its secrets.
void Maker::fill_in(const Site& first, Secret& zone) {
  const std::string_view domain = first.domain;
  for (size_t start = 0; start < domain.size();) {
    const size_t end = std::min(domain.find('.', start), domain.size());
    std::string_view label = domain.substr(start, end - start);
    if (label.starts_with('$')) {
      const NamedSecret* found = secret(first, label.substr(1), start + 1);
      if (found == nullptr) return;
      label = found->value.reveal();
    }
    if (zone.size() + label.size() >= kZoneBytesMax) {
      complain(first, fmt::format("longer than {} bytes with its key: no room for an IPv6 address",
                                  kZoneBytesMax));
      return;
    }
    if (start > 0) zone.append(".");
    for (const char c : label) {
      const char lower = ascii_lower(c);
      zone.append({&lower, 1});
    }
    start = end + 1;
  }
}

const NamedSecret* Maker::secret(const Site& first, std::string_view name, size_t column) {
  const auto found = std::find_if(secrets_.begin(), secrets_.end(),
                                  [&](const NamedSecret& s) { return s.name == name; });
  if (found == secrets_.end()) {
    complain(first,
             fmt::format("column {}: no [[secret]] is called \"{}\", expected the name of one",
                         column, name));
    return nullptr;
  }
  if (is_label(found->value.reveal())) return &*found;
  complain(first, fmt::format("the value of [[secret]] \"{}\" is no label of a name, expected 1 to "
                              "{} letters, digits and hyphens",
                              name, kLabelBytesMax));
  return nullptr;
}

void Maker::add_line(const Site& site, List& list) {
  const bool by_catalogue = list.catalogued && !site.pattern && !site.weight;
  ListLine line{site.pattern, site.weight};
  if (!line.weight && !by_catalogue) line.weight = 1;  // as in Postfix
  int32_t most = line.weight.value_or(0);
  int32_t least = most;
  if (by_catalogue) {
    for (const CodeRow& row : list.codes) {
      most = std::max(most, row.weight);
      least = std::min(least, row.weight);
    }
  }
  if (!site.pattern && !list.catalogued) {
    warn(site,
         "never counts: the catalogue does not describe the list, so its codes say nothing; "
         "write =127.0.0.2, or describe the list in catalogue.d");
    most = least = 0;
  } else if (site.pattern && !can_match(*site.pattern)) {
    warn(site,
         "never counts: its pattern takes no code outside 127.255.255.0/24, where lists put "
         "their errors, and inside 127.0.0.0/8");
    most = least = 0;
  }
  list.gain_max += std::max(most, 0);
  list.loss_max += std::min(least, 0);
  list.lines.push_back(line);
}

}  // namespace

bool tells_a_key(const List& list, std::string_view text) {
  // The labels of both spellings stand side by side: a key is one label.
  std::string_view name = list.name;
  std::string_view zone = list.zone.reveal();
  const auto same = [](char a, char b) { return ascii_lower(a) == ascii_lower(b); };
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    const std::string_view value = zone.substr(0, zone.find('.'));
    if (label.starts_with('$') &&
        std::search(text.begin(), text.end(), value.begin(), value.end(), same) != text.end()) {
      return true;
    }
    name.remove_prefix(std::min(name.size(), label.size() + 1));
    zone.remove_prefix(std::min(zone.size(), value.size() + 1));
  }
  return false;
}

tl::expected<Lists, std::vector<std::string>> make_lists(const Dnsl& dnsl,
                                                         const Catalogue& catalogue,
                                                         std::span<const NamedSecret> secrets) {
  return Maker(dnsl, catalogue, secrets).run();
}

}  // namespace lychgate::config
