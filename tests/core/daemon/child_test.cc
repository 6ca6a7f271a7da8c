// Control messages: what is sent is read, with its descriptor; nothing waits.

#include "core/daemon/child.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include <gtest/gtest.h>

namespace lychgate::daemon {
namespace {

struct Pair {
  int ends[2] = {-1, -1};
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0); }
  ~Pair() {
    for (const int fd : ends) {
      if (fd >= 0) close(fd);
    }
  }
};

TEST(ControlMessages, AreReadAsTheyWereSent) {
  const Pair pair;
  ASSERT_TRUE(send_control(pair.ends[0], Word::kFailed, "no memory"));
  ASSERT_TRUE(send_control(pair.ends[0], Word::kReady));
  auto first = read_control(pair.ends[1]);
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->word, Word::kFailed);
  EXPECT_EQ((*first)->body, "no memory");
  EXPECT_EQ((*first)->fd, -1);
  auto second = read_control(pair.ends[1]);
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->word, Word::kReady);
  auto none = read_control(pair.ends[1]);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none) << "nothing is there, and nobody waits for it";
}

TEST(ControlMessages, BringADescriptor) {
  const Pair pair;
  int pipe_ends[2];
  ASSERT_EQ(pipe2(pipe_ends, O_CLOEXEC), 0);
  ASSERT_TRUE(send_control(pair.ends[0], Word::kRetire, "x", pipe_ends[1]));
  close(pipe_ends[1]);
  auto message = read_control(pair.ends[1]);
  ASSERT_TRUE(message && *message);
  ASSERT_GE((*message)->fd, 0);
  EXPECT_EQ(fcntl((*message)->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  ASSERT_EQ(write((*message)->fd, "b", 1), 1);
  char byte = 0;
  EXPECT_EQ(read(pipe_ends[0], &byte, 1), 1);
  close((*message)->fd);
  close(pipe_ends[0]);
}

TEST(ControlMessages, TellThatTheOtherEndIsGone) {
  Pair pair;
  close(std::exchange(pair.ends[0], -1));
  EXPECT_FALSE(read_control(pair.ends[1]));
  EXPECT_FALSE(send_control(pair.ends[1], Word::kStop));
}

TEST(ControlMessages, DoNotWaitForWhoDoesNotRead) {
  const Pair pair;
  const std::string body(1000, 'x');
  int sent = 0;
  while (sent < 100'000 && send_control(pair.ends[0], Word::kAnswer, body)) ++sent;
  EXPECT_GT(sent, 0);
  EXPECT_LT(sent, 100'000);
}

TEST(ControlMessages, CarryOrdersAndResultsComeBackWhole) {
  CarryOrder order{.fd = 7, .same_lists = true, .listeners = {}};
  for (size_t i = 0; i < order.listeners.size(); ++i) order.listeners[i] = static_cast<uint8_t>(i);
  order.listeners[1] = kNoListener;
  const auto back = decode_carry_order(encode(order));
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->same_lists);
  EXPECT_EQ(back->listeners, order.listeners);
  EXPECT_EQ(back->fd, -1) << "a descriptor's number means nothing to somebody else";
  EXPECT_FALSE(decode_carry_order("short"));
  const auto result = decode_carry_result(encode(CarryResult{100'000, 3, 412}));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->carried, 100'000U);
  EXPECT_EQ(result->stayed, 3U);
  EXPECT_EQ(result->lasted_ms, 412U);
  EXPECT_FALSE(decode_carry_result(""));
}

}  // namespace
}  // namespace lychgate::daemon
