// The command line: words to values, and the code and words of what is refused.

#include "bench/flood/options.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

auto parse(std::vector<const char*> words) {
  words.insert(words.begin(), "lychgate-flood");
  return parse_command_line(static_cast<int>(words.size()), words.data());
}

TEST(Options, NeedATargetAlone) {
  const auto options = parse({"127.0.0.1:2525"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->targets, std::vector<std::string>{"127.0.0.1:2525"});
  EXPECT_EQ(options->manners.profile, Profile::kZombie);
  EXPECT_FALSE(options->count || options->parallel || options->rate || options->duration);
  EXPECT_TRUE(options->sources.empty());
  EXPECT_FALSE(options->dry_run || options->output.quiet);
  EXPECT_EQ(options->output.interval, milliseconds(1000));
}

TEST(Options, AreAllUnderstood) {
  const auto options = parse({"--profile",    "legit",
                              "--count",      "500",
                              "--parallel",   "20",
                              "--duration",   "5m",
                              "--hold",       "2s",
                              "--timeout",    "3s",
                              "--size",       "20k",
                              "--sources",    "127.64.0.0/16",
                              "--sources",    "127.65.0.0/16",
                              "--from",       "a@b.test",
                              "--to",         "c@d.test",
                              "--ehlo",       "me.test",
                              "--per-ring",   "1000",
                              "--cpu",        "1",
                              "--seed",       "42",
                              "--grace",      "7s",
                              "--json",       "-",
                              "--csv",        "out.csv",
                              "--interval",   "500ms",
                              "--quiet",      "--i-own",
                              "192.0.2.1:25", "--dry-run",
                              "192.0.2.1:25", "127.0.0.1:25"});
  ASSERT_TRUE(options) << options.error().err;
  EXPECT_EQ(options->manners.profile, Profile::kLegit);
  EXPECT_EQ(options->count, 500U);
  EXPECT_EQ(options->parallel, 20U);
  EXPECT_EQ(options->duration, milliseconds(300'000));
  EXPECT_EQ(options->manners.hold, milliseconds(2000));
  EXPECT_EQ(options->manners.timeout, milliseconds(3000));
  EXPECT_EQ(options->manners.message_bytes, 20'480U);
  EXPECT_EQ(options->sources, (std::vector<std::string>{"127.64.0.0/16", "127.65.0.0/16"}));
  EXPECT_EQ(options->said.mail_from, "a@b.test");
  EXPECT_EQ(options->said.rcpt_to, "c@d.test");
  EXPECT_EQ(options->said.ehlo, "me.test");
  EXPECT_EQ(options->said.per_ring, 1000U);
  EXPECT_EQ(options->said.cpu, 1U);
  EXPECT_EQ(options->said.seed, 42U);
  EXPECT_EQ(options->grace, milliseconds(7000));
  EXPECT_EQ(options->output.json, "-");
  EXPECT_EQ(options->output.csv, "out.csv");
  EXPECT_EQ(options->output.interval, milliseconds(500));
  EXPECT_TRUE(options->output.quiet);
  EXPECT_TRUE(options->dry_run);
  EXPECT_EQ(options->owned, std::vector<std::string>{"192.0.2.1:25"});
  EXPECT_EQ(options->targets, (std::vector<std::string>{"192.0.2.1:25", "127.0.0.1:25"}))
      << "options that may be repeated take one word each";
}

TEST(Options, OfTheOpenLoop) {
  const auto steady = parse({"--rate", "2000", "--storm", "9000:20s:2s", "127.0.0.1:25"});
  ASSERT_TRUE(steady);
  EXPECT_EQ(steady->rate, 2000.0);
  EXPECT_EQ(steady->storm->rate, 9000.0);
  const auto ramp = parse({"--ramp=0:5000:30s", "127.0.0.1:25"});
  ASSERT_TRUE(ramp);
  EXPECT_EQ(ramp->ramp->to, 5000.0);
  EXPECT_EQ(parse({"--from", "", "127.0.0.1:25"})->said.mail_from, "") << "the null sender";
}

struct Row {
  const char* what;
  std::vector<const char*> words;
  const char* want;  // in the message
};

TEST(Options, AreRefusedWithAReason) {
  const Row rows[] = {
      {"no target", {}, "TARGET is required"},
      {"an unknown option", {"--bogus", "127.0.0.1:25"}, "--bogus"},
      {"a mistyped profile", {"--profile", "zombi", "127.0.0.1:25"}, "did you mean zombie?"},
      {"two ways to say manners", {"--profile", "bot", "--mix", "f", "127.0.0.1:25"}, "excludes"},
      {"two rates", {"--rate", "5", "--ramp", "1:2:3s", "127.0.0.1:25"}, "excludes"},
      {"nobody", {"--count", "0", "127.0.0.1:25"}, "--count"},
      {"too many", {"--count", "1000000001", "127.0.0.1:25"}, "--count"},
      {"no number", {"--count", "many", "127.0.0.1:25"}, "many"},
      {"nobody at once", {"--parallel", "0", "127.0.0.1:25"}, "--parallel"},
      {"no rate", {"--rate", "0", "127.0.0.1:25"}, "expected arrivals a second"},
      {"no time", {"--duration", "soon", "127.0.0.1:25"}, "expected a time"},
      {"a time beyond the bound", {"--duration", "25h", "127.0.0.1:25"}, "1ms to 24h"},
      {"no size", {"--size", "1G", "127.0.0.1:25"}, "expected a size"},
      {"a storm without a rate", {"--storm", "1:2s:1s", "127.0.0.1:25"}, "--storm needs --rate"},
      {"a storm that is none", {"--rate", "1", "--storm", "1", "127.0.0.1:25"}, "RATE:EVERY:FOR"},
      {"both to one place", {"--json", "-", "--csv", "-", "127.0.0.1:25"}, "standard output"},
      {"an interval too short", {"--interval", "10ms", "127.0.0.1:25"}, "100ms or more"},
      {"none and some", {"--sources", "none", "--sources", "::1", "[::1]:25"}, "--sources none"},
      {"a command in the sender", {"--from", "a>\r\nDATA", "127.0.0.1:25"}, "printable ASCII"},
      {"no recipient", {"--to", "", "127.0.0.1:25"}, "must not be empty"},
  };
  for (const Row& row : rows) {
    const auto options = parse(row.words);
    ASSERT_FALSE(options) << row.what;
    EXPECT_EQ(options.error().code, 64) << row.what;
    EXPECT_TRUE(options.error().out.empty()) << row.what;
    EXPECT_NE(options.error().err.find(row.want), std::string::npos) << options.error().err;
    EXPECT_NE(options.error().err.find("--help"), std::string::npos) << options.error().err;
  }
}

TEST(Options, HelpIsNoErrorAndFitsATerminal) {
  const auto help = parse({"--help"});
  ASSERT_FALSE(help);
  EXPECT_EQ(help.error().code, 0);
  EXPECT_TRUE(help.error().err.empty());
  const std::string& text = help.error().out;
  for (const char* words :
       {"--profile", "--mix",     "--count", "--parallel", "--rate",    "--duration",
        "--hold",    "--timeout", "--size",  "--ramp",     "--storm",   "--sources",
        "--from",    "--to",      "--ehlo",  "--per-ring", "--cpu",     "--seed",
        "--grace",   "--json",    "--csv",   "--interval", "--quiet",   "--i-own",
        "--dry-run", "--version", "--help",  "TARGET",     "Exit codes"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words;
  }
  for (const char* profile : kProfileNames) EXPECT_NE(text.find(profile), std::string::npos);
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    EXPECT_LE(end - begin, 100U) << text.substr(begin, end - begin);
    begin = end + 1;
  }
  EXPECT_TRUE(parse({"--version"}).error().out.starts_with("lychgate-flood "));
}

}  // namespace
}  // namespace lychgate::flood
