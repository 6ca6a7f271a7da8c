// Networks that were deferred, at each time of their return.

#include "core/admission/greylist.h"

#include <gtest/gtest.h>

namespace lychgate::admission {
namespace {

using std::chrono::seconds;

constexpr Seconds kNow = 1'000'000;
const config::Greylist kGreylist{
    .delay = seconds(60), .window = seconds(3600), .life = seconds(86400)};

TEST(Greylist, LetsOnWhoComesBackWhenItShould) {
  struct Row {
    const char* what;
    Seconds after;
    bool want;
  };
  const Row rows[] = {
      {"at once", 0, false},         {"a second too soon", 59, false},
      {"after the delay", 60, true}, {"at the end of the window", 3600, true},
      {"too late", 3601, false},
  };
  const ClientRecord deferred = deferral(kGreylist, kNow);
  for (const Row& row : rows) {
    EXPECT_EQ(has_returned(deferred, kNow + row.after), row.want) << row.what;
  }
  EXPECT_FALSE(has_returned(ClientRecord{}, kNow)) << "nobody was deferred";
}

TEST(Greylist, WhoWasLetOnIsSoForItsLife) {
  const ClientRecord network = merge(deferral(kGreylist, kNow), comeback(kGreylist, kNow + 100));
  EXPECT_TRUE(has_returned(network, kNow + 100));
  EXPECT_TRUE(has_returned(network, kNow + 100 + 86400));
  EXPECT_FALSE(has_returned(network, kNow + 101 + 86400));
}

TEST(Greylist, ADelayIsNotProlonged) {
  const ClientRecord network = deferral(kGreylist, kNow);
  EXPECT_TRUE(is_deferred(network, kNow));
  EXPECT_TRUE(is_deferred(network, kNow + 59));
  EXPECT_TRUE(is_deferred(network, kNow + 65)) << "came too soon, and was judged after its wait";
  EXPECT_FALSE(is_deferred(network, kNow + 3601)) << "too late: deferred anew";
  EXPECT_FALSE(is_deferred(ClientRecord{}, kNow));
}

TEST(Greylist, IsLookedUpOnlyWhereSomebodyMayBeDeferred) {
  config::Config config;
  EXPECT_FALSE(defers(config));
  config.dialogue.bare_newline.action = config::Action::kDefer;
  EXPECT_TRUE(defers(config));
}

}  // namespace
}  // namespace lychgate::admission
