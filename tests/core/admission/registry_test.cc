// The rows of the registry: named, callable, and in the order that decides who names the reply.

#include "core/admission/registry.h"

#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

TEST(Registry, ListsTheTestsInTheOrderOfTheirPhases) {
  std::vector<std::string_view> names;
  for (const AdmissionTest& test : kAdmissionTests) {
    names.push_back(test.name);
    EXPECT_EQ(test.judge(Facts{}, config::Config{}), Verdict{})
        << test.name << " must pass a client without evidence";
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"denylist", "pregreet", "dnsl", "pipelining",
                                                  "non_smtp_command", "bare_newline"}));
}

}  // namespace
}  // namespace lychgate::admission
