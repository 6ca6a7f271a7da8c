// Our own sockets to backends: made as direct descriptors, connected over TCP and unix, and used to
// pass a client's descriptor on.

#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class BackendSocket : public RingTest {};

uint32_t open_socket(Driver& driver, int family) {
  driver->open_socket(family, OpTag::of(Op::kBackendSocket));
  const Completion done = driver.next(Op::kBackendSocket);
  EXPECT_GE(done.result, 0) << errno_text(-done.result);
  return static_cast<uint32_t>(done.result);
}

int32_t connect(Driver& driver, uint32_t slot, const SocketAddress& to) {
  driver->connect(slot, to, on(Op::kBackendConnect, slot));
  return driver.next(Op::kBackendConnect).result;
}

TEST_F(BackendSocket, ConnectsOverTcpAndCarriesBytesBothWays) {
  Driver driver;
  const Listener listener = listen_tcp();
  const uint32_t slot = open_socket(driver, AF_INET);
  ASSERT_EQ(connect(driver, slot, listener.address), 0);
  const uint32_t served = driver.accept(listener);
  const std::string_view line = "220 mx ESMTP\r\n";
  driver->send(served, line, SendMode::kWhole, on(Op::kReply, served));
  EXPECT_EQ(driver.next(Op::kReply).result, static_cast<int32_t>(line.size()));
  driver->receive_multishot(slot, on(Op::kRelayReceive, slot));
  const Completion got = driver.next(Op::kRelayReceive);
  ASSERT_EQ(got.result, static_cast<int32_t>(line.size()));
  EXPECT_EQ(std::string_view(driver->buffer(*got.buffer).data(), line.size()), line);
  driver->give_back(*got.buffer);
}

TEST_F(BackendSocket, ARefusedTcpConnectSaysSo) {
  Driver driver;
  Listener listener = listen_tcp();
  listener.fd.reset();
  const uint32_t slot = open_socket(driver, AF_INET);
  EXPECT_EQ(connect(driver, slot, listener.address), -ECONNREFUSED);
  EXPECT_EQ(driver.close(slot), 0);
}

// The SYN waits for an answer that does not come as long as the queue is full. The connect stays in
// flight without a worker thread and can be cancelled. (In a child: worker threads are the task's.)
TEST_F(BackendSocket, AStalledTcpConnectPinsNoWorkerAndCanBeCancelled) {
  const std::string said = in_child([] {
    Driver driver;
    const Listener listener = listen_tcp({.backlog = 0});
    const Fd first = connect_client(listener);  // the one place of the queue
    const uint32_t slot = open_socket(driver, AF_INET);
    driver->connect(slot, listener.address, on(Op::kBackendConnect, slot));
    const bool silent = driver.silent(Op::kBackendConnect);
    const size_t workers = worker_threads();
    driver->cancel(slot, on(Op::kCancel, slot));
    const int32_t cancelled = driver.next(Op::kCancel).result;
    const int32_t ended = driver.next(Op::kBackendConnect).result;
    return fmt::format("silent {} workers {} cancelled {} ended {} closed {}", silent, workers,
                       cancelled, ended, driver.close(slot));
  });
  EXPECT_EQ(said, fmt::format("silent true workers 0 cancelled 1 ended {} closed 0", -ECANCELED));
}

TEST_F(BackendSocket, ConnectsOverUnixAndWaitsForBytes) {
  Driver driver;
  const UnixListener listener(8);
  const uint32_t slot = open_socket(driver, AF_UNIX);
  ASSERT_EQ(connect(driver, slot, listener.address()), 0);
  const Fd backend(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  // O_NONBLOCK of the socket must not turn a receive that has to wait into -EAGAIN.
  driver->receive_multishot(slot, on(Op::kRelayReceive, slot));
  EXPECT_TRUE(driver.silent(Op::kRelayReceive));
  write_all(backend, "220 mx\r\n");
  const Completion got = driver.next(Op::kRelayReceive);
  EXPECT_EQ(got.result, 8);
  EXPECT_TRUE(got.more);
  driver->give_back(*got.buffer);
}

TEST_F(BackendSocket, AUnixSendOfTheWholeWaitsForRoom) {
  Driver driver;
  const UnixListener listener(8);
  const uint32_t slot = open_socket(driver, AF_UNIX);
  ASSERT_EQ(connect(driver, slot, listener.address()), 0);
  const Fd backend(accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  const std::string sent = pattern(2'000'000);
  driver->send(slot, sent, SendMode::kWhole, on(Op::kRelaySend, slot));
  EXPECT_TRUE(driver.silent(Op::kRelaySend));
  EXPECT_TRUE(driver.turn_while_reading(backend, sent.size()) == sent);
  EXPECT_EQ(driver.next(Op::kRelaySend).result, static_cast<int32_t>(sent.size()));
  EXPECT_TRUE(driver.silent(Op::kRelaySend)) << "one completion for one send";
}

TEST_F(BackendSocket, AMissingUnixBackendSaysSo) {
  Driver driver;
  const auto nowhere = SocketAddress::unix_path(testing::TempDir() + "no/such/socket");
  const uint32_t slot = open_socket(driver, AF_UNIX);
  EXPECT_EQ(connect(driver, slot, *nowhere), -ENOENT);
}

// A busy smtpd has a full backlog. The connect must come back at once with -EAGAIN instead of
// waiting for room. Linux 6.18 tries it once more in a worker thread, which O_NONBLOCK keeps from
// blocking there: many refused connects leave at most one idle worker behind, not one each.
TEST_F(BackendSocket, AFullUnixBacklogAnswersAgainAndHoldsNoWorkers) {
  const std::string said = in_child([] {
    Driver driver;
    const UnixListener listener(0);
    uint32_t connected = 0;
    uint32_t again = 0;
    for (uint32_t i = 0; i < 50; ++i) {
      const uint32_t slot = open_socket(driver, AF_UNIX);
      const int32_t result = connect(driver, slot, listener.address());
      if (result == 0) ++connected;
      if (result == -EAGAIN) ++again;
      if (result != 0 && result != -EAGAIN) break;
    }
    return fmt::format("connected {} again {} at most one worker {}", connected, again,
                       worker_threads() <= 1);
  });
  // A backlog of 0 has one place.
  EXPECT_EQ(said, "connected 1 again 49 at most one worker true");
}

// A message with one descriptor and some bytes, as a Postfix pass service reads it.
struct Passed {
  Fd fd;
  std::string bytes;
};

Passed receive_descriptor(const Fd& from) {
  Passed out;
  char bytes[256];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{.iov_base = bytes, .iov_len = sizeof(bytes)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(from.get(), &header, MSG_CMSG_CLOEXEC);
  EXPECT_GT(got, 0) << errno_text(errno);
  if (got > 0) out.bytes.assign(bytes, static_cast<size_t>(got));
  const cmsghdr* message = CMSG_FIRSTHDR(&header);
  if (message != nullptr && message->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(message), sizeof(fd));
    out.fd = Fd(fd);
  }
  return out;
}

TEST_F(BackendSocket, PassesADescriptorWithItsBytes) {
  Driver driver;
  const Listener listener = listen_tcp();
  const Driver::Pair client = driver.pair(listener);
  const UnixListener service(8);
  const uint32_t slot = open_socket(driver, AF_UNIX);
  ASSERT_EQ(connect(driver, slot, service.address()), 0);
  const Fd smtpd(accept4(service.fd(), nullptr, nullptr, SOCK_CLOEXEC));
  Fd real = driver.real(client.slot);
  // name NUL value NUL, an empty name ends the list.
  using std::string_literals::operator""s;
  const std::string attributes = "client_address\0"s + "127.0.0.1\0"s + "\0"s;
  DescriptorMessage message;
  message.fd = real.get();
  message.bytes = attributes;
  driver->send_descriptor(slot, message, on(Op::kPassSend, slot));
  EXPECT_EQ(driver.next(Op::kPassSend).result, static_cast<int32_t>(attributes.size()));
  EXPECT_EQ(driver.close(client.slot), 0);
  real.reset();
  const Passed passed = receive_descriptor(smtpd);
  EXPECT_EQ(passed.bytes, attributes);
  ASSERT_GE(passed.fd.get(), 0);
  write_all(passed.fd, "220 hello\r\n");
  EXPECT_EQ(read_some(client.client, 11), "220 hello\r\n") << "the client talks to the service now";
}

}  // namespace
}  // namespace lychgate::ring
