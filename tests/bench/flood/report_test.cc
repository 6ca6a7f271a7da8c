// The outcome of a run in its forms: exit code, table for people, JSON for programs.

#include "bench/flood/report.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "bench/flood/errors.h"
#include "bench/flood/json_report.h"
#include "bench/flood/wrap.h"

namespace lychgate::flood {
namespace {

using std::chrono::microseconds;

class Report : public testing::Test {
 protected:
  Report() {
    outcome_.targets = {"127.1.0.0/22:2525"};
    outcome_.plan.targets = {*Network::parse("127.1.0.0/22")};
    outcome_.plan.sources = {*Network::parse("127.64.0.0/10")};
    outcome_.plan.port = 2525;
    outcome_.plan.mix = {{.profile = Profile::kZombie, .weight = 8},
                         {.profile = Profile::kLegit, .weight = 1}};
    outcome_.tally = tally_.get();
    outcome_.elapsed_s = 12.5;
    outcome_.arriving_s = 2;
    outcome_.cpu_s = 0.25;
    Counts& zombies = of(Profile::kZombie);
    zombies.started = zombies.connected = 800;
    end(zombies, Ending::kDone, 800);
    Counts& legit = of(Profile::kLegit);
    legit.started = legit.connected = legit.first_bytes = legit.greeted = legit.delivered = 100;
    end(legit, Ending::kDone, 100);
    for (int i = 1; i <= 100; ++i) {
      tally_->latencies[static_cast<size_t>(Profile::kLegit)].transaction.add(
          microseconds(i * 100));
    }
    tally_->replies = {{220, 100}, {250, 400}};
    tally_->open_most = 900;
  }

  Counts& of(Profile profile) { return tally_->profiles[static_cast<size_t>(profile)]; }
  static void end(Counts& counts, Ending ending, uint64_t number) {
    counts.endings[static_cast<size_t>(ending)] = number;
  }
  std::string table() const { return result_text(outcome_, Ink::none()); }
  static bool has(const std::string& text, const std::string& words) {
    return text.find(words) != std::string::npos;
  }

  std::unique_ptr<Tally> tally_ = std::make_unique<Tally>();
  Outcome outcome_;
};

TEST_F(Report, ExitsWithZeroWhenAllIsWell) {
  EXPECT_EQ(outcome_.exit_code(), 0);
  end(of(Profile::kZombie), Ending::kRefused, 800);
  EXPECT_EQ(outcome_.exit_code(), 0) << "zombies are there to be refused";
}

TEST_F(Report, ExitsWithOneForEachLegitClientThatWasNotServed) {
  for (size_t i = 1; i < kEndingCount; ++i) {
    end(of(Profile::kLegit), static_cast<Ending>(i), 1);
    EXPECT_EQ(outcome_.exit_code(), 1) << kEndingNames[i];
    EXPECT_TRUE(has(table(), "not every legit client was served"));
    end(of(Profile::kLegit), static_cast<Ending>(i), 0);
  }
}

TEST_F(Report, ExitsWithOneWhenNobodyConnected) {
  of(Profile::kZombie).connected = of(Profile::kLegit).connected = 0;
  EXPECT_EQ(outcome_.exit_code(), 1);
  EXPECT_TRUE(has(table(), "nobody could connect"));
}

TEST_F(Report, ExitsAsAShellSaysOfASignal) {
  outcome_.signal = SIGINT;
  EXPECT_EQ(outcome_.exit_code(), 130);
  outcome_.signal = SIGTERM;
  EXPECT_EQ(outcome_.exit_code(), 143);
}

TEST_F(Report, KnowsItsRates) {
  EXPECT_DOUBLE_EQ(outcome_.rate_achieved(), 450);
  EXPECT_FALSE(outcome_.rate_intended()) << "a closed loop intends none";
  outcome_.plan.schedule = {.arrivals = Arrivals::kOpen, .rate = 500};
  outcome_.plan.duration = milliseconds(2000);
  outcome_.plan.count = 100'000;
  EXPECT_NEAR(*outcome_.rate_intended(), 500, 1);
  outcome_.plan.count = 10;
  EXPECT_NEAR(*outcome_.rate_intended(), 500, 1) << "until the count was reached";
  outcome_.plan.count = 100'000;
  outcome_.plan.schedule.ramp_over = milliseconds(2000);
  EXPECT_NEAR(*outcome_.rate_intended(), 250, 1) << "the mean of a ramp from nobody";
}

TEST_F(Report, TableShowsWhatOccurredAndNothingElse) {
  const std::string text = table();
  for (const char* words :
       {"127.1.0.0/22:2525", "127.64.0.0/10", "zombie (weight 8) for 10s", "closed loop",
        "12.5 s; CPU of the flood 0.25 s, 2 % of a core", "450/s achieved", "done 800", "done 100",
        "all ", "done 900", "transaction legit", "5.0", "220: 100, 250: 400", "900 at most"}) {
    EXPECT_TRUE(has(text, words)) << words << " in\n" << text;
  }
  for (const char* words : {"connect errors", "refused", "cut off", "greeting  ", "drip", "\x1b"}) {
    EXPECT_FALSE(has(text, words)) << words << " in\n" << text;
  }
}

TEST_F(Report, TableFitsATerminalAtItsLargest) {
  outcome_.plan.mix.clear();
  for (size_t i = 0; i < kProfileCount; ++i) {
    outcome_.plan.mix.push_back({.profile = static_cast<Profile>(i), .weight = 1'000'000});
    Counts& counts = tally_->profiles[i];
    counts.started = counts.connected = counts.greeted = counts.delivered = 99'999'999;
    counts.endings.fill(99'999'999);
    Latencies& latencies = tally_->latencies[i];
    for (Histogram* one : {&latencies.connect, &latencies.first_byte, &latencies.greeting,
                           &latencies.transaction, &latencies.lateness}) {
      one->add(std::chrono::hours(20));
    }
  }
  outcome_.plan.schedule = {.arrivals = Arrivals::kOpen,
                            .rate = 1e6,
                            .ramp_from = 1e6,
                            .ramp_over = milliseconds(3'599'999),
                            .storm_rate = 1e6,
                            .storm_every = milliseconds(3'599'999),
                            .storm_for = milliseconds(3'599'999)};
  outcome_.plan.count = 1000;
  for (int code = 200; code < 260; ++code) tally_->replies[code] = 99'999'999;
  for (int error = 1; error < 140; ++error) tally_->connect_errors[error] = 99'999'999;
  outcome_.preflight.findings.push_back({Gravity::kFatal, "memory", std::string(150, 'x'),
                                         "a b c d e f g h i j k l m n o p q r s t u v w x y z",
                                         "--count 10 would do"});
  const std::string text = table() + plan_text(outcome_, Ink::none());
  size_t widest = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t length = std::min(text.find('\n', begin), text.size()) - begin;
    const std::string line = text.substr(begin, length);
    if (!has(line, "xxxx")) widest = std::max(widest, length);
    begin += length + 1;
  }
  EXPECT_LE(widest, 100U) << text;
}

TEST_F(Report, TableNamesErrorsWithMeaningAndRemedy) {
  tally_->connect_errors = {{ECONNREFUSED, 12}, {EADDRNOTAVAIL, 1}};
  EXPECT_TRUE(has(table(), "ECONNREFUSED"));
  EXPECT_TRUE(has(table(), "nobody listens there: start the server"));
  EXPECT_TRUE(has(table(), "more --sources or targets"));
}

TEST_F(Report, PlanSaysWhetherItCanStart) {
  EXPECT_TRUE(has(plan_text(outcome_, Ink::none()), "nothing was started"));
  outcome_.preflight.findings = {{Gravity::kFatal, "memory", "much", "little", "--count 3"}};
  const std::string text = plan_text(outcome_, Ink::none());
  EXPECT_TRUE(has(text, "cannot    memory: much; little; --count 3"));
  EXPECT_FALSE(has(text, "ready"));
  EXPECT_TRUE(has(plan_text(outcome_, Ink::terminal()), "\x1b[1;31mcannot"));
}

TEST_F(Report, JsonHasEveryName) {
  outcome_.plan.ehlo = "a\"b\\c\x01";
  tally_->connect_errors = {{ECONNREFUSED, 12}, {1234, 1}};
  const std::string text = json_result(outcome_);
  for (const char* member : {"\"version\":\"",
                             "\"targets\":[\"127.1.0.0/22:2525\"]",
                             "\"sources\":[\"127.64.0.0/10\"]",
                             "\"plan\":{\"arrivals\":\"closed\"",
                             "\"ehlo\":\"a\\\"b\\\\c\\u0001\"",
                             "\"elapsed_s\":12.500",
                             "\"cpu_s\":0.250",
                             "\"rings\":1",
                             "\"started\":900",
                             "\"connected\":900",
                             "\"first_bytes\":100",
                             "\"greeted\":100",
                             "\"delivered\":100",
                             "\"open_most\":900",
                             "\"held\":0",
                             "\"skipped\":0",
                             "\"rate_intended\":null",
                             "\"rate_achieved\":450.000",
                             "\"endings\":{\"done\":900,\"refused\":0",
                             "\"cut_off\":0",
                             "\"replies\":{\"220\":100,\"250\":400}",
                             "\"connect_errors\":{\"ECONNREFUSED\":12,\"errno 1234\":1}",
                             "\"bytes_out\":0",
                             "\"latency_us\":{\"connect\":{\"count\":0,\"min\":null",
                             "\"transaction\":{\"count\":100,\"min\":100,\"p50\":5",
                             "\"lateness\":",
                             "\"profiles\":{\"zombie\":{\"started\":800",
                             "\"legit\":{\"started\":100",
                             "\"exit_code\":0"}) {
    EXPECT_TRUE(has(text, member)) << member << " in " << text;
  }
  EXPECT_FALSE(has(text, "\"drip\"")) << "who did not take part is not told of";
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_EQ(std::count(text.begin(), text.end(), '{'), std::count(text.begin(), text.end(), '}'));
}

TEST_F(Report, JsonOfAPlanSaysWhetherItCanStart) {
  outcome_.preflight.findings = {{Gravity::kFatal, "memory", "much", "little", "--count 3"}};
  const std::string text = json_plan(outcome_);
  EXPECT_TRUE(has(text, "\"can_start\":false"));
  EXPECT_TRUE(has(text, "\"preflight\":[{\"fatal\":true,\"limit\":\"memory\""));
  outcome_.preflight.findings.clear();
  EXPECT_TRUE(has(json_plan(outcome_), "\"can_start\":true"));
}

TEST(Errors, AreNamed) {
  EXPECT_EQ(errno_name(ECONNREFUSED), "ECONNREFUSED");
  EXPECT_EQ(errno_name(4242), "errno 4242");
  EXPECT_FALSE(errno_advice(EXDEV).empty()) << "the system's words, when we have none";
}

TEST(Wrap, KeepsPiecesWhole) {
  EXPECT_EQ(wrapped("a ", 2, {}), "a \n");
  EXPECT_EQ(wrapped("a ", 2, {"b", "c"}), "a b c\n");
  const std::string wide(97, 'x');
  EXPECT_EQ(wrapped("a ", 2, {wide, "c"}), "a " + wide + "\n  c\n");
  EXPECT_EQ(wrapped_words("", 0, "one  two"), "one  two\n");
}

}  // namespace
}  // namespace lychgate::flood
