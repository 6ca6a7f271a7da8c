// Datagrams against the real kernel, over a pair of loopback UDP sockets: sends that speak only
// when they fail, and the multishot receive with all the ways in which it ends.

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

class Packets : public RingTest {};

// Two sockets connected to each other.
struct UdpPair {
  Fd ours;
  Fd theirs;
};

Fd udp_socket() {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)), 0);
  return fd;
}

void connect_to(const Fd& fd, const Fd& peer) {
  sockaddr_in to{};
  socklen_t size = sizeof(to);
  EXPECT_EQ(getsockname(peer.get(), reinterpret_cast<sockaddr*>(&to), &size), 0);
  EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), size), 0);
}

UdpPair udp_pair() {
  UdpPair pair{udp_socket(), udp_socket()};
  connect_to(pair.ours, pair.theirs);
  connect_to(pair.theirs, pair.ours);
  return pair;
}

OpTag receive_tag() {
  return OpTag::of(Op::kDnsReceive, 3);
}
OpTag send_tag() {
  return OpTag::of(Op::kDnsSend, 3);
}

// The packet of a completion, whose buffer is given back.
std::string packet_of(Driver& driver, const Completion& done) {
  if (!done.buffer || done.result < 0) return "none: " + errno_text(-done.result);
  const auto bytes = driver->packet(*done.buffer).first(static_cast<size_t>(done.result));
  std::string out(bytes.begin(), bytes.end());
  driver->give_back_packet(*done.buffer);
  return out;
}

Driver small_driver(uint32_t packets) {
  ReactorOptions options = kSmallRing;
  options.packets = packets;
  return Driver(options);
}

TEST_F(Packets, ASendThatSucceedsSaysNothing) {
  Driver driver;
  const UdpPair pair = udp_pair();
  std::string packet = "a question";
  driver->send_packet(pair.ours.get(), packet, send_tag());
  driver->turn(milliseconds(0));
  packet.assign(packet.size(), 'x');  // the kernel has copied it
  EXPECT_EQ(read_some(pair.theirs, 10), "a question");
  EXPECT_TRUE(driver.silent(Op::kDnsSend));
}

TEST_F(Packets, ASendThatFailsSaysWhy) {
  Driver driver;
  const UdpPair pair = udp_pair();
  // Longer than any datagram over IPv4 (RFC 768, RFC 791).
  const std::string packet(66000, 'x');
  driver->send_packet(pair.ours.get(), packet, send_tag());
  const Completion done = driver.next(Op::kDnsSend);
  EXPECT_EQ(done.result, -EMSGSIZE);
  EXPECT_EQ(done.tag.slot, 3u);
  EXPECT_FALSE(done.more);
}

TEST_F(Packets, EachDatagramComesInABufferOfItsOwn) {
  Driver driver;
  const UdpPair pair = udp_pair();
  write_all(pair.theirs, "came before");
  driver->receive_packets(pair.ours.get(), receive_tag());
  write_all(pair.theirs, "came after");
  const Completion first = driver.next(Op::kDnsReceive);
  const Completion second = driver.next(Op::kDnsReceive);
  EXPECT_TRUE(first.more);
  EXPECT_TRUE(second.more);
  EXPECT_EQ(packet_of(driver, first), "came before");
  EXPECT_EQ(packet_of(driver, second), "came after");
}

TEST_F(Packets, ALongDatagramIsCutAtTheBuffer) {
  Driver driver;
  const UdpPair pair = udp_pair();
  driver->receive_packets(pair.ours.get(), receive_tag());
  const std::string sent = pattern(4000);
  write_all(pair.theirs, sent);
  write_all(pair.theirs, "the next one is whole");
  const Completion cut = driver.next(Op::kDnsReceive);
  EXPECT_EQ(cut.result, static_cast<int32_t>(kPacketBufferBytes));
  EXPECT_EQ(packet_of(driver, cut), sent.substr(0, kPacketBufferBytes));
  EXPECT_EQ(packet_of(driver, driver.next(Op::kDnsReceive)), "the next one is whole");
}

TEST_F(Packets, WithoutABufferTheReceiveEndsAndCanBeArmedAgain) {
  Driver driver = small_driver(2);
  const UdpPair pair = udp_pair();
  driver->receive_packets(pair.ours.get(), receive_tag());
  for (const char* packet : {"one", "two", "three"}) write_all(pair.theirs, packet);
  const Completion one = driver.next(Op::kDnsReceive);
  const Completion two = driver.next(Op::kDnsReceive);
  const Completion end = driver.next(Op::kDnsReceive);
  EXPECT_EQ(end.result, -ENOBUFS);
  EXPECT_FALSE(end.more);
  EXPECT_FALSE(end.buffer);
  EXPECT_EQ(packet_of(driver, one), "one");
  EXPECT_EQ(packet_of(driver, two), "two");
  EXPECT_TRUE(driver.silent(Op::kDnsReceive));
  driver->receive_packets(pair.ours.get(), receive_tag());
  EXPECT_EQ(packet_of(driver, driver.next(Op::kDnsReceive)), "three") << "it has waited";
}

TEST_F(Packets, ADatagramOfNoBytesEndsTheReceiveWithoutABuffer) {
  Driver driver = small_driver(2);
  const UdpPair pair = udp_pair();
  for (int round = 0; round < 5; ++round) {
    driver->receive_packets(pair.ours.get(), receive_tag());
    EXPECT_EQ(send(pair.theirs.get(), "", 0, 0), 0);
    const Completion end = driver.next(Op::kDnsReceive);
    EXPECT_EQ(end.result, 0);
    EXPECT_FALSE(end.more);
    EXPECT_FALSE(end.buffer);
  }
  driver->receive_packets(pair.ours.get(), receive_tag());
  write_all(pair.theirs, "still here");
  EXPECT_EQ(packet_of(driver, driver.next(Op::kDnsReceive)), "still here");
}

// The news that nobody listens comes by ICMP, after the send: to the receive, which it ends.
TEST_F(Packets, ThatNobodyListensEndsTheReceive) {
  Driver driver;
  UdpPair pair = udp_pair();
  pair.theirs.reset();
  driver->receive_packets(pair.ours.get(), receive_tag());
  driver->send_packet(pair.ours.get(), std::string_view("anybody there?"), send_tag());
  const Completion end = driver.next(Op::kDnsReceive);
  EXPECT_EQ(end.result, -ECONNREFUSED);
  EXPECT_FALSE(end.more);
  EXPECT_TRUE(driver.silent(Op::kDnsSend)) << "an error is told once";
}

TEST_F(Packets, WithNoReceiveArmedTheNextSendIsToldThatNobodyListens) {
  Driver driver;
  UdpPair pair = udp_pair();
  pair.theirs.reset();
  driver->send_packet(pair.ours.get(), std::string_view("one"), send_tag());
  EXPECT_TRUE(driver.silent(Op::kDnsSend));
  driver->send_packet(pair.ours.get(), std::string_view("two"), send_tag());
  EXPECT_EQ(driver.next(Op::kDnsSend).result, -ECONNREFUSED);
}

}  // namespace
}  // namespace lychgate::ring
