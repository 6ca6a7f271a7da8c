// Reports about the DNS lists as a whole: the table, the JSON, and what a round of probes proved.

#include "core/daemon/lists_report.h"

#include <gtest/gtest.h>

#include "core/daemon/text_table.h"

namespace lychgate::daemon {
namespace {

constexpr const char* kKey = "key5e0f1a";

// Three lists of a gate of two shards: one up and asked, one disabled, one not yet proven.
struct World {
  World() {
    for (const char* name : {"bl.example.net", "$k.paid.example.net", "slow.example.net"}) {
      config::List& list = lists.emplace_back();
      list.name = name;
      list.test4 = {IpAddress::parse("127.0.0.2"), IpAddress::parse("127.0.0.1")};
      list.zone = *Secret::create();
      list.zone.append(kKey);
    }
    lists[0].daily_budget = 100000;
    set(0, ListState::kUp, ListFault::kNone, 1767225600);
    set(1, ListState::kDisabled, ListFault::kErrorCodes, 1767225725);
    shared.boards[0].day_base.store(5);
    ListCounters& first = shards[0].lists[0];
    ListCounters& second = shards[1].lists[0];
    ListCounters::add(first.queries, 90);
    ListCounters::add(second.queries, 20);
    ListCounters::add(first.answered, 100);
    ListCounters::add(first.listed, 7);
    ListCounters::add(first.errors, 1);
    ListCounters::add(second.failed, 2);
    ListCounters::add(second.timeouts, 3);
    for (int i = 0; i < 90; ++i) first.took(3);
    for (int i = 0; i < 10; ++i) second.took(9000);
  }
  void set(size_t list, ListState state, ListFault fault, int64_t since) {
    shared.boards[list].state.store(static_cast<uint8_t>(state));
    shared.boards[list].fault.store(static_cast<uint8_t>(fault));
    shared.boards[list].since.store(since);
  }
  ListsReportParts parts() const {
    return {.lists = lists, .cells = cells, .shared = shared, .counters = shards};
  }

  std::vector<config::List> lists;
  Cells cells;
  SharedLists shared;
  std::vector<ShardCounters> shards{2};
};

TEST(ListsReport, TableForPeople) {
  const World world;
  EXPECT_EQ(
      lists_text(world.parts()),
      "list                 state     since                 queries  answered  listed  errors  "
      "failed  timeouts  p50 ms  p99 ms  today  budget\n"
      "bl.example.net       up        2026-01-01T00:00:00Z      110       100       7       1  "
      "     2         3      <4  >=4096    105  100000\n"
      "$k.paid.example.net  disabled  2026-01-01T00:02:05Z        0         0       0       0  "
      "     0         0       -       -      0       -\n"
      "    answers with an error code: the resolver is not welcome there, or the zone name is "
      "wrong\n"
      "slow.example.net     unproven  -                           0         0       0       0  "
      "     0         0       -       -      0       -\n");
}

TEST(ListsReport, JsonForPrograms) {
  const World world;
  EXPECT_EQ(
      lists_json(world.parts()),
      "{\"version\":\"" LYCHGATE_VERSION
      "\",\"lists\":["
      "{\"list\":\"bl.example.net\",\"state\":\"up\",\"why\":null,\"since\":1767225600,"
      "\"queries\":110,\"answered\":100,\"listed\":7,\"errors\":1,\"failed\":2,\"timeouts\":3,"
      "\"p50_ms\":4,\"p99_ms\":8192,\"queries_today\":105,\"daily_budget\":100000},"
      "{\"list\":\"$k.paid.example.net\",\"state\":\"disabled\",\"why\":\"answers with an error "
      "code: the resolver is not welcome there, or the zone name is wrong\",\"since\":1767225725,"
      "\"queries\":0,\"answered\":0,\"listed\":0,\"errors\":0,\"failed\":0,\"timeouts\":0,"
      "\"p50_ms\":null,\"p99_ms\":null,\"queries_today\":0,\"daily_budget\":null},"
      "{\"list\":\"slow.example.net\",\"state\":\"unproven\",\"why\":null,\"since\":0,"
      "\"queries\":0,\"answered\":0,\"listed\":0,\"errors\":0,\"failed\":0,\"timeouts\":0,"
      "\"p50_ms\":null,\"p99_ms\":null,\"queries_today\":0,\"daily_budget\":null}]}\n");
}

TEST(ListsReport, SaysThatNothingIsConfigured) {
  const World world;
  const ListsReportParts none{
      .lists = {}, .cells = world.cells, .shared = world.shared, .counters = world.shards};
  EXPECT_EQ(lists_text(none), "no DNS lists are configured (dnsl.sites)\n");
  EXPECT_EQ(lists_json(none), "{\"version\":\"" LYCHGATE_VERSION "\",\"lists\":[]}\n");
}

TEST(ListsReport, ProofNamesWhatIsWrongAndWhatToDo) {
  World world;
  const Proof proof = proof_of(world.lists, world.cells, world.shared);
  EXPECT_FALSE(proof.good);
  EXPECT_EQ(
      proof.text,
      "list                 test points\n"
      "bl.example.net       OK\n"
      "$k.paid.example.net  answers with an error code: the resolver is not welcome there, or "
      "the zone name is wrong\n"
      "    ask through a resolver of your own, not a public one (dns.servers), and check the "
      "key and the zone's name\n"
      "slow.example.net     does not answer\n"
      "    check that the list is still there; if every list is like this, that the DNS "
      "server answers (dns.servers, port 53)\n");
  world.lists.resize(2);
  world.lists[1].test4 = {};
  world.set(1, ListState::kUp, ListFault::kNone, 1);
  const Proof better = proof_of(world.lists, world.cells, world.shared);
  EXPECT_TRUE(better.good);
  EXPECT_NE(better.text.find("$k.paid.example.net  none: not tested\n"), std::string::npos);
}

TEST(ListsReport, EveryFaultHasARemedy) {
  for (size_t fault = 1; fault < kListFaultCount; ++fault) {
    World world;
    world.set(1, ListState::kDisabled, static_cast<ListFault>(fault), 1);
    const std::string text = proof_of(world.lists, world.cells, world.shared).text;
    EXPECT_NE(text.find(std::string(kListFaultWords[fault]) + "\n    "), std::string::npos) << text;
  }
}

TEST(ListsReport, NeverShowsAKey) {
  const World world;
  EXPECT_EQ(lists_text(world.parts()).find(kKey), std::string::npos);
  EXPECT_EQ(lists_json(world.parts()).find(kKey), std::string::npos);
  EXPECT_EQ(proof_of(world.lists, world.cells, world.shared).text.find(kKey), std::string::npos);
}

TEST(TextTable, AlignsColumnsAndLeavesNoSpacesBehind) {
  EXPECT_EQ(text_table("lrl", {{{"a", "b", "c"}, ""},
                               {{"long", "7", ""}, "a note"},
                               {{"x", "1234"}, ""},
                               {{"y", "", "z"}, ""}}),
            "a        b  c\n"
            "long     7\n"
            "    a note\n"
            "x     1234\n"
            "y           z\n");
}

}  // namespace
}  // namespace lychgate::daemon
