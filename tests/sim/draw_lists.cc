// Random DNS lists, the servers that are asked about them, and what goes wrong with either.

#include <fmt/format.h>

#include "core/base/check.h"
#include "core/config/catalogue.h"
#include "core/config/lists.h"
#include "core/config/site.h"
#include "tests/sim/scenario.h"

namespace lychgate::sim {
namespace {

// How the servers of a run are, all told.
enum class Weather : uint8_t {
  kCalm,
  kRough,  // a little of everything
  kLying,
  kDead,
  kSlow,
  kCut,   // most answers are cut, and TCP is as it may be
  kHalf,  // some are gone, the others sound
  kAway,  // all are gone for a while
};

constexpr StreamManner kAllStreams[] = {
    StreamManner::kWhole,   StreamManner::kSlow,    StreamManner::kCutOff,
    StreamManner::kReset,   StreamManner::kMute,    StreamManner::kGarbage,
    StreamManner::kTooLong, StreamManner::kRefused, StreamManner::kNoAnswer};

void draw_moods(Random& random, ListModel& list) {
  Time from = 0;
  do {
    list.moods.emplace_back(
        from,
        random.pick({ListMood::kGood, ListMood::kGood, ListMood::kWildcard, ListMood::kErrors,
                     ListMood::kOverQuota, ListMood::kEmpty, ListMood::kFails, ListMood::kSilent}));
    from += random.between(1, 30000);
  } while (random.chance(70));
  list.moods.emplace_back(from, ListMood::kGood);
}

ListModel draw_list(Random& random, uint32_t index, bool moody) {
  ListModel list;
  list.zone = fmt::format("list{}.example", index);
  list.catalogued = random.one_in(2);
  list.key = random.next();
  list.listed_percent = random.pick<uint64_t>({5, 30, 60});
  list.ttl = random.pick<uint32_t>({0, 1, 60, 86400});
  list.soa_ttl = random.pick<std::optional<uint32_t>>({std::nullopt, 0, 60, 100000});
  for (uint64_t lines = random.between(1, 3); lines > 0; --lines) {
    ListLineModel line;
    if (!list.catalogued || random.one_in(2)) {
      line.low = static_cast<uint8_t>(random.between(2, 12));
      line.high = static_cast<uint8_t>(random.between(line.low, 12));
    }
    if (random.chance(70)) line.weight = random.pick({1, 2, 3, 5, 8, -1, -4, -8});
    // Undescribed and without a pattern: it never counts, and is asked all the same.
    if (!list.catalogued && random.one_in(20)) line.low = line.high = 0;
    list.lines.push_back(line);
  }
  if (moody) draw_moods(random, list);
  return list;
}

void draw_dnsl(Random& random, Scenario& scenario) {
  config::Dnsl& dnsl = scenario.config.dnsl;
  dnsl.threshold = random.pick({1, 3, 8});
  dnsl.allow_threshold = random.pick({0, -1, -4});
  dnsl.action =
      random.pick({config::Action::kIgnore, config::Action::kDrop, config::Action::kDrop});
  dnsl.reason = random.one_in(2);
  dnsl.probe_interval = milliseconds(random.pick({1000, 5000, 60000}));
  config::Dns& dns = scenario.config.dns;
  dns.timeout = milliseconds(random.pick({300, 2000, 2000, 5000}));
  dns.in_flight = random.pick<uint32_t>({100, 200, 100000, 100000});
  dns.sockets = random.pick<uint32_t>({1, 4});
  dns.cache = random.pick<uint32_t>({0, 16, 65536});
  dns.mix_case = random.one_in(2);
}

void draw_faults(Random& random, DnsManners& manners, uint64_t most) {
  for (size_t fault = 1; fault < kDnsFaultCount; ++fault) {
    manners.percent[fault] = static_cast<uint8_t>(random.between(0, most));
  }
  manners.late_by = random.pick<Time>({300, 2500, 8000});
  manners.streams.assign(std::begin(kAllStreams), std::end(kAllStreams));
}

DnsManners draw_manners(Random& random, Weather weather, bool gone) {
  DnsManners manners;
  manners.delay_max = random.pick<Time>({1, 5, 40});
  manners.icmp_when_away = random.one_in(2);
  const bool all_gone = weather == Weather::kDead || (weather == Weather::kHalf && gone);
  if (all_gone) manners.away_from = 0;
  switch (weather) {
    case Weather::kCalm:
    case Weather::kDead:
    case Weather::kHalf:
      break;
    case Weather::kRough:
      draw_faults(random, manners, 4);
      manners.delay_max = random.pick<Time>({5, 100, 1000});
      break;
    case Weather::kLying:
      manners[DnsFault::kWrongId] = manners[DnsFault::kWrongQuestion] = 30;
      manners[DnsFault::kGarbage] = 20;
      break;
    case Weather::kCut:
      manners[DnsFault::kTruncated] = 90;
      manners.streams.assign(std::begin(kAllStreams), std::end(kAllStreams));
      // With these, questions over TCP pile up.
      if (random.one_in(2)) manners.streams = {StreamManner::kMute, StreamManner::kNoAnswer};
      break;
    case Weather::kSlow:
      manners.delay_min = 3000;
      manners.delay_max = 3500;
      break;
    case Weather::kAway:
      manners.away_from = random.between(0, 20000);
      manners.away_until = manners.away_from + random.between(100, 60000);
      break;
  }
  return manners;
}

// As the configuration reader and the daemon would have it.
void make_plan(Scenario& scenario) {
  for (const ListModel& list : scenario.lists) {
    for (const std::string& text : site_texts(list)) {
      auto site = config::parse_site(text);
      LYCH_CHECK(site.has_value());
      scenario.config.dnsl.sites.push_back(std::move(*site));
    }
  }
  const config::Source source{"catalogue", catalogue_text(scenario.lists)};
  const auto catalogue = config::parse_catalogue({&source, 1});
  LYCH_CHECK(catalogue.has_value());
  auto made = config::make_lists(scenario.config.dnsl, *catalogue, {});
  LYCH_CHECK(made.has_value());
  daemon::ListsPlan& plan = scenario.plan;
  plan.lists = std::move(made->lists);
  plan.zone_bytes = std::move(*PrivateMemory::create(plan.lists.size() * dns::kNameBytesMax));
  for (size_t i = 0; i < plan.lists.size(); ++i) {
    const auto place = plan.zone_bytes.bytes().subspan(i * dns::kNameBytesMax, dns::kNameBytesMax);
    plan.zones.push_back({place.first(*dns::write_zone(plan.lists[i].zone.reveal(), place))});
  }
  for (uint32_t i = 0; i < scenario.dns.size(); ++i) {
    plan.servers.push_back({IpAddress::from_v4(0xc0000235 + i), 53});
  }
}

}  // namespace

void draw_lists(Random& random, Scenario& scenario) {
  if (random.one_in(3)) return;
  draw_dnsl(random, scenario);
  const auto weather = random.pick({Weather::kCalm, Weather::kCalm, Weather::kRough,
                                    Weather::kRough, Weather::kLying, Weather::kDead,
                                    Weather::kSlow, Weather::kCut, Weather::kHalf, Weather::kAway});
  const auto servers = random.between(weather == Weather::kHalf ? 2 : 1, 3);
  const auto gone = random.between(1, servers - (servers > 1 ? 1 : 0));
  for (uint64_t i = 0; i < servers; ++i) {
    scenario.dns.push_back(draw_manners(random, weather, i < gone));
  }
  const bool sound = weather == Weather::kCalm || weather == Weather::kHalf;
  scenario.answers_all = sound && random.chance(70);
  const bool moody = !scenario.answers_all && random.one_in(3);
  const auto count = static_cast<uint32_t>(random.pick({1, 3, 6, 12}));
  for (uint32_t i = 0; i < count; ++i) {
    scenario.lists.push_back(draw_list(random, i, moody && random.one_in(2)));
  }
  make_plan(scenario);

  if (scenario.answers_all) {
    scenario.config.greet.wait = milliseconds(6000);
    scenario.config.dns.in_flight = 100000;
    scenario.config.dns.timeout = milliseconds(2000);
    scenario.dns_queue = 4096;
    return;
  }
  scenario.dns_queue = random.pick<size_t>({4, 64, 256});
  scenario.kernel.packets = random.pick<uint32_t>({2, 16, 1024});
  scenario.kernel.faults.packet_error_percent = random.pick<uint64_t>({0, 0, 5, 50});
}

}  // namespace lychgate::sim
