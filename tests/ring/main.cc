// Runs the tests of ring/ and reports a skipped one as skipped: exit code 77 with the count and
// the reasons, because a test that did not run has not passed.

#include <cstdio>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace {

// Keeps "test: reason" of every skipped test.
class SkipCounter : public testing::EmptyTestEventListener {
 public:
  void OnTestPartResult(const testing::TestPartResult& part) override {
    if (part.skipped()) reasons_.emplace_back(part.message());
  }
  const std::vector<std::string>& reasons() const { return reasons_; }

 private:
  std::vector<std::string> reasons_;
};

}  // namespace

int main(int argc, char** argv) {
  constexpr int kSkipped = 77;
  testing::InitGoogleTest(&argc, argv);
  SkipCounter skips;
  testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
  listeners.Append(&skips);
  const int outcome = RUN_ALL_TESTS();
  listeners.Release(&skips);
  if (outcome != 0 || skips.reasons().empty()) return outcome;
  std::printf("%zu tests skipped:\n", skips.reasons().size());
  for (const std::string& reason : skips.reasons()) std::printf("  %s\n", reason.c_str());
  return kSkipped;
}
