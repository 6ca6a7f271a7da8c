// What a machine can carry: each limit met and not met, with the words and the count that would do.

#include "bench/flood/preflight.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::flood {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// Two cores, 24 GiB, the limits of a container.
Machine usual_machine() {
  Machine out;
  out.descriptors = 20'000;
  out.files_max = 2'466'183;
  out.files_open = 700;
  out.memory_available = 22 * kGiB;
  out.ports = 28'232;
  out.tcp_pages_pressure = 383'869;
  out.tcp_pages_max = 575'802;
  out.somaxconn = 4096;
  out.orphans_max = 131'072;
  out.cores = {0, 1};
  return out;
}

Plan zombies(uint64_t count) {
  Plan out;
  out.targets = {*Network::parse("127.1.0.0/22")};
  out.sources = {*Network::parse("127.64.0.0/10")};
  out.mix = {{.profile = Profile::kZombie}};
  out.count = count;
  out.parallel = static_cast<uint32_t>(count);
  return out;
}

const Finding* find(const Preflight& preflight, const std::string& limit) {
  const auto& all = preflight.findings;
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Finding& one) { return one.limit == limit; });
  return found == all.end() ? nullptr : &*found;
}

TEST(Preflight, LetsAThousandPassWithoutAWord) {
  const Preflight got = check_machine(usual_machine(), zombies(1000), FarEnd::kHere);
  EXPECT_TRUE(got.can_start());
  EXPECT_TRUE(got.findings.empty());
  EXPECT_EQ(got.rings, 1U);
  EXPECT_EQ(got.open_most, 1000U);
}

TEST(Preflight, LetsAMillionPass) {
  const Preflight got = check_machine(usual_machine(), zombies(1'000'000), FarEnd::kHere);
  EXPECT_TRUE(got.can_start());
  EXPECT_EQ(got.rings, 50U);
  EXPECT_GT(got.memory_bytes, 7'900'000'000U);
  EXPECT_LT(got.memory_bytes, 9'000'000'000U);
}

TEST(Preflight, RefusesTenMillionWithTheCountThatWouldDo) {
  const Plan plan = zombies(10'000'000);
  const Preflight got = check_machine(usual_machine(), plan, FarEnd::kHere);
  EXPECT_FALSE(got.can_start());
  ASSERT_NE(find(got, "memory"), nullptr);
  const std::string advice = "--count " + std::to_string(got.would_do) + " would do";
  EXPECT_NE(find(got, "memory")->line().find(advice), std::string::npos);
  EXPECT_NE(find(got, "clients at once"), nullptr);
  const Preflight better = check_machine(usual_machine(), zombies(got.would_do), FarEnd::kHere);
  EXPECT_TRUE(better.can_start()) << "the advice is good";
  const Preflight more =
      check_machine(usual_machine(), zombies(got.would_do * 11 / 10), FarEnd::kHere);
  EXPECT_FALSE(more.can_start()) << "and not far too careful";
}

struct Row {
  const char* what;
  void (*change)(Machine& machine, Plan& plan);
  FarEnd far_end;
  const char* limit;  // nullptr: nothing is found
  Gravity gravity;
  std::vector<const char*> words;  // of its line
};

const Row kRows[] = {
    {"a ring cannot be made",
     [](Machine& machine, Plan&) { machine.uring_refusal = "forbidden by sysctl X"; },
     FarEnd::kHere,
     "io_uring",
     Gravity::kFatal,
     {"forbidden by sysctl X"}},
    {"a core that is not ours",
     [](Machine&, Plan& plan) { plan.cpu = 7; },
     FarEnd::kHere,
     "cores",
     Gravity::kFatal,
     {"--cpu 7", "may run on 0, 1", "--cpu 1 would do"}},
    {"a core that is ours",
     [](Machine&, Plan& plan) { plan.cpu = 1; },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"too little memory",
     [](Machine& machine, Plan&) { machine.memory_available = 4'000'000; },
     FarEnd::kHere,
     "memory",
     Gravity::kFatal,
     {"1,000 clients at once need 8.8 MB", "both ends are on this machine", "4.0 MB are available",
      "--count 400 would do"}},
    {"enough of it when the other end is elsewhere",
     [](Machine& machine, Plan&) { machine.memory_available = 6'000'000; },
     FarEnd::kElsewhere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"memory that is not known is not judged",
     [](Machine& machine, Plan&) { machine.memory_available = 0; },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"one pair of addresses has too few ports",
     [](Machine& machine, Plan& plan) {
       plan.sources.clear();
       plan.targets = {*Network::parse("127.0.0.1")};
       machine.ports = 900;
     },
     FarEnd::kHere,
     "ports",
     Gravity::kFatal,
     {"over 1 pair", "net.ipv4.ip_local_port_range gives 900", "--sources",
      "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"", "--count 900 would do"}},
    {"two targets have twice as many",
     [](Machine& machine, Plan& plan) {
       plan.sources.clear();
       plan.targets = {*Network::parse("127.0.0.0/31")};
       machine.ports = 900;
     },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"many on one pair connect slowly",
     [](Machine& machine, Plan& plan) {
       plan = zombies(10'000);
       plan.sources.clear();
       plan.targets = {*Network::parse("127.0.0.1")};
       machine.somaxconn = 0;
     },
     FarEnd::kHere,
     "ports",
     Gravity::kWarning,
     {"makes each connect slow", "more --sources"}},
    {"rings larger than the descriptor limit",
     [](Machine&, Plan& plan) { plan.per_ring = 30'000; },
     FarEnd::kHere,
     "descriptors",
     Gravity::kFatal,
     {"--per-ring 30000", "RLIMIT_NOFILE allows 20000", "--per-ring 20000 would do",
      "ulimit -n 30000", "LimitNOFILE"}},
    {"more rings than descriptors",
     [](Machine& machine, Plan&) { machine.descriptors = 42; },
     FarEnd::kHere,
     "descriptors",
     Gravity::kFatal,
     {"24 rings of 42", "RLIMIT_NOFILE is 42", "ulimit -n 20000", "--count 420 would do"}},
    {"no descriptor for a single ring",
     [](Machine& machine, Plan&) { machine.descriptors = 32; },
     FarEnd::kHere,
     "descriptors",
     Gravity::kFatal,
     {"ulimit -n 20000", "no count would do"}},
    {"too few files for both ends",
     [](Machine& machine, Plan&) { machine.files_max = 2500; },
     FarEnd::kHere,
     "files of the machine",
     Gravity::kFatal,
     {"2,700 open files", "fs.file-max is 2,500", "sysctl -w fs.file-max=2970",
      "--count 900 would do"}},
    {"enough of them for one end",
     [](Machine& machine, Plan&) { machine.files_max = 2500; },
     FarEnd::kElsewhere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"root is exempt, the server may not be",
     [](Machine& machine, Plan&) {
       machine.files_max = 2500;
       machine.above_files_max = true;
     },
     FarEnd::kHere,
     "files of the machine",
     Gravity::kWarning,
     {"a server without root"}},
    {"talkers put pressure on all",
     [](Machine& machine, Plan& plan) {
       plan.mix = {{.profile = Profile::kNeverReads}};
       machine.tcp_pages_pressure = 900;
     },
     FarEnd::kHere,
     "TCP memory",
     Gravity::kWarning,
     {"net.ipv4.tcp_mem", "900 pages"}},
    {"more talkers than pages",
     [](Machine& machine, Plan& plan) {
       plan.mix = {{.profile = Profile::kEarly}};
       machine.tcp_pages_pressure = 500;
       machine.tcp_pages_max = 800;
     },
     FarEnd::kHere,
     "TCP memory",
     Gravity::kFatal,
     {"sysctl -w net.ipv4.tcp_mem=\"1000 1500 1500\"", "--count 800 would do"}},
    {"half of them talk",
     [](Machine& machine, Plan& plan) {
       plan.mix = {{.profile = Profile::kZombie}, {.profile = Profile::kDrip}};
       machine.tcp_pages_pressure = 500;
       machine.tcp_pages_max = 800;
     },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"a burst beyond the accept queue",
     [](Machine& machine, Plan&) { machine.somaxconn = 128; },
     FarEnd::kHere,
     "accept queue",
     Gravity::kWarning,
     {"1,000 clients come at once", "net.core.somaxconn is 128",
      "sysctl -w net.core.somaxconn=1000"}},
    {"the queue of another machine is not known",
     [](Machine& machine, Plan&) { machine.somaxconn = 128; },
     FarEnd::kElsewhere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"an even stream is no burst",
     [](Machine& machine, Plan& plan) {
       machine.somaxconn = 128;
       plan.schedule = {.arrivals = Arrivals::kOpen, .rate = 100};
     },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"its storms are",
     [](Machine& machine, Plan& plan) {
       machine.somaxconn = 128;
       plan.schedule = {.arrivals = Arrivals::kOpen,
                        .rate = 100,
                        .storm_rate = 500,
                        .storm_every = milliseconds(1000),
                        .storm_for = milliseconds(10)};
     },
     FarEnd::kHere,
     "accept queue",
     Gravity::kWarning,
     {"500 clients come in a second"}},
    {"more may close than the kernel keeps",
     [](Machine& machine, Plan&) { machine.orphans_max = 512; },
     FarEnd::kHere,
     "closing sockets",
     Gravity::kWarning,
     {"net.ipv4.tcp_max_orphans is 512", "sysctl -w net.ipv4.tcp_max_orphans=1000"}},
    {"who resets leaves none",
     [](Machine& machine, Plan& plan) {
       machine.orphans_max = 512;
       plan.mix = {{.profile = Profile::kReset}};
     },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
    {"more than can have their turn",
     [](Machine&, Plan& plan) {
       plan.count = 10'000;
       plan.parallel = 1000;
     },
     FarEnd::kHere,
     "duration",
     Gravity::kWarning,
     {"about 7,000 have their turn", "--parallel 1429"}},
    {"as many as have their turn",
     [](Machine&, Plan& plan) {
       plan.count = 7000;
       plan.parallel = 1000;
     },
     FarEnd::kHere,
     nullptr,
     Gravity::kWarning,
     {}},
};

TEST(Preflight, NamesTheLimitAndWhatWouldDo) {
  for (const Row& row : kRows) {
    Machine machine = usual_machine();
    Plan plan = zombies(1000);
    row.change(machine, plan);
    const Preflight got = check_machine(machine, plan, row.far_end);
    if (row.limit == nullptr) {
      EXPECT_TRUE(got.findings.empty()) << row.what << ": " << got.findings[0].line();
      continue;
    }
    const Finding* finding = find(got, row.limit);
    ASSERT_NE(finding, nullptr) << row.what;
    EXPECT_EQ(finding->gravity, row.gravity) << row.what;
    EXPECT_EQ(got.can_start(), row.gravity == Gravity::kWarning) << row.what;
    for (const char* words : row.words) {
      EXPECT_NE(finding->line().find(words), std::string::npos)
          << row.what << ": " << words << " in: " << finding->line();
    }
  }
}

TEST(Preflight, AdvisesTheOptionThatBinds) {
  Machine machine = usual_machine();
  machine.memory_available = 4'000'000;
  Plan plan = zombies(1000);
  plan.count = 50'000;
  const Preflight got = check_machine(machine, plan, FarEnd::kHere);
  EXPECT_NE(find(got, "memory")->line().find("--parallel 400 would do"), std::string::npos);
}

TEST(Preflight, TellsFatalFindingsFirst) {
  Machine machine = usual_machine();
  machine.somaxconn = 1;
  machine.memory_available = 1;
  const Preflight got = check_machine(machine, zombies(1000), FarEnd::kHere);
  ASSERT_GE(got.findings.size(), 2U);
  EXPECT_EQ(got.findings.front().gravity, Gravity::kFatal);
  EXPECT_EQ(got.findings.back().gravity, Gravity::kWarning);
}

TEST(Preflight, CountsWithTheWidestNetworks) {
  Plan plan = zombies(1000);
  plan.targets = {*Network::parse("2001:db8::/32")};
  plan.sources = {*Network::parse("2001:db8::/32"), *Network::parse("2001:db9::/32")};
  EXPECT_TRUE(check_machine(usual_machine(), plan, FarEnd::kHere).can_start());
}

TEST(Machine, OfThisTestCanBeRead) {
  const Machine machine = read_machine();
  EXPECT_GT(machine.descriptors, 0U);
  EXPECT_GT(machine.memory_available, 0U);
  EXPECT_GT(machine.ports, 0U);
  EXPECT_FALSE(machine.cores.empty());
}

}  // namespace
}  // namespace lychgate::flood
