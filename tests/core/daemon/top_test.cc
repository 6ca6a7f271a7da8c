// Figures to lines and back, and the screen that is drawn of them.

#include "core/daemon/top.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

Figures some_figures() {
  Figures figures;
  figures.version = "1.2.3";
  figures.shards = 2;
  figures.held = 40;
  figures.room = 35000;
  figures.level = 2;
  figures.phases[static_cast<size_t>(Phase::kSilentWait)] = 40;
  figures.counters[static_cast<size_t>(Counter::kAccepted)] = 1000;
  figures.pools.push_back({.name = "friendly",
                           .open = 3,
                           .backends_up = 1,
                           .backends = 2,
                           .outcomes = {10, 1, 2, 3, 4, 5}});
  figures.lists.push_back({.name = "list.example",
                           .state = "up",
                           .queries = 500,
                           .listed = 6,
                           .errors = 7,
                           .p50_ms = 2,
                           .p99_ms = 64});
  return figures;
}

std::string text_of(const std::vector<TopLine>& lines) {
  std::string out;
  for (const TopLine& line : lines) out += line.text + '\n';
  return out;
}

TEST(Figures, ComeBackAsTheyWere) {
  const Figures figures = some_figures();
  const auto back = read_figures(write_figures(figures));
  ASSERT_TRUE(back);
  EXPECT_EQ(write_figures(*back), write_figures(figures));
  EXPECT_EQ(back->level, 2U);
  EXPECT_EQ(back->get(Counter::kAccepted), 1000U);
  EXPECT_EQ(back->pools[0].outcomes[5], 5U);
}

TEST(Figures, OtherTextIsRefusedAndUnknownLinesArePassedOver) {
  EXPECT_FALSE(read_figures(""));
  EXPECT_FALSE(read_figures("error 64: unknown request\n"));
  const auto newer = read_figures("version 9\nweather fine\ncounter of_the_future 5\nheld 3");
  ASSERT_TRUE(newer);
  EXPECT_EQ(newer->held, 3U);
}

TEST(Top, ShowsRatesPhasesPoolsAndLists) {
  TopView view{.before = some_figures(), .now = some_figures(), .seconds = 2, .trouble = ""};
  view.now.counters[static_cast<size_t>(Counter::kAccepted)] += 50;
  view.now.pools[0].outcomes[0] += 7;
  view.now.lists[0].queries += 30;
  const std::string text = text_of(draw_top(view, {.columns = 100, .rows = 50}));
  for (const char* words :
       {"lychgate 1.2.3   2 shards   40 clients of 35000 at most   overload: stress   q: quit",
        "accepted                 25.0       1050", "silent_wait        40  ############",
        "friendly  1/2     3      3.5     17", "list.example  up          15.0      530"}) {
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  }
}

TEST(Top, SaysNothingOfALevelThatIsNoneOrUnknown) {
  for (const uint64_t level : {uint64_t{0}, uint64_t{7}}) {
    TopView view;
    view.now = some_figures();
    view.now.level = level;
    EXPECT_EQ(text_of(draw_top(view, {})).find("overload"), std::string::npos) << level;
  }
}

TEST(Top, FitsAnyScreen) {
  const TopView view{
      .before = some_figures(), .now = some_figures(), .seconds = 1, .trouble = "trouble"};
  for (const size_t columns : {size_t{1}, size_t{20}, size_t{75}, size_t{76}, size_t{200}}) {
    for (const size_t rows : {size_t{1}, size_t{5}, size_t{24}, size_t{100}}) {
      const auto lines = draw_top(view, {.columns = columns, .rows = rows});
      EXPECT_LE(lines.size(), rows);
      for (const TopLine& line : lines) EXPECT_LE(line.text.size(), columns);
    }
  }
}

TEST(Top, SaysWhatIsWrongAndDrawsWhatItLastKnew) {
  TopView view;
  view.trouble = "cannot reach the gate";
  EXPECT_EQ(text_of(draw_top(view, {})), "cannot reach the gate\n") << "never reached";
  view.now = view.before = some_figures();
  const std::string text = text_of(draw_top(view, {}));
  EXPECT_NE(text.find("cannot reach the gate"), std::string::npos);
  EXPECT_NE(text.find("friendly"), std::string::npos);
}

TEST(Top, ACounterThatWentBackHasNoRate) {
  TopView view{.before = some_figures(), .now = some_figures(), .seconds = 1, .trouble = ""};
  view.now.counters[static_cast<size_t>(Counter::kAccepted)] = 5;
  const std::string text = text_of(draw_top(view, {.columns = 100, .rows = 50}));
  EXPECT_NE(text.find("accepted                    -          5"), std::string::npos) << text;
}

}  // namespace
}  // namespace lychgate::daemon
