// A cursor over the text for each of the three parts; bounds first, no recursion, no allocation but
// for the answer. Written after psc_dnsbl_add_site, ip_match_parse and valid_hostname of Postfix:
// what they take we take, what they refuse we refuse, and besides what looks like a key.

#include "core/config/site.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/ascii.h"
#include "core/base/limits.h"

namespace lychgate::config {
namespace {

// The longest pattern of use, 256 items in each of four octets, is below it.
constexpr size_t kSiteBytesMax = 4096;
constexpr size_t kLabelBytesMax = 63;  // RFC 1035 section 2.3.4
// 255 octets in wire form, less 64 for the nibbles of an IPv6 address, the first length and the
// root.
constexpr size_t kDomainBytesMax = 189;
// Keys of paid lists have 26 letters and digits or more; the longest label of a list we know of,
// 16.
constexpr size_t kKeyBytesMin = 20;
constexpr std::string_view kKeyWarning =
    "a key does not belong into the configuration: name it in a [[secret]] and write $name";

using Failure = tl::unexpected<SiteProblem>;

Failure wrong(size_t at, std::string text) {
  return Failure(SiteProblem{at + 1, std::move(text)});
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool looks_like_key(std::string_view label) {
  if (label.find('-') != std::string_view::npos) return false;
  const auto count =
      std::count_if(label.begin(), label.end(), [](char c) { return is_letter(c) || is_digit(c); });
  return static_cast<size_t>(count) >= kKeyBytesMin;
}

// The longest run of letters and digits.
size_t longest_word(std::string_view text) {
  size_t longest = 0;
  size_t run = 0;
  for (const char c : text) {
    run = is_letter(c) || is_digit(c) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

// One label, `at` its offset in the site; what is wrong with it, if anything.
std::optional<SiteProblem> object_to_label(std::string_view label, size_t at, bool is_last) {
  const auto objection = [](size_t where, std::string text) {
    return SiteProblem{where + 1, std::move(text)};
  };
  if (label.empty()) {
    if (is_last && at > 0) {
      return objection(at - 1, "a dot at the end, expected none: the name is absolute as it is");
    }
    return objection(at, "an empty label, expected letters or digits before each dot");
  }
  if (label[0] == '$') {
    if (const auto text = object_to_secret_name(label.substr(1))) return objection(at + 1, *text);
    return std::nullopt;
  }
  for (size_t i = 0; i < label.size(); ++i) {
    const char c = label[i];
    if (is_letter(c) || is_digit(c) || c == '_') continue;
    if (c == '$') {
      return objection(at + i, "a \"$\" inside a label, expected $name to be the whole label");
    }
    if (c != '-') {
      return objection(at + i,
                       "not a host name, expected letters, digits, \"_\", \"-\" and dots only");
    }
    if (i == 0 || i + 1 == label.size()) {
      return objection(at + i, "a label begins or ends with a hyphen, expected a letter or digit");
    }
  }
  if (label.size() > kLabelBytesMax) {
    return objection(at, fmt::format("a label of {} bytes, expected at most {} (RFC 1035)",
                                     label.size(), kLabelBytesMax));
  }
  return std::nullopt;
}

// The domain in lower case; a $name keeps its letters.
tl::expected<std::string, SiteProblem> parse_domain(std::string_view text) {
  if (text.empty()) return wrong(0, "no domain, expected the name of a list");
  if (text.size() > kDomainBytesMax) {
    return wrong(kDomainBytesMax,
                 fmt::format("a domain of {} bytes, expected at most {}: an IPv6 address must fit "
                             "in front of it",
                             text.size(), kDomainBytesMax));
  }
  bool numeric = true;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('.', start), text.size());
    const std::string_view label = text.substr(start, end - start);
    if (const auto problem = object_to_label(label, start, end == text.size())) {
      return Failure(*problem);
    }
    numeric = numeric && std::all_of(label.begin(), label.end(), is_digit);
    start = end + 1;
  }
  if (numeric) return wrong(0, "a domain of digits alone, expected the name of a list");
  std::string domain(text);
  bool in_secret = false;
  for (size_t i = 0; i < domain.size(); ++i) {
    if (i == 0 || domain[i - 1] == '.') in_secret = domain[i] == '$';
    if (!in_secret) domain[i] = ascii_lower(domain[i]);
  }
  return domain;
}

// Reads the weight the way sscanf's %d does, sign and all.
tl::expected<int32_t, SiteProblem> parse_weight(std::string_view text, size_t at) {
  const bool negative = text.starts_with('-');
  const std::string_view digits = text.substr(negative || text.starts_with('+') ? 1 : 0);
  int32_t value = 0;
  bool good = !digits.empty() && std::all_of(digits.begin(), digits.end(), is_digit);
  for (size_t i = 0; good && i < digits.size(); ++i) {
    value = value * 10 + (digits[i] - '0');
    good = value <= std::max(kSiteWeightMax, -kSiteWeightMin);
  }
  if (negative) value = -value;
  if (good && value >= kSiteWeightMin && value <= kSiteWeightMax) return value;
  return wrong(at, fmt::format("no weight after the \"*\", expected a whole number from {} to {}",
                               kSiteWeightMin, kSiteWeightMax));
}

class PatternReader {
 public:
  explicit PatternReader(std::string_view text) : text_(text) {}

  tl::expected<CodePattern, SiteProblem> run();

 private:
  bool is_next(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!is_next(c)) return false;
    ++at_;
    return true;
  }
  // A number of any length, as Postfix has it: leading zeros are no octal.
  std::optional<uint32_t> take_octet();
  bool strip_brackets();
  std::optional<SiteProblem> take_field(std::bitset<256>& octet);
  std::optional<SiteProblem> take_item(std::bitset<256>& octet);
  SiteProblem problem(std::string text) const { return {at_ + 1, std::move(text)}; }
  SiteProblem no_number() const { return problem("expected a decimal number 0 to 255"); }

  std::string_view text_;
  size_t at_ = 0;
};

std::optional<uint32_t> PatternReader::take_octet() {
  uint32_t value = 0;
  size_t end = at_;
  for (; end < text_.size() && is_digit(text_[end]); ++end) {
    value = value * 10 + static_cast<uint32_t>(text_[end] - '0');
    if (value > 255) return std::nullopt;
  }
  if (end == at_) return std::nullopt;
  at_ = end;
  return value;
}

// Brackets around the whole pattern mean nothing; a pattern may also begin with [1;2] and go on.
bool PatternReader::strip_brackets() {
  if (!is_next('[')) return true;
  int level = 0;
  size_t close = 0;
  for (; close < text_.size(); ++close) {
    if (text_[close] == '[') ++level;
    if (text_[close] == ']' && --level == 0) break;
  }
  if (close == text_.size()) return false;
  if (close + 1 < text_.size()) return true;
  text_.remove_suffix(1);
  ++at_;
  return true;
}

std::optional<SiteProblem> PatternReader::take_item(std::bitset<256>& octet) {
  const size_t start = at_;
  const auto first = take_octet();
  if (!first) return no_number();
  uint32_t last = *first;
  if (is_next('.')) {
    const bool dots = take('.') && take('.');
    const auto number = dots ? take_octet() : std::nullopt;
    if (!number || *number < *first) {
      at_ = start;
      return problem("not a range, expected n..m with n no greater than m");
    }
    last = *number;
  }
  for (uint32_t value = *first; value <= last; ++value) octet.set(value);
  return std::nullopt;
}

std::optional<SiteProblem> PatternReader::take_field(std::bitset<256>& octet) {
  if (!take('[')) {
    const auto value = take_octet();
    if (!value) return problem("expected a decimal number 0 to 255, or \"[\"");
    octet.set(*value);
    return std::nullopt;
  }
  for (;;) {
    if (auto wrong_item = take_item(octet)) return wrong_item;
    if (take(']')) return std::nullopt;
    if (!take(';')) return problem("expected \";\" or \"]\" after a number in brackets");
  }
}

tl::expected<CodePattern, SiteProblem> PatternReader::run() {
  if (!strip_brackets()) return Failure(problem("the \"[\" here has no \"]\""));
  if (at_ == text_.size()) {
    return Failure(problem("an empty pattern, expected four octets such as 127.0.0.2"));
  }
  CodePattern pattern;
  for (size_t i = 0; i < pattern.octets().size(); ++i) {
    if (i > 0 && !take('.')) {
      return Failure(problem("expected \".\": a pattern has four octets, such as 127.0.0.[2..11]"));
    }
    if (const auto wrong_field = take_field(pattern.octets()[i])) return Failure(*wrong_field);
  }
  if (at_ == text_.size()) return pattern;
  return Failure(problem("expected the end: a pattern has four octets, such as 127.0.0.[2..11]"));
}

// A label that is a key, even behind a "$", and whatever else may be wrong with the site.
std::optional<SiteProblem> find_key(std::string_view domain) {
  for (size_t start = 0; start <= domain.size();) {
    const size_t end = std::min(domain.find('.', start), domain.size());
    const std::string_view label = domain.substr(start, end - start);
    if (looks_like_key(label)) {
      return SiteProblem{start + 1, std::string(kKeyWarning)};
    }
    start = end + 1;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> object_to_secret_name(std::string_view name) {
  if (looks_like_key(name)) return std::string(kKeyWarning);
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '_' || c == '-';
  });
  if (plain && !name.empty() && name.size() <= kLabelBytesMax) return std::nullopt;
  return fmt::format("not the name of a secret, expected 1 to {} letters, digits, \"_\" and \"-\"",
                     kLabelBytesMax);
}

std::string hide_keys(std::string_view text) {
  constexpr std::string_view kEnds = ".=*/\"";
  std::string out;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find_first_of(kEnds, start), text.size());
    const std::string_view part = text.substr(start, end - start);
    out += looks_like_key(part) || longest_word(part) >= kKeyBytesMin ? "..." : part;
    if (end < text.size()) out += text[end];
    start = end + 1;
  }
  return out;
}

tl::expected<CodePattern, SiteProblem> parse_code_pattern(std::string_view text) {
  if (text.size() > kSiteBytesMax) {
    return wrong(kSiteBytesMax, fmt::format("longer than {} bytes", kSiteBytesMax));
  }
  return PatternReader(text).run();
}

tl::expected<Site, SiteProblem> parse_site(std::string_view text) {
  if (text.size() > kSiteBytesMax) {
    return wrong(kSiteBytesMax, fmt::format("longer than {} bytes", kSiteBytesMax));
  }
  const size_t star = std::min(text.find('*'), text.size());
  const size_t equals = std::min(text.substr(0, star).find('='), star);
  if (const auto key = find_key(text.substr(0, equals))) return Failure(*key);
  // Postfix splits its list there, so the second part would be a site of its own.
  if (const size_t gap = text.find_first_of(", \t\r\n"); gap != std::string_view::npos) {
    return wrong(gap, "a comma or space, expected one site per entry and no space in it");
  }
  auto domain = parse_domain(text.substr(0, equals));
  if (!domain) return Failure(domain.error());
  Site site{std::string(text), std::move(*domain), std::nullopt, std::nullopt};
  if (equals < star) {
    auto pattern = parse_code_pattern(text.substr(equals + 1, star - equals - 1));
    if (!pattern) return wrong(equals + pattern.error().column, pattern.error().text);
    site.pattern = *pattern;
  }
  if (star < text.size()) {
    const auto weight = parse_weight(text.substr(star + 1), star + 1);
    if (!weight) return Failure(weight.error());
    site.weight = *weight;
  }
  return site;
}

}  // namespace lychgate::config
