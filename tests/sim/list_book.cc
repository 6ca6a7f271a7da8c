// Lists, what they say, and the sums.

#include "tests/sim/list_book.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "core/base/limits.h"
#include "core/base/siphash.h"

namespace lychgate::sim {

namespace {

constexpr uint32_t kLoopback = 0x7f000000;
constexpr uint32_t kListedPoint = 0x7f000002;
constexpr uint32_t kUnlistedPoint = 0x7f000001;
constexpr uint32_t kOpenResolver = 0x7ffffffe;  // 127.255.255.254
// Of every catalogued list.
constexpr uint32_t kErrorCode = kLoopback + 200;
constexpr uint32_t kQuotaCode = kLoopback + 201;

// Answers on their way to the gate, or waiting in it for a verdict.
constexpr Time kUnderWay = 1000;
// After which an answer that has come has been read, and a list that is up counts.
constexpr Time kRead = 600;

std::optional<int> catalogue_weight(uint32_t code) {
  switch (code - kLoopback) {
    case 2:
      return 3;
    case 3:
    case 4:
    case 5:
      return 5;
    case 10:
      return -4;
    case 12:
      return 8;
    default:
      return std::nullopt;
  }
}

bool says_nothing(bool catalogued, uint32_t code) {
  const bool foreign = code >> 24 != 127;
  const bool refusal = code >> 8 == 0x7fffff;
  return foreign || refusal || (catalogued && (code == kErrorCode || code == kQuotaCode));
}

}  // namespace

ListMood ListModel::mood(Time now) const {
  ListMood out = ListMood::kGood;
  for (const auto& [from, mood] : moods) {
    if (now >= from) out = mood;
  }
  return out;
}

std::vector<uint32_t> ListModel::codes(const IpAddress& address) const {
  if (address == IpAddress::from_v4(kListedPoint)) return {kListedPoint};
  if (address == IpAddress::from_v4(kUnlistedPoint)) return {};
  const uint64_t chance = siphash({key, 1}, address.bytes);
  if (chance % 100 >= listed_percent) return {};
  constexpr std::array<uint32_t, 12> kCodes = {2, 2, 3, 4, 5, 6, 10, 10, 11, 12, 200, 201};
  std::vector<uint32_t> out = {kLoopback + kCodes[chance / 100 % kCodes.size()]};
  const uint64_t more = chance / 10000;
  if (more % 4 == 0) out.push_back(kLoopback + kCodes[more / 4 % kCodes.size()]);
  if (more % 37 == 0) out.push_back(kOpenResolver);
  if (more % 41 == 0) out.push_back(0x0a000001);
  return out;
}

std::string ListModel::reason(const IpAddress& address) const {
  return fmt::format("{} has seen {}", zone, address.text());
}

int ListModel::worth(const std::vector<uint32_t>& codes) const {
  for (const uint32_t code : codes) {
    if (says_nothing(catalogued, code)) return 0;
  }
  int sum = 0;
  for (const ListLineModel& line : lines) {
    int best = 0;
    for (const uint32_t code : codes) {
      const auto by_catalogue = catalogued ? catalogue_weight(code) : std::nullopt;
      const uint32_t last = code - kLoopback;
      const bool matches =
          line.high > 0 ? last >= line.low && last <= line.high : by_catalogue.has_value();
      if (!matches) continue;
      const int otherwise = line.high > 0 ? 1 : by_catalogue.value_or(0);
      const int weight = line.weight.value_or(otherwise);
      const bool more = std::abs(weight) > std::abs(best);
      if (more || (weight == -best && weight < 0)) best = weight;
    }
    sum += best;
  }
  return sum;
}

std::string catalogue_text(const std::vector<ListModel>& lists) {
  std::string out;
  for (const ListModel& list : lists) {
    if (!list.catalogued) continue;
    out += fmt::format(
        "[[list]]\nzone = \"{}\"\nfamilies = [\"ip4\", \"ip6\"]\ncodes = [\n"
        "{{code = \"127.0.0.2\", is = \"listed\", weight = 3, text = \"two\"}},\n"
        "{{code = \"127.0.0.[3..5]\", is = \"listed\", weight = 5, text = \"more\"}},\n"
        "{{code = \"127.0.0.10\", is = \"allow\", weight = -4, text = \"good\"}},\n"
        "{{code = \"127.0.0.11\", is = \"neutral\", text = \"known\"}},\n"
        "{{code = \"127.0.0.12\", is = \"listed\", weight = 8, text = \"worst\"}},\n"
        "{{code = \"127.0.0.200\", is = \"error\", text = \"wrong\"}},\n"
        "{{code = \"127.0.0.201\", is = \"over quota\", text = \"too many\"}},\n]\n",
        list.zone);
  }
  return out;
}

std::vector<std::string> site_texts(const ListModel& list) {
  std::vector<std::string> out;
  for (const ListLineModel& line : list.lines) {
    std::string text = list.zone;
    if (line.high > 0) text += fmt::format("=127.0.0.[{}..{}]", line.low, line.high);
    if (line.weight) text += fmt::format("*{}", *line.weight);
    out.push_back(text);
  }
  return out;
}

ListBook::ListBook(const std::vector<ListModel>& lists) : lists_(lists), seen_(lists.size()) {}

std::optional<ListBook::Named> ListBook::named(const DnsQuestion& question) const {
  for (size_t i = 0; i < lists_.size(); ++i) {
    const std::string suffix = "." + lists_[i].zone;
    if (!question.name.ends_with(suffix)) continue;
    const auto address = reversed_address(
        std::string_view(question.name).substr(0, question.name.size() - suffix.size()));
    if (address) return Named{i, *address};
  }
  return std::nullopt;
}

std::optional<DnsAnswer> ListBook::answer(const DnsQuestion& question, Time now) {
  const auto name = named(question);
  if (!name) return DnsAnswer{.rcode = Rcode::kRefused};
  const ListModel& list = lists_[name->list];
  DnsAnswer out{.codes = list.codes(name->address), .ttl = list.ttl};
  switch (list.mood(now)) {
    case ListMood::kGood:
      break;
    case ListMood::kWildcard:
      out.codes = {kListedPoint};
      break;
    case ListMood::kErrors:
      out.codes = {kOpenResolver};
      break;
    case ListMood::kOverQuota:
      out.codes = {list.catalogued ? kQuotaCode : kOpenResolver};
      break;
    case ListMood::kEmpty:
      out.codes.clear();
      break;
    case ListMood::kFails:
      return DnsAnswer{.rcode = Rcode::kServfail};
    case ListMood::kSilent:
      return std::nullopt;
  }
  if (!out.codes.empty()) {
    out.text = list.reason(name->address);
    return out;
  }
  out.rcode = Rcode::kNxDomain;
  out.soa_ttl = list.soa_ttl;
  return out;
}

// Whatever counts most against the client, and for those whom it would refuse, in their favour.
DnsAnswer ListBook::lie(const DnsQuestion& question) {
  const auto name = named(question);
  const bool listed = name && !lists_[name->list].codes(name->address).empty();
  return {.codes = {kLoopback + (listed ? 10u : 2u), kLoopback + (listed ? 10u : 3u)},
          .text = "a lie",
          .ttl = 86400};
}

void ListBook::told(const DnsQuestion& question, const DnsAnswer& answer, Time now, bool whole) {
  const auto name = named(question);
  if (!name || question.type != kDnsTypeA || answer.rcode == Rcode::kServfail) return;
  const int worth = lists_[name->list].worth(answer.codes);
  const Time keep = Time{std::min(answer.ttl, kListedSecondsMax)} * 1000;
  const bool catalogued = lists_[name->list].catalogued;
  const bool kept = std::none_of(answer.codes.begin(), answer.codes.end(),
                                 [&](uint32_t code) { return says_nothing(catalogued, code); });
  told_[{name->list, name->address.bytes}].push_back({now, now + keep, worth, whole, kept});
}

void ListBook::look(Time now) {
  if (boards_ == nullptr) return;
  for (size_t i = 0; i < lists_.size(); ++i) {
    Seen& seen = seen_[i];
    const auto state = static_cast<ListState>(boards_->boards[i].state.load());
    const ListState before = std::exchange(seen.state, state);
    if (state == before) continue;
    if (before == ListState::kUp) seen.stretches.back().ends = now;
    if (state == ListState::kUp) seen.stretches.push_back({seen.disabled, now});
    if (state == ListState::kDisabled) seen.disabled = now;
  }
}

bool ListBook::Seen::is_up_since(Time time) const {
  return state == ListState::kUp && stretches.back().begins <= time;
}

// Any of the answers may have been too late for the gate, so each list may also count as nothing.
std::pair<int, int> ListBook::extremes(size_t list, const IpAddress& address,
                                       const Stretch& stretch, Time since) const {
  const auto found = told_.find({list, address.bytes});
  if (found == told_.end()) return {0, 0};
  int least = 0;
  int greatest = 0;
  for (const Told& told : found->second) {
    const bool believed =
        told.at >= stretch.believed && (!stretch.ends || told.at <= *stretch.ends);
    if (!believed || told.until + kUnderWay < since) continue;
    least = std::min(least, told.worth);
    greatest = std::max(greatest, told.worth);
  }
  return {least, greatest};
}

int ListBook::greatest_ever(const IpAddress& address, Time since, Time from) const {
  int sum = 0;
  for (size_t i = 0; i < lists_.size(); ++i) {
    int most = 0;
    for (const Stretch& stretch : seen_[i].stretches) {
      if (stretch.ends && *stretch.ends < from) continue;
      most = std::max(most, extremes(i, address, stretch, since).second);
    }
    sum += most;
  }
  return sum;
}

int ListBook::least_ever(const IpAddress& address, Time since) const {
  int sum = 0;
  for (size_t i = 0; i < lists_.size(); ++i) sum += extremes(i, address, {}, since).first;
  return sum;
}

int ListBook::certain_score(const IpAddress& address, Time since, Time until,
                            Time questions_end) const {
  int sum = 0;
  const Time limit = std::min(questions_end, until);
  for (size_t i = 0; i < lists_.size(); ++i) {
    const Seen& seen = seen_[i];
    const auto found = told_.find({i, address.bytes});
    const bool trusted = until >= kRead && seen.is_up_since(until - kRead) &&
                         (seen.disabled == 0 || seen.disabled < since);
    int worth = 0;
    bool certain = false;
    if (trusted && found != told_.end()) {
      worth = found->second.front().worth;
      certain = std::all_of(found->second.begin(), found->second.end(),
                            [&](const Told& told) { return told.worth == worth; }) &&
                std::any_of(found->second.begin(), found->second.end(), [&](const Told& told) {
                  return told.whole && told.at >= since && told.at + kRead <= limit;
                });
    }
    sum += certain ? worth : extremes(i, address, {}, since).first;
  }
  return sum;
}

int ListBook::whole_score(const IpAddress& address) const {
  int sum = 0;
  for (const ListModel& list : lists_) sum += list.worth(list.codes(address));
  return sum;
}

bool ListBook::was_asked_about(const IpAddress& address) const {
  for (size_t i = 0; i < lists_.size(); ++i) {
    if (told_.contains({i, address.bytes})) return true;
  }
  return false;
}

bool ListBook::told_since(const IpAddress& address, Time since) const {
  for (size_t i = 0; i < lists_.size(); ++i) {
    const auto found = told_.find({i, address.bytes});
    if (found == told_.end()) continue;
    const Told& last = found->second.back();
    if (last.kept && last.at >= since) return true;
  }
  return false;
}

bool ListBook::all_up(Time since) const {
  return since >= kRead && std::ranges::all_of(seen_, [&](const Seen& seen) {
           return seen.is_up_since(since - kRead);
         });
}

const ListModel* ListBook::find(std::string_view zone) const {
  const auto found = std::find_if(lists_.begin(), lists_.end(),
                                  [&](const ListModel& list) { return list.zone == zone; });
  return found == lists_.end() ? nullptr : &*found;
}

}  // namespace lychgate::sim
