// Lookups for clients that are still on their way (prefetch): what is asked, who finds the answers,
// and what bounds it. Two lists on a simulated server; one lists every address.

#include "core/daemon/lookups.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/sim/dns_server.h"
#include "tests/sim/small_world.h"

namespace lychgate::daemon {
namespace {

using admission::Standing;
using Prefetched = Lookups::Prefetched;
using ring::Op;

constexpr uint32_t kLists = 2;

// one.test lists everybody, two.test nobody; both for `ttl` seconds.
class Book : public sim::DnsBook {
 public:
  std::optional<sim::DnsAnswer> answer(const sim::DnsQuestion& question, sim::Time) override {
    ++asked;
    if (question.name.ends_with("two.test")) {
      return sim::DnsAnswer{.rcode = sim::Rcode::kNxDomain, .ttl = ttl, .soa_ttl = ttl};
    }
    return sim::DnsAnswer{.codes = {0x7f000002}, .text = "seen", .ttl = ttl};
  }
  sim::DnsAnswer lie(const sim::DnsQuestion&) override { return {}; }

  uint32_t ttl = 300;
  uint32_t asked = 0;
};

config::List make_list(const char* name) {
  config::List list;
  list.name = name;
  list.lines = {
      {.pattern = config::parse_site(std::string(name) + "=127.0.0.2")->pattern, .weight = 8}};
  list.gain_max = 8;
  return list;
}

config::Config kernel_config() {
  config::Config config;
  config.greet.hold = config::Hold::kKernel;
  config.dnsl.sites.resize(kLists);
  config.dnsl.threshold = 8;
  return config;
}

class World {
 public:
  explicit World(const config::Config& of = kernel_config())
      : config_(of), zones_(kLists, std::string(dns::kNameBytesMax, '\0')) {
    const char* const names[kLists] = {"one.test", "two.test"};
    for (uint32_t i = 0; i < kLists; ++i) {
      zones_[i].resize(*dns::write_zone(names[i], zones_[i]));
      plan_.lists.push_back(make_list(names[i]));
      plan_.zones.push_back({zones_[i]});
      shared_.boards[i].state = static_cast<uint8_t>(ListState::kUp);
    }
    plan_.servers.push_back({IpAddress::from_v4(0xc6336401), 53});
    world.reactor.serve(SocketAddress::from(plan_.servers[0]), server_);
    for (uint32_t i = 0; i < config_.dns.sockets; ++i) {
      sockets_.push_back(world.reactor.make_packet_socket(server_, 4096));
    }
    lookups = std::move(*Lookups::create({.config = config_,
                                          .plan = plan_,
                                          .connections = world.connections,
                                          .shared = shared_,
                                          .counters = world.counters.shards(),
                                          .mine = world.counters.shards()[0],
                                          .sockets = sockets_,
                                          .key = {5, 6}},
                                         world.now()));
    lookups->start();
  }

  static IpAddress client(uint32_t number) { return IpAddress::from_v4(0x0a000000 + number); }
  Prefetched expect(uint32_t number) { return lookups->prefetch(client(number), world.now()); }
  // The client of slot and address `number` comes.
  void come(uint32_t number) { come(number, number); }
  void come(uint32_t slot, uint32_t number) {
    world.slots.open(slot, Phase::kSilentWait).address = client(number);
    lookups->ask(slot, world.now());
  }
  // As a shard does it.
  void run_for(sim::Time span) {
    const sim::Time end = world.agenda.now() + span;
    while (world.agenda.now() < end) {
      lookups->advance(world.now(), {});
      while (const auto slot = lookups->next_decided()) decided.push_back(*slot);
      const auto left = static_cast<int64_t>(end - world.agenda.now());
      for (const auto& completion : world.turn(milliseconds(std::min<int64_t>(left, 10)))) {
        lookups->complete(completion, world.now());
      }
      lookups->inquiries().check_invariants();
      lookups->resolver().check_invariants();
    }
  }

  sim::SmallWorld world{{.slots = 64, .faults = {}}};
  Book book;
  std::unique_ptr<Lookups> lookups;
  std::vector<uint32_t> decided;

 private:
  config::Config config_;
  std::vector<std::string> zones_;
  ListsPlan plan_;
  SharedLists shared_;
  sim::Stage stage_{world.agenda, world.random, world.reactor};
  sim::DnsServer server_{stage_, book, sim::DnsManners{}};
  std::vector<int> sockets_;
};

TEST(Prefetch, AClientThatComesFindsTheAnswers) {
  World gate;
  EXPECT_EQ(gate.expect(1), Prefetched::kAsked);
  EXPECT_EQ(gate.expect(1), Prefetched::kKnown) << "its second SYN";
  gate.run_for(100);
  EXPECT_EQ(gate.book.asked, kLists);
  EXPECT_TRUE(gate.decided.empty()) << "nobody is there to be told";
  gate.come(1);
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kFailed);
  EXPECT_EQ(gate.lookups->sum(1).score, 8);
  EXPECT_EQ(gate.lookups->next_decided(), 1U) << "at once";
  gate.run_for(100);
  EXPECT_EQ(gate.book.asked, kLists) << "nothing was asked twice";
}

TEST(Prefetch, AClientThatComesBeforeTheAnswersJoins) {
  World gate;
  EXPECT_EQ(gate.expect(1), Prefetched::kAsked);
  gate.come(1);
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kOpen);
  EXPECT_EQ(gate.expect(1), Prefetched::kKnown) << "another of the same address";
  gate.run_for(100);
  EXPECT_EQ(gate.decided, std::vector<uint32_t>{1});
  EXPECT_EQ(gate.book.asked, kLists);
}

TEST(Prefetch, AnAnswerLastsFromTheSynToTheEndOfTheWait) {
  for (const bool kernel : {true, false}) {
    config::Config config = kernel_config();
    if (!kernel) config.greet.hold = config::Hold::kGate;
    World gate(config);
    gate.book.ttl = 1;
    gate.expect(1);
    gate.run_for(7100);  // greet.wait of 6 s, in the kernel's steps
    gate.come(1);
    EXPECT_EQ(gate.lookups->sum(1).standing == Standing::kFailed, kernel);
    EXPECT_EQ(gate.expect(2), Prefetched::kAsked);
    gate.run_for(10000);
    EXPECT_EQ(gate.expect(2), Prefetched::kAsked) << "expired for who is only on the way";
  }
}

// It used to be gone while it was asked again: a client whose wait ended just then was judged
// without it, though it had been there all the while.
TEST(Lookups, AnAnswerThatIsAskedAgainCountsForTheOthersUntilTheNewOneComes) {
  config::Config config = kernel_config();
  config.greet.hold = config::Hold::kGate;
  World gate(config);
  gate.book.ttl = 1;
  gate.come(1, 9);
  gate.run_for(5000);
  gate.come(2, 9);
  gate.run_for(1000);
  gate.lookups->leave(1);
  gate.run_for(4500);
  EXPECT_EQ(gate.book.asked, kLists);
  gate.come(3, 9);
  EXPECT_EQ(gate.lookups->sum(2).score, 8) << "asked again for the third, as it was for the second";
  gate.run_for(100);
  EXPECT_EQ(gate.book.asked, 2 * kLists);
  EXPECT_EQ(gate.lookups->sum(3).score, 8);
  gate.lookups->leave(2);
  gate.lookups->leave(3);
  gate.run_for(5000);
  gate.come(4, 9);
  EXPECT_EQ(gate.lookups->sum(4).score, 0) << "nobody else waits, and it has expired";
}

TEST(Lookups, WhoTalksForLongKeepsNoOldAnswerForNewcomers) {
  config::Config config = kernel_config();
  config.greet.hold = config::Hold::kGate;
  World gate(config);
  gate.book.ttl = 1;
  gate.come(1, 9);
  gate.run_for(30000);  // its wait was over long ago
  EXPECT_EQ(gate.lookups->sum(1).score, 8);
  gate.come(2, 9);
  EXPECT_EQ(gate.lookups->sum(2).score, 0) << "asked again";
  gate.run_for(100);
  EXPECT_EQ(gate.lookups->sum(2).score, 8);
}

TEST(Prefetch, LeavesHalfOfTheQuestionsToClientsThatHaveCome) {
  config::Config config = kernel_config();
  config.dns.in_flight = 100;
  World gate(config);
  uint32_t asked = 0;
  while (gate.expect(100 + asked) == Prefetched::kAsked) ++asked;
  EXPECT_EQ(gate.expect(100 + asked), Prefetched::kNoRoom);
  EXPECT_GE(asked * kLists, 50U);
  EXPECT_LE(asked * kLists, 50U + kLists);
  gate.come(1);
  EXPECT_EQ(gate.lookups->resolver().open(), (asked + 1) * kLists);
  gate.run_for(1000);
  EXPECT_EQ(gate.expect(99), Prefetched::kAsked) << "once these are answered";
}

// Questions are sent in the order of asking: those about a flood of forged addresses once kept
// those of a client waiting until it was judged.
TEST(Prefetch, AsksNoMoreThanIsSentAtOnce) {
  World gate;
  const uint32_t room = gate.lookups->resolver().servers().room();
  uint32_t asked = 0;
  while (gate.expect(100 + asked) == Prefetched::kAsked) ++asked;
  EXPECT_EQ(asked, room / kLists);
  gate.lookups->advance(gate.world.now(), {});
  EXPECT_EQ(gate.lookups->resolver().servers().room(), room - asked * kLists) << "all are sent";
  EXPECT_EQ(gate.expect(99), Prefetched::kNoRoom) << "while none is answered";
  gate.come(1);
  gate.run_for(1000);
  EXPECT_EQ(gate.decided, std::vector<uint32_t>{1});
}

// The questions of a record that was given to another address are still answered.
TEST(Prefetch, ForgetsTheAddressesExpectedForLongest) {
  config::Config config = kernel_config();
  config.dns.cache = 0;
  World gate(config);
  for (uint32_t i = 0; i < 300; ++i) {
    if (i % 50 == 0) gate.run_for(1000);
    ASSERT_EQ(gate.expect(100 + i), Prefetched::kAsked);
  }
  EXPECT_EQ(gate.lookups->inquiries().known(), 64U);
  gate.run_for(1000);
  EXPECT_EQ(gate.lookups->resolver().open(), 0U);
  const uint32_t asked = gate.book.asked;
  EXPECT_EQ(asked, 300 * kLists);
  gate.world.slots.open(7, Phase::kSilentWait).address = World::client(399);
  gate.lookups->ask(7, gate.world.now());
  EXPECT_EQ(gate.lookups->sum(7).score, 8) << "the last one is kept";
  for (uint32_t i = 8; i < 20; ++i) gate.come(i);
  gate.run_for(1000);
  EXPECT_EQ(gate.decided.size(), 13U);
  EXPECT_EQ(gate.book.asked, asked + 12 * kLists);
}

TEST(Prefetch, ARefusalWaitsForItsReason) {
  config::Config config = kernel_config();
  config.dnsl.reason = true;
  World gate(config);
  gate.expect(1);
  gate.run_for(100);
  EXPECT_EQ(gate.book.asked, kLists) << "no reason is asked for while nobody is there";
  gate.come(1);
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kOpen);
  gate.run_for(100);
  EXPECT_EQ(gate.decided, std::vector<uint32_t>{1});
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kFailed);
  EXPECT_EQ(gate.lookups->reason(1, 0), "seen");
}

// What is still open could choose another route.
TEST(Prefetch, NobodyGoesOnBeforeItsRouteIsCertain) {
  config::Config config = kernel_config();
  config.dnsl.threshold = 100;
  config.routes.resize(2);
  config.routes[0].when.max_score = 7;
  World gate(config);
  gate.come(1);
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kOpen);
  gate.run_for(100);
  EXPECT_EQ(gate.decided, std::vector<uint32_t>{1});
  EXPECT_EQ(gate.lookups->sum(1).standing, Standing::kPassed);
}

// What is remembered of a client that the lists let on lives as long as what they have said.
TEST(Lookups, WhatTheListsSayIsGoodForTheShortestLifeOfTheirAnswers) {
  config::Config config = kernel_config();
  World strict(config);
  strict.come(1);
  EXPECT_EQ(strict.lookups->good_for(1), 0U) << "an answer to come may refuse it";
  strict.run_for(100);
  EXPECT_EQ(strict.lookups->good_for(1), 0U) << "it is refused";
  config.dnsl.threshold = 9;
  World lenient(config);
  lenient.book.ttl = 200;
  lenient.come(1);
  EXPECT_EQ(lenient.lookups->good_for(1), 0U);
  lenient.run_for(100);
  const uint32_t seconds = lenient.lookups->good_for(1);
  EXPECT_LE(seconds, 200U);
  EXPECT_GE(seconds, 199U);
  config.dnsl.threshold = 100;
  World harmless(config);
  harmless.come(1);
  EXPECT_EQ(harmless.lookups->good_for(1), 1U) << "no answer to come can refuse it";
}

// What the shard before has been told, and a client that comes from there.
std::vector<CarriedAnswer> told_elsewhere(uint32_t number) {
  World before;
  before.come(number);
  before.run_for(100);
  std::array<CarriedAnswer, kListsMax> told;
  const uint8_t count = before.lookups->tell(number, told);
  return {told.begin(), told.begin() + count};
}

TEST(Lookups, WhatWasToldElsewhereIsNotAskedAgain) {
  const auto told = told_elsewhere(1);
  ASSERT_EQ(told.size(), kLists);
  World world;
  world.world.slots.open(1, Phase::kSilentWait).address = World::client(1);
  world.lookups->take_over(1, told, world.world.now());
  EXPECT_EQ(world.lookups->sum(1).standing, Standing::kFailed);
  world.run_for(100);
  EXPECT_EQ(world.book.asked, 0U);
  EXPECT_EQ(world.decided, std::vector<uint32_t>{1});
}

TEST(Lookups, WhatWasNotToldElsewhereIsAsked) {
  auto told = told_elsewhere(1);
  std::erase_if(told, [](const CarriedAnswer& answer) { return answer.cell == 0; });
  World world;
  world.world.slots.open(1, Phase::kSilentWait).address = World::client(1);
  world.lookups->take_over(1, told, world.world.now());
  EXPECT_EQ(world.lookups->sum(1).standing, Standing::kOpen);
  world.run_for(100);
  EXPECT_EQ(world.book.asked, 1U);
  EXPECT_EQ(world.decided, std::vector<uint32_t>{1});
}

TEST(Lookups, WhatAListSaidBeforeItWasDisabledIsNotTakenOver) {
  auto told = told_elsewhere(1);
  for (CarriedAnswer& answer : told) ++answer.epoch;
  World world;
  world.world.slots.open(1, Phase::kSilentWait).address = World::client(1);
  world.lookups->take_over(1, told, world.world.now());
  world.run_for(100);
  EXPECT_EQ(world.book.asked, kLists);
}

// Its news came while it was on its way, and nobody heard it.
TEST(Lookups, WhoComesBackIsDecidedAgain) {
  World world;
  world.come(1);
  world.run_for(100);
  ASSERT_EQ(world.decided, std::vector<uint32_t>{1});
  world.lookups->come_back(1);
  world.run_for(20);
  EXPECT_EQ(world.decided, (std::vector<uint32_t>{1, 1}));
}

}  // namespace
}  // namespace lychgate::daemon
