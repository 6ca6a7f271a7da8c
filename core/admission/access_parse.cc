// Reads logical lines, patterns and if blocks as Postfix 3.7 does (src/util/readlline.c,
// dict_cidr.c, cidr_match.c), but where Postfix skips a bad rule with a warning, here any bad line
// fails the whole.
//
// An if block is not kept: its condition is intersected with the rules inside. That is cheap, since
// the condition stays one range, plus one for each `if !` around it (bounded by kNestingMax).

#include "core/admission/access_parse.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "core/base/ascii.h"

namespace lychgate::admission {
namespace {

// Deeper nesting is a mistake; it also bounds into how many intervals one rule can fall.
constexpr size_t kNestingMax = 64;
constexpr size_t kQuotedMax = 60;

enum class Family : uint8_t { kV4, kV6 };

struct Range {
  Key128 first;
  Key128 last;
};

struct Pattern {
  Family family = Family::kV4;
  bool negated = false;
  Range range{};
};

// What the enclosing if blocks let through: disjoint ranges of one family, sorted.
struct Block {
  size_t line;
  Family family;
  std::vector<Range> ranges;
};

constexpr Key128 largest(Family family) {
  return family == Family::kV4 ? Key128{0xffffffff} : ~Key128{0};
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string_view skip_space(std::string_view text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_space);
  return text.substr(static_cast<size_t>(end - text.begin()));
}

std::string_view trim_end(std::string_view text) {
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool same_word(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(),
                    [](char a, char b) { return ascii_lower(a) == b; });
}

// The operator's own text in a message: bounded, and nothing that a terminal would act on.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, kQuotedMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out + (text.size() > kQuotedMax ? "...\"" : "\"");
}

// Logical lines: text that starts with a non-space, continued by lines that start with a space.
// Blank lines and comments count for nothing, even between a line and its continuation.
class LogicalLines {
 public:
  explicit LogicalLines(std::string_view text) : rest_(text) {}

  bool next() {
    joined_.clear();
    line_ = {};
    while (!rest_.empty()) {
      const std::string_view physical = rest_.substr(0, rest_.find('\n'));
      const std::string_view content = skip_space(physical);
      if (!content.empty() && content.front() != '#' && !take(physical)) break;
      rest_.remove_prefix(std::min(rest_.size(), physical.size() + 1));
      ++read_;
    }
    return !line_.empty();
  }

  std::string_view line() const { return line_; }
  size_t number() const { return number_; }

 private:
  // False when `physical` starts the next logical line.
  bool take(std::string_view physical) {
    if (line_.empty()) {
      line_ = physical;
      number_ = read_ + 1;
      return true;
    }
    if (!is_space(physical.front())) return false;
    if (joined_.empty()) joined_ = line_;
    joined_ += physical;
    line_ = joined_;
    return true;
  }

  std::string_view rest_;
  std::string_view line_;
  std::string joined_;
  size_t number_ = 0;
  size_t read_ = 0;
};

Key128 key_of(const IpAddress& address, Family family) {
  if (family == Family::kV4) return address.v4();
  return Key128{address.high()} << 64 | address.low();
}

std::string text_of(Key128 key, Family family) {
  if (family == Family::kV4) return IpAddress::from_v4(static_cast<uint32_t>(key)).text();
  IpAddress address;
  for (size_t i = 0; i < 16; ++i) {
    address.bytes[i] = static_cast<uint8_t>(key >> (8 * (15 - i)));
  }
  return address.text();
}

using PatternResult = tl::expected<Pattern, std::string>;

PatternResult bad_pattern(std::string_view text) {
  return tl::unexpected(fmt::format(
      "{} is no address or network; expected for example 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32",
      quoted(text)));
}

// "address", "address/length", "[address]", "[address/length]" or "[address]/length".
PatternResult parse_network(std::string_view text) {
  std::string_view host = text;
  std::optional<std::string_view> length;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return bad_pattern(text);
    const std::string_view after = text.substr(close + 1);
    if (!after.empty() && after.front() != '/') return bad_pattern(text);
    host = text.substr(1, close - 1);
    if (!after.empty()) length = after.substr(1);
  }
  if (const size_t slash = host.find('/'); !length && slash != std::string_view::npos) {
    length = host.substr(slash + 1);
    host = host.substr(0, slash);
  }
  const auto address = IpAddress::parse(host);
  if (!address) return bad_pattern(text);
  Pattern out;
  // By the colon, as Postfix: ::ffff:192.0.2.1 is IPv6 here. The gate, like postscreen, turns such
  // a client into its IPv4 form before it looks, so rules for it match nobody.
  out.family = host.find(':') == std::string_view::npos ? Family::kV4 : Family::kV6;
  const unsigned bits = out.family == Family::kV4 ? 32 : 128;
  unsigned prefix = bits;
  if (length) {
    const auto [end, error] =
        std::from_chars(length->data(), length->data() + length->size(), prefix);
    if (error != std::errc{} || end != length->data() + length->size() || prefix > bits) {
      return tl::unexpected(
          fmt::format("{}: the prefix length must be a number from 0 to {}", quoted(text), bits));
    }
  }
  // A shift by the whole width would be undefined.
  const Key128 host_bits = prefix == 0 ? largest(out.family) : (Key128{1} << (bits - prefix)) - 1;
  const Key128 key = key_of(*address, out.family);
  if ((key & host_bits) != 0) {
    return tl::unexpected(fmt::format("{} has host bits set; write {}/{} for the network",
                                      quoted(text), text_of(key & ~host_bits, out.family), prefix));
  }
  out.range = {key, key | host_bits};
  return out;
}

// Any number of '!', each with optional space after it, then the network.
PatternResult parse_pattern(std::string_view text) {
  bool negated = false;
  while (text.starts_with('!')) {
    negated = !negated;
    text = skip_space(text.substr(1));
  }
  auto out = parse_network(text);
  if (out) out->negated = negated;
  return out;
}

std::optional<AccessResult> parse_result(std::string_view text) {
  if (same_word(text, "permit")) return AccessResult::kPermit;
  if (same_word(text, "reject")) return AccessResult::kReject;
  if (same_word(text, "dunno")) return AccessResult::kDunno;
  return std::nullopt;
}

// Calls `each` with every range where the pattern matches inside `allowed`.
template <typename Each>
void clip(const Pattern& pattern, const std::vector<Range>& allowed, Each each) {
  std::array<Range, 2> pieces{pattern.range, {}};
  size_t count = 1;
  if (pattern.negated) {
    count = 0;
    const Range hole = pattern.range;
    if (hole.first > 0) pieces[count++] = {0, hole.first - 1};
    if (hole.last < largest(pattern.family)) {
      pieces[count++] = {hole.last + 1, largest(pattern.family)};
    }
  }
  for (size_t i = 0; i < count; ++i) {
    for (const Range& range : allowed) {
      const Range both{std::max(pieces[i].first, range.first),
                       std::min(pieces[i].last, range.last)};
      if (both.first <= both.last) each(both);
    }
  }
}

class Parser {
 public:
  tl::expected<AccessIntervals, std::vector<AccessProblem>> run(std::string_view text) {
    LogicalLines lines(text);
    while (lines.next()) {
      line_ = lines.number();
      take(lines.line());
    }
    for (const Block& block : blocks_) {
      line_ = block.line;
      problem("this if has no endif; add one where the block ends");
    }
    if (problem_count_ > kAccessProblemsMax) {
      problems_.push_back({first_hidden_line_, fmt::format("{} more bad lines are not shown",
                                                           problem_count_ - kAccessProblemsMax)});
    }
    if (problem_count_ > 0) return tl::unexpected(std::move(problems_));
    return std::move(out_);
  }

 private:
  void problem(std::string text) {
    ++problem_count_;
    if (problem_count_ <= kAccessProblemsMax) problems_.push_back({line_, std::move(text)});
    if (problem_count_ == kAccessProblemsMax + 1) first_hidden_line_ = line_;
  }

  static bool starts_with_keyword(std::string_view line, std::string_view word) {
    return line.size() >= word.size() && same_word(line.substr(0, word.size()), word) &&
           (line.size() == word.size() || !is_alnum(line[word.size()]));
  }

  void take(std::string_view line) {
    if (is_space(line.front())) {
      problem("a line that starts with a space continues the one before, but there is none");
    } else if (starts_with_keyword(line, "if")) {
      open_block(trim_end(skip_space(line.substr(2))));
    } else if (starts_with_keyword(line, "endif")) {
      close_block(trim_end(skip_space(line.substr(5))));
    } else {
      rule(line);
    }
  }

  void open_block(std::string_view text) {
    Block block{line_, Family::kV4, {}};
    if (blocks_.size() >= kNestingMax) {
      problem(fmt::format("if blocks are nested deeper than {}", kNestingMax));
    } else if (const auto pattern = parse_pattern(text); !pattern) {
      problem(pattern.error());
    } else {
      block.family = pattern->family;
      clip(*pattern, allowed(pattern->family), [&](Range range) { block.ranges.push_back(range); });
    }
    // Even a bad one is opened, so that its endif finds it and the rules inside are checked.
    blocks_.push_back(std::move(block));
  }

  void close_block(std::string_view text) {
    if (!text.empty()) problem(fmt::format("nothing may follow endif, found {}", quoted(text)));
    if (blocks_.empty()) {
      problem("this endif has no if");
    } else {
      blocks_.pop_back();
    }
  }

  void rule(std::string_view line) {
    std::string_view rest = line;
    while (rest.starts_with('!')) rest = skip_space(rest.substr(1));
    const auto space = std::find_if(rest.begin(), rest.end(), is_space);
    const auto pattern_size = static_cast<size_t>(space - line.begin());
    const auto pattern = parse_pattern(line.substr(0, pattern_size));
    const std::string_view word = trim_end(skip_space(line.substr(pattern_size)));
    const auto result = parse_result(word);
    if (!pattern) {
      problem(pattern.error());
    } else if (!result) {
      problem(fmt::format("{} must be permit, reject or dunno",
                          word.empty() ? "the missing result" : quoted(word)));
    } else if (out_.rules == kAccessRulesMax) {
      problem(fmt::format("more than {} rules", kAccessRulesMax));
    } else {
      add(*pattern, *result);
    }
  }

  void add(const Pattern& pattern, AccessResult result) {
    const auto rank =
        static_cast<uint32_t>(out_.rules) << kIntervalValueBits | static_cast<uint32_t>(result);
    ++out_.rules;
    clip(pattern, allowed(pattern.family), [&](Range range) {
      if (pattern.family == Family::kV4) {
        out_.v4.push_back({static_cast<Key32>(range.first), static_cast<Key32>(range.last), rank});
      } else {
        out_.v6.push_back({range.first, range.last, rank});
      }
    });
  }

  // Where rules of this family can match at this place of the file.
  const std::vector<Range>& allowed(Family family) const {
    static const std::vector<Range> kNowhere;
    static const std::vector<Range> kAllV4{{0, largest(Family::kV4)}};
    static const std::vector<Range> kAllV6{{0, largest(Family::kV6)}};
    if (blocks_.empty()) return family == Family::kV4 ? kAllV4 : kAllV6;
    return blocks_.back().family == family ? blocks_.back().ranges : kNowhere;
  }

  AccessIntervals out_;
  std::vector<AccessProblem> problems_;
  size_t problem_count_ = 0;
  size_t first_hidden_line_ = 0;
  size_t line_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace

tl::expected<AccessIntervals, std::vector<AccessProblem>> parse_access(std::string_view text) {
  return Parser().run(text);
}

}  // namespace lychgate::admission
