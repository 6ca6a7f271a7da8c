// The blocks that clients in dialogue borrow, and the longer ones for their lines.

#include "core/daemon/dialogues.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

TEST(Dialogues, AreLentUntilThereAreNoMore) {
  Dialogues dialogues(2);
  const auto first = dialogues.lend();
  const auto second = dialogues.lend();
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(dialogues.lend());
  dialogues[*first].said.commands = 7;
  dialogues.give_back(*first);
  const auto again = dialogues.lend();
  ASSERT_EQ(again, first);
  EXPECT_EQ(dialogues[*again].said.commands, 0) << "nothing of the client before is left";
  EXPECT_EQ(dialogues.lent(), 2U);
}

TEST(Dialogues, ALineMayOutgrowItsBlock) {
  Dialogues dialogues(1);
  Dialogue& dialogue = dialogues[*dialogues.lend()];
  const std::string first(200, 'a');
  const std::string rest = std::string(1500, 'b') + "\r\n";
  dialogue.reader.read(first);
  ASSERT_TRUE(dialogues.lengthen(dialogue));
  EXPECT_FALSE(dialogues.lengthen(dialogue)) << "it has one";
  const smtp::ReadLine line = dialogue.reader.read(rest);
  EXPECT_EQ(line.text, first + std::string(1500, 'b'));
  ASSERT_TRUE(dialogues.keep(dialogue, line.text)) << "where it lies already";
  EXPECT_EQ(dialogues.kept(dialogue), first + std::string(1500, 'b'));
  dialogues.shorten(dialogue);
  EXPECT_EQ(dialogues.kept(dialogue), "");
  EXPECT_EQ(dialogue.reader.read(std::string_view("NOOP\r\n")).text, "NOOP");
}

TEST(Dialogues, ShortCommandsAreKeptInTheBlockAndLongOnesInALongerOne) {
  Dialogues dialogues(1);
  Dialogue& dialogue = dialogues[*dialogues.lend()];
  ASSERT_TRUE(dialogues.keep(dialogue, "MAIL FROM:<a@b>"));
  EXPECT_EQ(dialogue.long_line, kNoSlot);
  EXPECT_EQ(dialogues.kept(dialogue), "MAIL FROM:<a@b>");
  const std::string longer = "AUTH PLAIN " + std::string(600, 'x');
  ASSERT_TRUE(dialogues.keep(dialogue, longer));
  EXPECT_NE(dialogue.long_line, kNoSlot);
  EXPECT_EQ(dialogues.kept(dialogue), longer);
}

TEST(Dialogues, TheLongerBlocksAreBounded) {
  Dialogues dialogues(kLongLinesMax + 1);
  std::vector<uint32_t> blocks;
  for (uint32_t i = 0; i < kLongLinesMax; ++i) {
    blocks.push_back(*dialogues.lend());
    ASSERT_TRUE(dialogues.lengthen(dialogues[blocks.back()]));
  }
  Dialogue& late = dialogues[*dialogues.lend()];
  EXPECT_FALSE(dialogues.lengthen(late));
  EXPECT_FALSE(dialogues.keep(late, std::string(600, 'x')));
  EXPECT_TRUE(dialogues.keep(late, "NOOP"));
  dialogues.give_back(blocks.back());
  EXPECT_TRUE(dialogues.lengthen(late)) << "what goes back with its client is free again";
}

}  // namespace
}  // namespace lychgate::daemon
