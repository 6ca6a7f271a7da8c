// The state that one program leaves the next: what is written is read, what is damaged is refused.

#include "core/daemon/gate_state.h"

#include <string>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

GateState some_state() {
  GateState state;
  state.generation = 7;
  state.set = 1;
  state.shards = 2;
  state.steward_asks = true;
  state.drain = 5000;
  state.waits = 11000;
  state.control_path = "/run/lychgate/control.sock";
  state.start_uid = 1000;
  state.log_target = 3;
  state.log_fd = 24;
  state.log_ident = "lychgate/gate";
  state.steward_fd = 9;
  state.counters_fd = 4;
  state.deferred_before = 12345678901;
  state.cells = "pool 0 a\nlist 3 zen.example\n";
  state.listeners = {{.configured = *Endpoint::parse("0.0.0.0:0"),
                      .address = *Endpoint::parse("0.0.0.0:2525"),
                      .members = {5, 6},
                      .fresh = false},
                     {.configured = *Endpoint::parse("[::1]:25"),
                      .address = *Endpoint::parse("[::1]:25"),
                      .members = {7, 7},
                      .fresh = false}};
  state.lines = {{10, 11}, {12, 13}, {14, 15}, {16, 17}};
  state.feeds = {{18, 19}, {20, 21}};
  state.shard_children = {{1001, 22}, {-1, -1}};
  state.steward = {1003, 23};
  return state;
}

TEST(GateState, IsReadAsItWasWritten) {
  const GateState before = some_state();
  const auto after = GateState::parse(before.text());
  ASSERT_TRUE(after) << after.error().text;
  EXPECT_EQ(after->text(), before.text());
  EXPECT_EQ(after->cells, before.cells);
  EXPECT_EQ(after->listeners[0].address, before.listeners[0].address);
  EXPECT_EQ(after->shard_children[1].pid, -1) << "a dead one is told of, too";
  EXPECT_EQ(after->descriptors().size(), 21U) << "all that are open";
}

TEST(GateState, IsRefusedWhenItIsNotWhole) {
  const std::string text = some_state().text();
  struct Case {
    const char* why;
    const char* from;
    const char* to;
  };
  for (const Case& one : {
           Case{"another version", "version 1", "version 2"},
           Case{"no version", "version 1", "x 1"},
           Case{"no such set", "set 1", "set 9"},
           Case{"too many shards", "shards 2", "shards 65"},
           Case{"no shards", "shards 2", "shards 0"},
           Case{"no number", "drain 5000", "drain soon"},
           Case{"a number and more", "drain 5000", "drain 5000 x"},
           Case{"twice", "drain 5000", "drain 5000\ndrain 1"},
           Case{"no address", "[::1]:25", "somewhere"},
           Case{"a member is missing", " 5 6\n", " 5\n"},
           Case{"a line is missing", "line 16 17\n", ""},
           Case{"half a line", "line 16 17", "line 16"},
           Case{"a shard is missing", "shard 1001 22\n", ""},
       }) {
    std::string broken = text;
    const size_t at = broken.find(one.from);
    ASSERT_NE(at, std::string::npos) << one.why;
    broken.replace(at, std::string(one.from).size(), one.to);
    EXPECT_FALSE(GateState::parse(broken)) << one.why;
  }
  for (size_t size = 0; size < text.size(); size += 7) {
    (void)GateState::parse(text.substr(0, size));
  }
}

}  // namespace
}  // namespace lychgate::daemon
