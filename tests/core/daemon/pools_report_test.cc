// What `lychgate pools` says of backends that are checked.

#include "core/daemon/pools_report.h"

#include <cstring>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

class PoolsReportTest : public ::testing::Test {
 protected:
  PoolsReportTest() : counters_(std::move(*SharedCounters::create(1))) {
    config::Pool pool;
    pool.name = "strangers";
    config::Backend backend;
    backend.text = "tcp:192.0.2.1:25";
    pool.backends = {backend, backend};
    pool.backends[1].text = "pass:/run/smtpd";
    config_.pools.push_back(pool);
  }
  void announce(size_t backend, BackendHealth health, std::string_view text) {
    BackendBoard& board = counters_.boards().pools.backends[0][backend];
    board.health = static_cast<uint8_t>(health);
    board.size = static_cast<uint16_t>(text.size());
    for (size_t i = 0; i < text.size(); i += sizeof(uint64_t)) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + i, std::min(sizeof(word), text.size() - i));
      board.text[i / sizeof(word)] = word;
    }
  }
  std::string text() { return pools_text(config_, counters_.shards(), &counters_.boards().pools); }
  std::string json() { return pools_json(config_, counters_.shards(), &counters_.boards().pools); }

  SharedCounters counters_;
  config::Config config_;
};

TEST_F(PoolsReportTest, SaysWhatNobodyKnows) {
  EXPECT_NE(text().find("unknown"), std::string::npos);
  EXPECT_EQ(text().find("announces"), std::string::npos);
  EXPECT_NE(json().find("\"health\":\"unknown\",\"announces\":[]"), std::string::npos);
}

TEST_F(PoolsReportTest, SaysHealthAndWhatIsAnnounced) {
  announce(0, BackendHealth::kUp, "SIZE 10240000\nSTARTTLS\n");
  announce(1, BackendHealth::kDown, "");
  EXPECT_NE(text().find("announces SIZE 10240000, STARTTLS\n"), std::string::npos) << text();
  EXPECT_NE(json().find("\"health\":\"up\",\"announces\":[\"SIZE 10240000\",\"STARTTLS\"]"),
            std::string::npos)
      << json();
  EXPECT_NE(json().find("\"health\":\"down\",\"announces\":[]"), std::string::npos);
}

}  // namespace
}  // namespace lychgate::daemon
