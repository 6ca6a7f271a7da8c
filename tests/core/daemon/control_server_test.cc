// The control socket's clients: whole, half, long and late requests, too many of them, answers that
// nobody reads. Over a real unix socket with a name that the kernel picks; time is told.

#include "core/daemon/control_server.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

class ControlServerTest : public testing::Test {
 protected:
  void SetUp() override {
    listen_fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    // No path: an abstract name of the kernel's choice (unix(7), autobind).
    ASSERT_EQ(bind(listen_fd_, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)), 0);
    ASSERT_EQ(listen(listen_fd_, 256), 0);
    name_size_ = sizeof(name_);
    ASSERT_EQ(getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&name_), &name_size_), 0);
    server_ = std::make_unique<ControlServer>(listen_fd_, geteuid());
  }
  void TearDown() override {
    server_.reset();
    for (const int fd : clients_) close(fd);
    close(listen_fd_);
  }

  int call(const std::string& text) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&name_), name_size_), 0);
    clients_.push_back(fd);
    say(fd, text);
    return fd;
  }
  static void say(int fd, const std::string& text) {
    EXPECT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  // What poll(2) has to tell, until it has no more.
  std::vector<ControlAsk> turns() {
    std::vector<ControlAsk> all;
    for (int i = 0; i < 5; ++i) {
      std::vector<pollfd> polls;
      server_->add_polls(polls);
      if (poll(polls.data(), polls.size(), 0) < 0) break;
      for (ControlAsk& ask : server_->turn(polls, now_)) all.push_back(std::move(ask));
    }
    return all;
  }
  // All that has come, and "<end>" when the server has closed.
  static std::string heard(int fd) {
    std::string out;
    char chunk[65536];
    ssize_t got = 0;
    while ((got = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
      out.append(chunk, static_cast<size_t>(got));
    }
    const bool waiting = got < 0 && errno == EAGAIN;
    return waiting ? out : out + "<end>";
  }

  int listen_fd_ = -1;
  sockaddr_un name_{};
  socklen_t name_size_ = 0;
  std::unique_ptr<ControlServer> server_;
  std::vector<int> clients_;
  Tick now_ = 0xfffffff0;  // soon to go round
};

TEST_F(ControlServerTest, AWholeLineIsHandedOnAndAnsweredAndClosed) {
  const int fd = call("status json\nand more");
  const auto asks = turns();
  ASSERT_EQ(asks.size(), 1U);
  EXPECT_EQ(asks[0].line, "status json");
  EXPECT_TRUE(asks[0].may_change) << "it is our own user";
  EXPECT_EQ(heard(fd), "");
  server_->answer(asks[0].client, "fine\n", now_);
  EXPECT_EQ(heard(fd), "fine\n<end>");
  EXPECT_FALSE(server_->next_wake()) << "nobody is left";
}

TEST_F(ControlServerTest, ALineMayComeInPieces) {
  const int fd = call("sta");
  EXPECT_TRUE(turns().empty());
  say(fd, "tus\r");
  EXPECT_TRUE(turns().empty());
  say(fd, "\n");
  const auto asks = turns();
  ASSERT_EQ(asks.size(), 1U);
  EXPECT_EQ(asks[0].line, "status");
}

TEST_F(ControlServerTest, HalfLongAndLateRequestsAreAnsweredAndClosed) {
  const int half = call("status");
  shutdown(half, SHUT_WR);
  const int oversize = call(std::string(kControlRequestMax, 'x'));
  const int late = call("status");
  EXPECT_TRUE(turns().empty());
  EXPECT_EQ(heard(half), "error 64: the request has no end of line\n<end>");
  EXPECT_EQ(heard(oversize).substr(0, 37), "error 64: the request is longer than ");
  EXPECT_EQ(heard(late), "");
  now_ += 1000;
  EXPECT_TRUE(turns().empty());
  EXPECT_EQ(heard(late), "error 64: no whole line within a second\n<end>");
}

TEST_F(ControlServerTest, WhoSaysNothingAndGoesIsForgotten) {
  const int fd = call("");
  turns();
  shutdown(fd, SHUT_WR);
  turns();
  EXPECT_EQ(heard(fd), "<end>");
  EXPECT_FALSE(server_->next_wake());
}

TEST_F(ControlServerTest, OneTooManyWaitsForASeat) {
  std::vector<int> fds;
  for (uint32_t i = 0; i <= kControlClientsMax; ++i) fds.push_back(call("status\n"));
  const auto asks = turns();
  ASSERT_EQ(asks.size(), kControlClientsMax);
  server_->answer(asks[0].client, "done\n", now_);
  const auto more = turns();
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].line, "status");
}

TEST_F(ControlServerTest, AnAnswerForSomebodyWhoHasGoneGoesNowhere) {
  const int fd = call("status\n");
  const auto asks = turns();
  ASSERT_EQ(asks.size(), 1U);
  shutdown(fd, SHUT_RDWR);
  turns();
  const int next = call("lists\n");
  turns();
  server_->answer(asks[0].client, "not for you\n", now_);
  EXPECT_EQ(heard(next), "");
}

TEST_F(ControlServerTest, ALongAnswerGoesAsItIsReadAndWhoDoesNotReadIsLeft) {
  const int fd = call("status\n");
  const int idle = call("status\n");
  const auto asks = turns();
  ASSERT_EQ(asks.size(), 2U);
  const std::string answer(4 << 20, 'x');
  for (const ControlAsk& ask : asks) server_->answer(ask.client, answer, now_);
  std::string got;
  for (int i = 0; i < 10000 && !got.ends_with("<end>"); ++i) {
    got += heard(fd);
    turns();
  }
  EXPECT_EQ(got.size(), answer.size() + 5);
  now_ += 10000;
  turns();
  EXPECT_TRUE(heard(idle).ends_with("<end>"));
  EXPECT_FALSE(server_->next_wake());
}

}  // namespace
}  // namespace lychgate::daemon
