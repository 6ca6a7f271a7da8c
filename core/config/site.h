// The grammar of postscreen_dnsbl_sites, exactly: domain[=d.d.d.d][*weight], each d a number 0..255
// or [item;item...] with items n or n..m, optional [] around the whole pattern (postscreen(8),
// Postfix 3.7 to 3.12). Text in, value or one sentence with its column out.

#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace lychgate::config {

// Four sets of octets: which A records a site line or a catalogue row means.
class CodePattern {
 public:
  // address: host byte order, 127.0.0.2 is 0x7f000002.
  bool matches(uint32_t address) const {
    return octets_[0][address >> 24] && octets_[1][address >> 16 & 0xff] &&
           octets_[2][address >> 8 & 0xff] && octets_[3][address & 0xff];
  }
  std::array<std::bitset<256>, 4>& octets() { return octets_; }
  bool operator==(const CodePattern&) const = default;

 private:
  std::array<std::bitset<256>, 4> octets_;
};

// One line of dnsl.sites. A `$name` in the domain stands for the [[secret]] of that name.
struct Site {
  std::string text;    // as written: safe to print, a key is only named in it
  std::string domain;  // lower case, without a final dot
  std::optional<CodePattern> pattern;
  std::optional<int32_t> weight;  // kSiteWeightMin..kSiteWeightMax

  bool operator==(const Site&) const = default;
};

struct SiteProblem {
  size_t column = 1;  // of the site's text, from 1
  std::string text;   // what is wrong there and the rule it breaks; never a key
};

tl::expected<Site, SiteProblem> parse_site(std::string_view text);
// The pattern language alone, for the catalogue.
tl::expected<CodePattern, SiteProblem> parse_code_pattern(std::string_view text);
// What is wrong with the name of a [[secret]], if anything; never repeats it.
std::optional<std::string> object_to_secret_name(std::string_view name);
// The text with "..." in place of what looks like a key, for messages that repeat what was written.
std::string hide_keys(std::string_view text);

}  // namespace lychgate::config
