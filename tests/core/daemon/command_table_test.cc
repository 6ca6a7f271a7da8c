// The table of commands and what follows from it: completion for three shells and the requests that
// the gate understands.

#include "core/daemon/command_table.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "core/daemon/commands_control.h"
#include "core/daemon/completion.h"
#include "core/daemon/control_request.h"

namespace lychgate::daemon {
namespace {

TEST(CommandTable, IsInFormForHelpAndCompletion) {
  std::set<std::string_view> names;
  const auto is_plain = [](std::string_view sentence) {
    return !sentence.empty() && sentence.find_first_of("'\"`$\\\n") == std::string_view::npos;
  };
  for (const CommandRow& command : command_rows()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_TRUE(is_plain(command.sentence)) << command.name;
    for (const OptionRow& option : command.options) {
      EXPECT_TRUE(option.name.starts_with("--")) << option.name;
      EXPECT_TRUE(is_plain(option.sentence)) << option.name;
      EXPECT_EQ(option.argument.empty(), option.kind == WordKind::kFlag) << option.name;
    }
    for (const ArgumentRow& argument : command.arguments) {
      EXPECT_TRUE(is_plain(argument.sentence)) << argument.name;
    }
  }
}

TEST(Completion, NamesEveryCommandAndOption) {
  const std::string texts[] = {bash_completion(), zsh_completion(), fish_completion()};
  for (const std::string& text : texts) {
    for (const CommandRow& command : command_rows()) {
      EXPECT_NE(text.find(command.name), std::string::npos) << command.name;
      for (const OptionRow& option : command.options) {
        EXPECT_NE(text.find(option.name.substr(2)), std::string::npos) << option.name;
      }
    }
    for (const char* word : {"silent_wait", "drain", "fish"}) {
      EXPECT_NE(text.find(word), std::string::npos) << word;
    }
  }
}

// What the command line can say, the control socket must understand.
TEST(Requests, AreUnderstoodByTheGate) {
  struct Row {
    CommandId command;
    CommandWords words;
    const char* want;
  };
  const Row rows[] = {
      {CommandId::kStatus, {}, "status"},
      {CommandId::kLists, {{{"--json", "--json"}}}, "lists json"},
      {CommandId::kSessions,
       {{{"--state", "relay"},
         {"--address", "192.0.2.1"},
         {"--age", "5m"},
         {"--id", "0:1:2"},
         {"--limit", "3"},
         {"--kill", "--kill"},
         {"--json", "--json"}}},
       "sessions json state=relay address=192.0.2.1 age=5m id=0:1:2 limit=3 kill"},
      {CommandId::kWhy, {{{"ADDRESS", "192.0.2.1"}}}, "remembered 192.0.2.1"},
      {CommandId::kAllow, {{{"ADDRESS", "192.0.2.1"}, {"--for", "1d"}}}, "allow 192.0.2.1 for=1d"},
      {CommandId::kDeny, {{{"ADDRESS", "2001:db8::1"}}}, "deny 2001:db8::1"},
      {CommandId::kForget, {{{"ADDRESS", "192.0.2.1"}}}, "forget 192.0.2.1"},
      {CommandId::kPools, {}, "pools   "},
      {CommandId::kPools, {{{"USE", "down"}, {"POOL", "p"}, {"BACKEND", "0"}}}, "pools down p 0"},
      {CommandId::kStop, {}, "stop"},
  };
  for (const Row& row : rows) {
    const std::string request = request_of(row.command, row.words);
    EXPECT_EQ(request, row.want);
    EXPECT_TRUE(parse_control_request(request)) << request;
  }
}

}  // namespace
}  // namespace lychgate::daemon
