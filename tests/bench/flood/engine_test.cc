// The engine over a real kernel: every profile against small servers on loopback, failing connects,
// the end of a run, and more clients than one ring has slots.

#include "bench/flood/engine.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <gtest/gtest.h>

#include "ring/features.h"

namespace lychgate::flood {
namespace {

using std::chrono::seconds;

// A listener on a port the kernel picks. Without a service nobody accepts: the kernel alone holds.
class Server {
 public:
  using Service = std::function<void(int fd)>;

  explicit Server(const Service& service = nullptr) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(here);
    auto* address = reinterpret_cast<sockaddr*>(&here);
    EXPECT_EQ(bind(fd_, address, length), 0);
    EXPECT_EQ(listen(fd_, 4096), 0);
    EXPECT_EQ(getsockname(fd_, address, &length), 0);
    port_ = ntohs(here.sin_port);
    if (service != nullptr) thread_ = std::thread([this, service] { serve(service); });
  }
  Server(const Server&) = delete;
  ~Server() {
    shutdown(fd_, SHUT_RDWR);  // ends the accept
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  uint16_t port() const { return port_; }

 private:
  void serve(const Service& service) const {
    for (int client; (client = accept(fd_, nullptr, nullptr)) >= 0;) {
      service(client);
      close(client);
    }
  }

  int fd_;
  uint16_t port_ = 0;
  std::thread thread_;
};

void say(int fd, std::string_view text) {
  EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// The least SMTP server that can be talked to.
void serve_smtp(int fd) {
  say(fd, "220-one moment\r\n");
  say(fd, "220 mx\r\n");
  std::string bytes;
  bool in_data = false;
  char buffer[4096];
  for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) {
    bytes.append(buffer, static_cast<size_t>(got));
    for (size_t end; (end = bytes.find("\r\n")) != std::string::npos;) {
      const std::string line = bytes.substr(0, end);
      bytes.erase(0, end + 2);
      if (in_data && line != ".") continue;
      in_data = line == "DATA";
      if (line == "QUIT") return say(fd, "221 bye\r\n");
      say(fd, in_data                    ? "354 go\r\n"
              : line.starts_with("EHLO") ? "250-mx\r\n250 x\r\n"
                                         : "250 ok\r\n");
    }
  }
}

Plan plan_for(Profile profile, uint16_t port) {
  Plan out;
  out.targets = {*Network::parse("127.0.0.1")};
  out.port = port;
  out.mix = {Manners{.profile = profile, .hold = milliseconds(30), .timeout = milliseconds(5000)}};
  out.count = 50;
  out.parallel = 20;
  out.duration = seconds(20);
  out.grace = seconds(0);
  return out;
}

uint64_t ended(const Tally& tally, Ending ending) {
  return tally.sum().endings[static_cast<size_t>(ending)];
}

class EngineTest : public testing::Test {
 protected:
  void SetUp() override {
    if (auto features = ring::probe_features(); !features) GTEST_SKIP() << features.error().text;
  }

  // Runs to the end and checks what holds of every run.
  void run(const Plan& plan) {
    auto engine = Engine::create(plan, *tally_);
    ASSERT_TRUE(engine) << engine.error().text;
    const auto limit = std::chrono::steady_clock::now() + seconds(60);
    EXPECT_FALSE((*engine)->run_until(limit)) << "it must end by itself";
    EXPECT_EQ(tally_->open, 0U);
    EXPECT_EQ(tally_->held, 0U);
    EXPECT_LE(tally_->open_most, plan.parallel);
    uint64_t endings = 0;
    for (const uint64_t count : tally_->sum().endings) endings += count;
    EXPECT_EQ(endings, tally_->sum().started) << "each client ends once";
  }

  std::unique_ptr<Tally> tally_ = std::make_unique<Tally>();
};

TEST_F(EngineTest, LetsSilentClientsHoldAndGo) {
  const Server server;
  for (const Profile profile :
       {Profile::kZombie, Profile::kNeverReads, Profile::kHangup, Profile::kReset}) {
    *tally_ = Tally();
    run(plan_for(profile, server.port()));
    EXPECT_EQ(ended(*tally_, Ending::kDone), 50U) << kProfileNames[static_cast<size_t>(profile)];
  }
}

TEST_F(EngineTest, DeliversMail) {
  const Server server(serve_smtp);
  for (const Profile profile : {Profile::kLegit, Profile::kBot}) {
    *tally_ = Tally();
    Plan plan = plan_for(profile, server.port());
    plan.mix[0].message_bytes = 100'000;
    run(plan);
    EXPECT_EQ(ended(*tally_, Ending::kDone), 50U) << kProfileNames[static_cast<size_t>(profile)];
    EXPECT_EQ(tally_->sum().delivered, 50U);
    EXPECT_EQ(tally_->sum().greeted, 50U);
    EXPECT_EQ(tally_->replies[354], 50U);
    EXPECT_GT(tally_->sum().bytes_out, 50U * 100'000);
  }
}

TEST_F(EngineTest, CountsEarlyTalkersLetInAndThrownOut) {
  const Server open(serve_smtp);
  run(plan_for(Profile::kEarly, open.port()));
  EXPECT_EQ(ended(*tally_, Ending::kDone), 50U);
  *tally_ = Tally();
  const Server strict([](int fd) {
    char byte;
    EXPECT_EQ(read(fd, &byte, 1), 1);
    say(fd, "220-wait\r\n550 you spoke first\r\n");
  });
  run(plan_for(Profile::kEarly, strict.port()));
  EXPECT_EQ(ended(*tally_, Ending::kRefused), 50U);
  EXPECT_EQ(tally_->replies[550], 50U);
}

TEST_F(EngineTest, SeesWhatAServerDidToAZombie) {
  const Server closes([](int) {});
  run(plan_for(Profile::kZombie, closes.port()));
  EXPECT_EQ(ended(*tally_, Ending::kClosed), 50U);
  *tally_ = Tally();
  const Server refuses([](int fd) { say(fd, "421 busy\r\n"); });
  run(plan_for(Profile::kZombie, refuses.port()));
  EXPECT_EQ(ended(*tally_, Ending::kRefused), 50U);
}

TEST_F(EngineTest, CountsFailedConnectsByTheirError) {
  uint16_t port = 0;
  {
    const Server gone;
    port = gone.port();
  }
  run(plan_for(Profile::kZombie, port));
  EXPECT_EQ(tally_->connect_errors[ECONNREFUSED], 50U);
  EXPECT_EQ(ended(*tally_, Ending::kUnconnected), 50U);
  *tally_ = Tally();
  const Server server;
  Plan plan = plan_for(Profile::kZombie, server.port());
  plan.sources = {*Network::parse("240.0.0.0/24")};  // reserved (RFC 1112): nobody has them
  run(plan);
  EXPECT_EQ(tally_->connect_errors[EADDRNOTAVAIL], 50U);
  EXPECT_EQ(ended(*tally_, Ending::kUnstarted), 50U);
}

TEST_F(EngineTest, BindsEachSourceInTurn) {
  const Server server;
  Plan plan = plan_for(Profile::kHangup, server.port());
  plan.sources = {*Network::parse("127.0.3.0/28")};
  run(plan);
  EXPECT_EQ(ended(*tally_, Ending::kDone), 50U);
}

TEST_F(EngineTest, UsesAsManyRingsAsItNeeds) {
  const Server server;
  Plan plan = plan_for(Profile::kZombie, server.port());
  plan.count = 300;
  plan.parallel = 100;
  plan.per_ring = 16;
  plan.mix[0].hold = milliseconds(100);
  run(plan);
  EXPECT_EQ(ended(*tally_, Ending::kDone), 300U);
  EXPECT_EQ(tally_->open_most, 100U);
}

TEST_F(EngineTest, ResetsWhoeverIsLeftInTheEnd) {
  const Server server;
  Plan plan = plan_for(Profile::kZombie, server.port());
  plan.count = 20;
  plan.mix[0].hold = seconds(600);
  plan.duration = milliseconds(50);
  run(plan);
  EXPECT_EQ(ended(*tally_, Ending::kCutOff), 20U);
}

TEST_F(EngineTest, StopsWhenItIsTold) {
  const Server server;
  Plan plan = plan_for(Profile::kZombie, server.port());
  plan.count = 1000;
  plan.mix[0].hold = seconds(600);
  auto engine = Engine::create(plan, *tally_);
  ASSERT_TRUE(engine) << engine.error().text;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE((*engine)->run_until(begin + milliseconds(20)));
  EXPECT_EQ(tally_->held, 20U);
  (*engine)->stop();
  EXPECT_FALSE((*engine)->run_until(begin + seconds(60)));
  EXPECT_EQ(tally_->open, 0U);
  EXPECT_EQ(ended(*tally_, Ending::kCutOff), 20U);
}

TEST_F(EngineTest, SkipsArrivalsThatFindNoRoom) {
  const Server server;
  Plan plan = plan_for(Profile::kZombie, server.port());
  plan.schedule.arrivals = Arrivals::kOpen;
  plan.schedule.rate = 1000;
  plan.parallel = 10;
  plan.count = 1000;
  plan.mix[0].hold = seconds(600);
  plan.duration = milliseconds(100);
  run(plan);
  EXPECT_EQ(tally_->sum().started, 10U);
  EXPECT_GT(tally_->skipped, 0U);
  EXPECT_EQ(tally_->latencies[0].lateness.count(), 10U);
}

}  // namespace
}  // namespace lychgate::flood
