// The resolver against servers with one fault at a time: what the question's outcome is, how often
// it was sent, in what time. Then everything at once.

#include "dns/resolver.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "tests/dns/resolver_harness.h"

namespace lychgate::dns {
namespace {

using sim::DnsFault;
using sim::StreamManner;
using sim::Time;

constexpr uint32_t kQuestions = 30;

struct Trial {
  const char* what;
  uint32_t servers = 1;
  uint32_t faulty = 1;  // of these, the first ones
  DnsFault fault = DnsFault::kNone;
  StreamManner stream = StreamManner::kWhole;
  // Wanted, of each question.
  OutcomeKind kind = OutcomeKind::kReply;
  uint64_t sends_min = 1;
  uint64_t sends_max = 1;
  Time took_max = 10;
  // Wanted, at least once.
  std::optional<Counter> counted = std::nullopt;
};

// Two thirds of a second attempt, a tick's grain and a turn.
constexpr Time kSecondTry = 400 + 25;
constexpr Time kThirdTry = 1200 + 40;
constexpr Time kWholeTime = 2000 + 15;

const Trial kTrials[] = {
    {.what = "an honest server answers the first question", .faulty = 0},
    {.what = "a dead server is asked three times, up to the deadline",
     .fault = DnsFault::kDropped,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsServerDown},
    {.what = "one of two is dead: the other answers the second attempt",
     .servers = 2,
     .fault = DnsFault::kDropped,
     .sends_max = 2,
     .took_max = kSecondTry},
    {.what = "two of three are dead: the third answers the third attempt",
     .servers = 3,
     .faulty = 2,
     .fault = DnsFault::kDropped,
     .sends_max = 3,
     .took_max = kThirdTry},
    {.what = "of an answer that comes twice the second is late",
     .fault = DnsFault::kTwice,
     .counted = Counter::kDnsLate},
    {.what = "answers after the deadline are late and change nothing",
     .fault = DnsFault::kLate,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsLate},
    {.what = "SERVFAIL from the only server is final at once",
     .fault = DnsFault::kServfail,
     .kind = OutcomeKind::kFailed},
    {.what = "SERVFAIL from one of two sends the question to the other, at once",
     .servers = 2,
     .fault = DnsFault::kServfail,
     .sends_max = 2,
     .took_max = 15},
    {.what = "SERVFAIL from all three: failed after three questions",
     .servers = 3,
     .faulty = 3,
     .fault = DnsFault::kServfail,
     .kind = OutcomeKind::kFailed,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = 20},
    {.what = "REFUSED from the only server is final at once",
     .fault = DnsFault::kRefused,
     .kind = OutcomeKind::kFailed},
    {.what = "REFUSED from one of two sends the question to the other, at once",
     .servers = 2,
     .fault = DnsFault::kRefused,
     .sends_max = 2,
     .took_max = 15},
    {.what = "a lie with a wrong id is no answer",
     .fault = DnsFault::kWrongId,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsLate},
    {.what = "a lie for another question is no answer",
     .fault = DnsFault::kWrongQuestion,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsForged},
    {.what = "nonsense is no answer",
     .fault = DnsFault::kGarbage,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsForged},
    {.what = "a datagram of no bytes is no answer, though it ends the receive",
     .fault = DnsFault::kEmpty,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime},
    {.what = "a reply longer than a buffer is no answer",
     .fault = DnsFault::kTooLong,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsForged},
    {.what = "one of two sends nonsense: the other answers the second attempt",
     .servers = 2,
     .fault = DnsFault::kGarbage,
     .sends_max = 2,
     .took_max = kSecondTry},
    {.what = "nobody listens at the only server: asked up to the deadline all the same",
     .fault = DnsFault::kIcmp,
     .kind = OutcomeKind::kTimedOut,
     .sends_min = 3,
     .sends_max = 3,
     .took_max = kWholeTime,
     .counted = Counter::kDnsServerDown},
    {.what = "nobody listens at one of two: the other answers the second attempt",
     .servers = 2,
     .fault = DnsFault::kIcmp,
     .sends_max = 2,
     .took_max = kSecondTry,
     .counted = Counter::kDnsServerDown},
    {.what = "a cut answer comes whole over TCP",
     .fault = DnsFault::kTruncated,
     .took_max = 30,
     .counted = Counter::kDnsTcp},
    {.what = "and in pieces",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kSlow,
     .took_max = 1500},
    {.what = "a stream that ends in the middle is a failure",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kCutOff,
     .kind = OutcomeKind::kFailed,
     .took_max = 1500},
    {.what = "a stream that is reset in the middle is a failure",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kReset,
     .kind = OutcomeKind::kFailed,
     .took_max = 1500},
    {.what = "nonsense over TCP is a failure",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kGarbage,
     .kind = OutcomeKind::kFailed,
     .took_max = 200},
    {.what = "a frame longer than any answer is a failure",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kTooLong,
     .kind = OutcomeKind::kFailed,
     .took_max = 200},
    {.what = "a connection that is refused is a failure",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kRefused,
     .kind = OutcomeKind::kFailed,
     .took_max = 30},
    {.what = "a connection that nobody accepts ends with the deadline",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kNoAnswer,
     .kind = OutcomeKind::kTimedOut,
     .took_max = kWholeTime},
    {.what = "and so does one in which nobody says anything",
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kMute,
     .kind = OutcomeKind::kTimedOut,
     .took_max = kWholeTime},
    {.what = "one of two cuts its answers and refuses TCP: the other is asked at once",
     .servers = 2,
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kRefused,
     .sends_max = 2,
     .took_max = 40},
    {.what = "two of three cut their answers and refuse TCP: the third is asked at once",
     .servers = 3,
     .faulty = 2,
     .fault = DnsFault::kTruncated,
     .stream = StreamManner::kRefused,
     .sends_max = 3,
     .took_max = 60},
};

TEST(Resolver, EachFaultHasItsOutcomeAndItsPrice) {
  for (const Trial& trial : kTrials) {
    SCOPED_TRACE(trial.what);
    ResolverWorld world({.servers = trial.servers});
    for (uint32_t i = 0; i < trial.faulty; ++i) {
      sim::DnsManners& manners = world.server(i).manners();
      if (trial.fault != DnsFault::kNone) manners[trial.fault] = 100;
      manners.streams = {trial.stream};
      manners.truth_follows = 0;
    }
    uint64_t sends = 0;
    for (uint32_t n = 0; n < kQuestions; ++n) {
      world.ask(n);
      world.run_out();
      const uint64_t sent = world.count(Counter::kDnsSent) - sends;
      sends += sent;
      const Fate& fate = world.fate(n);
      EXPECT_EQ(fate.kind, trial.kind) << "question " << n;
      EXPECT_GE(sent, trial.sends_min) << "question " << n;
      EXPECT_LE(sent, trial.sends_max) << "question " << n;
      EXPECT_LE(fate.took, trial.took_max) << "question " << n;
    }
    world.run_for(10000);  // for what is late
    EXPECT_EQ(world.trouble(), "");
    if (trial.counted) {
      EXPECT_GT(world.count(*trial.counted), 0u);
    }
  }
}

struct Mixed {
  const char* what;
  DnsFault first;
  DnsFault second;
  StreamManner second_stream = StreamManner::kWhole;
};

// Three servers; the third is sound and must be reached whatever the others do.
const Mixed kMixed[] = {
    {"one dead, one failing", DnsFault::kDropped, DnsFault::kServfail},
    {"one dead, one refusing", DnsFault::kDropped, DnsFault::kRefused},
    {"one failing, one that nobody listens at", DnsFault::kServfail, DnsFault::kIcmp},
    {"one dead, one that cuts its answers and refuses TCP", DnsFault::kDropped,
     DnsFault::kTruncated, StreamManner::kRefused},
    {"one dead, one that cuts its answers and resets", DnsFault::kDropped, DnsFault::kTruncated,
     StreamManner::kReset},
    {"one late, one talking nonsense", DnsFault::kLate, DnsFault::kGarbage},
};

TEST(Resolver, TheOneSoundServerIsReached) {
  for (const Mixed& row : kMixed) {
    SCOPED_TRACE(row.what);
    ResolverWorld world({.servers = 3});
    world.server(0).manners()[row.first] = 100;
    world.server(1).manners()[row.second] = 100;
    world.server(1).manners().streams = {row.second_stream};
    for (uint32_t i = 0; i < 2; ++i) world.server(i).manners().truth_follows = 0;
    world.ask_many(kQuestions);
    world.run_out();
    EXPECT_EQ(world.trouble(), "");
    EXPECT_EQ(world.count(Counter::kDnsAnswered), kQuestions);
  }
}

TEST(Resolver, AReasonIsAskedForLikeAnAddress) {
  ResolverWorld world({});
  world.ask(1, RecordType::kTxt);
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_TRUE(world.fate(1).right);
}

TEST(Resolver, MixedCaseIsUnderstoodAndWantedBack) {
  ResolverSetup setup;
  setup.dns.mix_case = true;
  ResolverWorld world(setup);
  world.ask_many(kQuestions);
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_EQ(world.count(Counter::kDnsAnswered), kQuestions);
}

TEST(Resolver, TheOldestIsGivenUpWhenTooManyAreOpen) {
  ResolverSetup setup;
  setup.dns.in_flight = 10;
  ResolverWorld world(setup);
  world.server(0).manners()[DnsFault::kDropped] = 100;
  world.ask_many(25);
  EXPECT_EQ(world.resolver->open(), 10u);
  EXPECT_EQ(world.count(Counter::kDnsGivenUp), 15u);
  for (uint32_t n = 0; n < 15; ++n) {
    EXPECT_EQ(world.fate(n).kind, OutcomeKind::kGivenUp) << "question " << n;
  }
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_EQ(world.count(Counter::kDnsTimedOut), 10u);
}

TEST(Resolver, NeverMoreIsOpenAtAServerThanItsWindowAndTheRestWaitsItsTurn) {
  ResolverWorld world({.servers = 2});
  for (size_t i = 0; i < 2; ++i) world.server(i).manners().delay_min = 20;
  for (size_t i = 0; i < 2; ++i) world.server(i).manners().delay_max = 20;
  world.ask_many(10000);
  uint32_t widest = 0;
  while (world.resolver->open() > 0) {
    world.turn(1000);
    const Servers& servers = world.resolver->servers();
    for (uint32_t i = 0; i < 2; ++i) {
      ASSERT_LE(servers.open(i), servers.window(i));
      widest = std::max(widest, servers.window(i));
    }
  }
  EXPECT_GT(widest, kDnsWindowFirst) << "a window that is used up and answered grows";
  EXPECT_EQ(world.trouble(), "");
  EXPECT_EQ(world.count(Counter::kDnsSent), 10000u) << "nothing was lost, so nothing asked twice";
}

TEST(Resolver, AWindowShrinksWhileAServerIsSilentAndTheDeadServerCostsOnlyTheFirstQuestions) {
  ResolverWorld world({.servers = 2});
  world.server(0).manners()[DnsFault::kDropped] = 100;
  world.ask_many(200);
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_EQ(world.count(Counter::kDnsAnswered), 200u);
  EXPECT_LT(world.resolver->servers().window(0), kDnsWindowFirst);
  EXPECT_TRUE(world.resolver->servers().is_down(0));
  EXPECT_EQ(world.count(Counter::kDnsServerDown), 1u);
  const uint64_t before = world.server(0).asked();
  world.ask_many(200);
  world.run_out();
  EXPECT_LE(world.server(0).asked() - before, 1u) << "one question may try whether it is back";
  // It is back: asked at the next try, and from then on again.
  world.server(0).manners()[DnsFault::kDropped] = 0;
  for (int second = 0; second < 20; ++second) {
    world.ask_many(20);
    world.run_for(1000);
  }
  EXPECT_FALSE(world.resolver->servers().is_down(0));
  EXPECT_EQ(world.trouble(), "");
}

TEST(Resolver, AllServersDownAreAskedAllTheSame) {
  ResolverWorld world({.servers = 3});
  for (size_t i = 0; i < 3; ++i) world.server(i).manners()[DnsFault::kDropped] = 100;
  world.ask_many(100);
  world.run_out();
  EXPECT_EQ(world.count(Counter::kDnsTimedOut), 100u);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_TRUE(world.resolver->servers().is_down(i));
  for (size_t i = 0; i < 3; ++i) world.server(i).manners()[DnsFault::kDropped] = 0;
  world.ask_many(100);
  world.run_out();
  EXPECT_EQ(world.count(Counter::kDnsAnswered), 100u) << "and the first answers are taken";
  EXPECT_EQ(world.trouble(), "");
}

TEST(Resolver, PacketsThatOurOwnKernelRefusesAreAskedAgain) {
  sim::KernelOptions kernel;
  kernel.faults.packet_error_percent = 30;
  ResolverWorld world({.servers = 2, .kernel = kernel});
  world.ask_many(200);
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_GT(world.count(Counter::kDnsSendFailed), 0u);
  EXPECT_GE(world.count(Counter::kDnsAnswered), 190u);
}

TEST(Resolver, ScarcePacketBuffersLoseNothing) {
  ResolverWorld world({.kernel = {.packets = 2}});
  world.ask_many(500);
  world.run_out();
  EXPECT_EQ(world.trouble(), "");
  EXPECT_EQ(world.count(Counter::kDnsAnswered), 500u);
}

TEST(Resolver, MoreCutAnswersThanTcpSeatsFailAndAreCounted) {
  ResolverWorld world({.kernel = {.slots = 1000}});
  world.server(0).manners()[DnsFault::kTruncated] = 100;
  world.server(0).manners().streams = {StreamManner::kMute};
  world.ask_many(kDnsTcpMax + 20);
  world.run_out();
  EXPECT_EQ(world.count(Counter::kDnsTcpFull), 20u);
  EXPECT_EQ(world.count(Counter::kDnsGivenUp), 20u) << "our own bound is no failure of the list";
  EXPECT_EQ(world.trouble(), "");
  world.run_for(100);
  EXPECT_EQ(world.world.reactor.slots_open(), 0u) << "every stream is closed";
}

TEST(Resolver, ClientsHaveTheSlotsBeforeStreams) {
  ResolverWorld world({.kernel = {.slots = kSlotsMin}});
  for (uint32_t i = 0; i < kSlotsMin; ++i) {
    uint32_t slot = 0;
    world.world.accept(slot);
  }
  world.server(0).manners()[DnsFault::kTruncated] = 100;
  world.ask_many(3);
  world.run_out();
  EXPECT_EQ(world.count(Counter::kDnsGivenUp), 3u);
  EXPECT_EQ(world.count(Counter::kDnsTcpFull), 3u);
  EXPECT_EQ(world.trouble(), "");
}

ResolverSetup draw_setup(sim::Random& random, uint64_t seed) {
  ResolverSetup setup;
  setup.servers = 3;
  setup.seed = seed;
  setup.dns.timeout = milliseconds(random.pick({300, 2000}));
  setup.dns.in_flight = random.pick<uint32_t>({50, 1000, 100000});
  setup.dns.sockets = random.pick<uint32_t>({1, 4});
  setup.dns.mix_case = random.one_in(2);
  setup.kernel.slots = random.pick<uint32_t>({64, 200});
  setup.kernel.buffers = random.pick<uint32_t>({16, 512});
  setup.kernel.packets = random.pick<uint32_t>({4, 1024});
  sim::Faults& faults = setup.kernel.faults;
  faults.late_percent = random.between(0, 30);
  faults.busy_percent = random.between(0, 20);
  faults.multishot_end_percent = random.between(0, 20);
  faults.short_read_percent = random.between(0, 20);
  faults.slice_percent = random.between(0, 50);
  faults.no_descriptor_percent = random.between(0, 10);
  faults.packet_error_percent = random.between(0, 5);
  return setup;
}

void draw_manners(ResolverWorld& world, sim::Random& random) {
  for (size_t i = 0; i < 3; ++i) {
    sim::DnsManners& manners = world.server(i).manners();
    for (size_t fault = 1; fault < sim::kDnsFaultCount; ++fault) {
      manners.percent[fault] = static_cast<uint8_t>(random.between(0, 6));
    }
    manners.delay_max = random.pick<Time>({2, 50, 300});
    manners.late_by = random.pick<Time>({300, 2500, 8000});
    manners.streams.clear();
    for (size_t manner = 0; manner < sim::kStreamMannerCount; ++manner) {
      manners.streams.push_back(static_cast<StreamManner>(manner));
    }
  }
}

// Everything at once; LYCH_CHECK and the harness are what may object.
TEST(Resolver, EveryQuestionComesBackOnceWhateverHappens) {
  constexpr uint32_t kRuns = 20;
  constexpr uint32_t kEach = 5000;
  uint64_t answered = 0;
  for (uint32_t run = 0; run < kRuns; ++run) {
    SCOPED_TRACE("run " + std::to_string(run));
    sim::Random random(run);
    ResolverWorld world(draw_setup(random, run));
    draw_manners(world, random);
    for (uint32_t n = 0; n < kEach;) {
      for (uint64_t burst = random.between(1, 40); burst > 0 && n < kEach; --burst) {
        world.ask(n, random.one_in(10) ? RecordType::kTxt : RecordType::kA);
        ++n;
      }
      world.run_for(random.between(1, 60));
    }
    world.run_out();
    world.run_for(20000);
    ASSERT_EQ(world.trouble(), "");
    ASSERT_EQ(world.world.reactor.slots_open(), 0u);
    ASSERT_TRUE(world.world.reactor.all_buffers_back());
    for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(world.resolver->servers().open(i), 0u);
    answered += world.count(Counter::kDnsAnswered);
  }
  EXPECT_GT(answered, uint64_t{kRuns} * kEach / 2);
}

}  // namespace
}  // namespace lychgate::dns
