// What is counted keeps its cell as long as it has its name, through any row of configurations.

#include "core/daemon/cell_book.h"

#include <deque>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

using Names = std::vector<std::string>;

// A configuration of pools with one backend each, and of lists.
struct Generation {
  Generation(const Names& pool_names, const Names& list_names) {
    for (const std::string& name : pool_names) add_pool(name, {"tcp:192.0.2.1:25"});
    for (const std::string& name : list_names) lists.emplace_back().name = name;
  }
  void add_pool(const std::string& name, const Names& backends) {
    config::Pool& pool = config.pools.emplace_back();
    pool.name = name;
    for (const std::string& text : backends) pool.backends.emplace_back().text = text;
  }
  Counted counted() const { return {config, lists}; }

  config::Config config;
  std::vector<config::List> lists;
};

// A gate that takes up one generation after the other.
struct Gate {
  // nullopt: refused, and nothing has changed.
  std::optional<CellPlan> reload(Generation next) {
    std::vector<Counted> counted;
    for (const Generation& one : running) counted.push_back(one.counted());
    auto plan = book.assign(next.counted(), counted);
    if (!plan) {
      error = plan.error();
      return std::nullopt;
    }
    next.config.cells = plan->cells;
    running.push_back(std::move(next));
    book = plan->book;
    return std::move(*plan);
  }
  void first_has_gone() { running.pop_front(); }

  CellBook book;
  std::deque<Generation> running;
  Error error;
};

Names numbered(const char* stem, uint32_t count) {
  Names out;
  for (uint32_t i = 0; i < count; ++i) out.push_back(fmt::format("{}{}", stem, i));
  return out;
}

Names cells_of(const Names& names, std::span<const uint8_t> cells) {
  Names out;
  for (size_t i = 0; i < names.size(); ++i) out.push_back(fmt::format("{}={}", names[i], cells[i]));
  return out;
}

std::string text_of(std::span<const uint8_t> cells) {
  return fmt::format("{}", fmt::join(cells, ","));
}

struct Step {
  Names names;          // of the pools, and of the lists
  bool first_has_gone;  // before
  std::string cells;    // "name=cell name=cell"
  std::string emptied;  // "cell,cell"
};
struct Story {
  const char* sentence;
  std::vector<Step> steps;
};

TEST(CellBook, PoolsAndListsFollowTheSameRule) {
  const Story stories[] = {
      {"the first configuration is counted one for one",
       {{{"a", "b", "c"}, false, "a=0 b=1 c=2", ""}}},
      {"another order changes nothing",
       {{{"a", "b", "c"}, false, "a=0 b=1 c=2", ""}, {{"c", "a", "b"}, false, "c=2 a=0 b=1", ""}}},
      {"a new name has a cell that nobody had, though another one is free",
       {{{"a", "b"}, false, "a=0 b=1", ""},
        {{"b"}, false, "b=1", ""},
        {{"b", "x"}, true, "b=1 x=2", ""}}},
      {"who comes back has the cell it had",
       {{{"a", "b"}, false, "a=0 b=1", ""},
        {{"b"}, false, "b=1", ""},
        {{"b", "a"}, true, "b=1 a=0", ""}}},
      {"a name that comes twice has two cells, and keeps them",
       {{{"a", "a", "b"}, false, "a=0 a=1 b=2", ""}, {{"b", "a", "a"}, false, "b=2 a=0 a=1", ""}}},
  };
  for (const Story& story : stories) {
    Gate gate;
    for (const Step& step : story.steps) {
      if (step.first_has_gone) gate.first_has_gone();
      const auto plan = gate.reload({step.names, step.names});
      ASSERT_TRUE(plan) << story.sentence;
      for (const std::span<const uint8_t> cells : {std::span<const uint8_t>(plan->cells.pools),
                                                   std::span<const uint8_t>(plan->cells.lists)}) {
        EXPECT_EQ(fmt::format("{}", fmt::join(cells_of(step.names, cells), " ")), step.cells)
            << story.sentence;
      }
      EXPECT_EQ(text_of(plan->emptied.pools), step.emptied) << story.sentence;
      EXPECT_EQ(text_of(plan->emptied.lists), step.emptied) << story.sentence;
    }
  }
}

TEST(CellBook, WhenAllCellsHaveBeenGivenThoseOfTheGoneAreEmptied) {
  Gate gate;
  ASSERT_TRUE(gate.reload({numbered("old", kPoolsMax), numbered("old", kListsMax)}));
  Names kept = numbered("old", kPoolsMax - 1);
  ASSERT_TRUE(gate.reload({kept, kept}));
  kept.push_back("new");
  EXPECT_FALSE(gate.reload({kept, kept})) << "the first generation still counts in that cell";
  EXPECT_EQ(gate.error.code, ExitCode::kUnavailable);
  EXPECT_EQ(gate.error.text.substr(0, 57),
            "there is no room to count pool \"new\": 32 of at most 32 st");
  gate.first_has_gone();
  const auto plan = gate.reload({kept, kept});
  ASSERT_TRUE(plan) << gate.error.text;
  EXPECT_EQ(text_of(plan->emptied.pools), "31");
  EXPECT_EQ(text_of(plan->emptied.lists), "31");
  EXPECT_EQ(plan->cells.pools[kPoolsMax - 1], 31);
}

TEST(CellBook, BackendsHaveCellsWithinTheCellOfTheirPool) {
  Gate gate;
  Generation first({}, {});
  first.add_pool("x", {"tcp:192.0.2.1:25", "tcp:192.0.2.2:25"});
  first.add_pool("y", {"tcp:192.0.2.2:25"});
  ASSERT_TRUE(gate.reload(std::move(first)));
  Generation second({}, {});
  second.add_pool("y", {"tcp:192.0.2.3:25", "tcp:192.0.2.2:25"});
  second.add_pool("x", {"tcp:192.0.2.2:25", "tcp:192.0.2.4:25"});
  const auto plan = gate.reload(std::move(second));
  ASSERT_TRUE(plan);
  const auto& cells = plan->cells.backends;
  EXPECT_EQ(text_of(std::span(cells[0]).first(2)), "1,0") << "y";
  EXPECT_EQ(text_of(std::span(cells[1]).first(2)), "1,2") << "x";
  EXPECT_TRUE(plan->emptied.backends.empty());
}

TEST(CellBook, ABackendThatFindsNoCellIsNamedWithItsPool) {
  Gate gate;
  Generation first({}, {});
  first.add_pool("x", numbered("tcp:192.0.2.1:", kBackendsPerPoolMax));
  ASSERT_TRUE(gate.reload(std::move(first)));
  const auto other = [] {
    Generation out({}, {});
    out.add_pool("x", {"tcp:192.0.2.1:5", "unix:/other"});
    return out;
  };
  const CellBook before = gate.book;
  EXPECT_FALSE(gate.reload(other()));
  EXPECT_NE(gate.error.text.find("pool x, backend \"unix:/other\": 64 of"), std::string::npos)
      << gate.error.text;
  EXPECT_EQ(gate.book, before);
  gate.first_has_gone();
  const auto plan = gate.reload(other());
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->emptied.backends.size(), 1u);
  EXPECT_EQ(plan->emptied.backends[0].backend, 0) << "the first that is free";
  EXPECT_EQ(text_of(std::span(plan->cells.backends[0]).first(2)), "5,0");
}

TEST(CellBook, APoolsNewNameTakesNoBackendsOver) {
  Gate gate;
  ASSERT_TRUE(gate.reload({numbered("old", kPoolsMax), {}}));
  ASSERT_TRUE(gate.reload({{"old1"}, {}}));
  gate.first_has_gone();
  Generation next({}, {});
  next.add_pool("new", {"unix:/a", "tcp:192.0.2.1:25"});
  const auto plan = gate.reload(std::move(next));
  ASSERT_TRUE(plan);
  EXPECT_EQ(text_of(plan->emptied.pools), "0");
  EXPECT_TRUE(plan->emptied.backends.empty()) << "the whole pool is";
  EXPECT_EQ(text_of(std::span(plan->cells.backends[0]).first(2)), "0,1");
}

TEST(CellBook, ItsTextMakesTheSameBook) {
  Gate gate;
  EXPECT_EQ(gate.book.text(), "");
  Generation one({"a", "b"}, {"$key.zen.example", "bl.example"});
  one.add_pool("odd", {"unix:/with space", "unix:/50% \n\x7f off"});
  ASSERT_TRUE(gate.reload(std::move(one)));
  const std::string text = gate.book.text();
  EXPECT_NE(text.find("backend 2 1 unix:/50%25 %0a%7f off\n"), std::string::npos) << text;
  const auto read = CellBook::read(text);
  ASSERT_TRUE(read) << read.error().text;
  EXPECT_EQ(*read, gate.book);
  ASSERT_TRUE(CellBook::read(""));
  EXPECT_EQ(*CellBook::read(""), CellBook());
}

TEST(CellBook, RefusesWhatItHasNotWritten) {
  const struct {
    const char* sentence;
    std::string text;
  } rows[] = {
      {"no end of line", "pool 0 a"},
      {"an empty line", "\n"},
      {"an unknown word", "pond 0 a\n"},
      {"no name", "pool 0 \n"},
      {"no number", "pool a\n"},
      {"a negative number", "pool -1 a\n"},
      {"a cell beyond the last", "pool 32 a\n"},
      {"a number without end", "list 99999999999999999999999 a\n"},
      {"a list beyond the last", "list 32 a\n"},
      {"a cell given twice", "pool 0 a\npool 0 b\n"},
      {"a backend of no pool", "backend 0 0 a\n"},
      {"a backend beyond the last", "pool 0 a\nbackend 0 64 a\n"},
      {"a pool beyond the last", "backend 32 0 a\n"},
      {"half an escape", "pool 0 a%2\n"},
      {"no escape", "pool 0 a%zzb\n"},
      {"a name without end", "pool 0 " + std::string(5000, 'a') + "\n"},
      {"bytes", std::string("\xff\x00\x80\n", 4)},
  };
  for (const auto& row : rows) {
    const auto book = CellBook::read(row.text);
    ASSERT_FALSE(book) << row.sentence;
    EXPECT_EQ(book.error().code, ExitCode::kSoftware) << row.sentence;
  }
}

TEST(CellBook, EmptyingLeavesOnlyTheOthersCounts) {
  auto counters = SharedCounters::create(2);
  ASSERT_TRUE(counters);
  for (ShardCounters& block : counters->shards()) {
    for (uint32_t cell = 0; cell < 2; ++cell) {
      block.add_outcome(cell, HandoffOutcome::kTaken);
      block.pool_open[cell].store(1);
      block.lists[cell].took(5);
      ListCounters::add(block.lists[cell].queries, 7);
      for (uint32_t backend = 0; backend < 2; ++backend) {
        block.backend_open[cell][backend].store(1);
        block.backend_use[cell][backend].store(static_cast<uint8_t>(BackendUse::kDown));
      }
    }
  }
  for (uint32_t cell = 0; cell < 2; ++cell) {
    ListBoard& board = counters->lists().boards[cell];
    board.state.store(static_cast<uint8_t>(ListState::kUp));
    board.since.store(5);
    board.day_base.store(3);
  }
  empty_cells({.pools = {1}, .backends = {{0, 1}}, .lists = {1}}, *counters);
  for (const ShardCounters& block : counters->shards()) {
    const auto taken = static_cast<size_t>(HandoffOutcome::kTaken);
    EXPECT_EQ(block.outcomes[0][taken].load(), 1u);
    EXPECT_EQ(block.outcomes[1][taken].load(), 0u);
    EXPECT_EQ(block.pool_open[1].load(), 0u);
    EXPECT_EQ(block.use_of(0, 0), BackendUse::kDown);
    EXPECT_EQ(block.use_of(0, 1), BackendUse::kUp);
    EXPECT_EQ(block.use_of(1, 0), BackendUse::kUp);
    EXPECT_EQ(block.backend_open[0][0].load(), 1u);
    EXPECT_EQ(block.backend_open[1][1].load(), 0u);
    EXPECT_EQ(block.lists[0].queries.load(), 7u);
    EXPECT_EQ(block.lists[1].queries.load(), 0u);
    EXPECT_EQ(block.lists[1].latency_ms.load(), 0u);
  }
  const ListBoard& emptied = counters->lists().boards[1];
  EXPECT_EQ(emptied.state.load(), static_cast<uint8_t>(ListState::kUnproven));
  EXPECT_EQ(emptied.epoch.load(), 1u) << "what the list before has answered is not believed";
  EXPECT_EQ(emptied.since.load(), 0);
  EXPECT_EQ(emptied.day_base.load(), 0u);
  EXPECT_EQ(counters->lists().boards[0].since.load(), 5);
  EXPECT_EQ(counters->lists().version.load(), 1u) << "shards look";
}

}  // namespace
}  // namespace lychgate::daemon
