// A connection on its way from one ring to another over a seqpacket socket, on the real kernel: its
// peer notices nothing, and nothing that it has said is lost.

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/ring/harness.h"

namespace lychgate::ring {
namespace {

constexpr ReactorOptions kTwoTables = {.slots = kSlotsMin,
                                       .tables = 2,
                                       .buffers = 16,
                                       .buffer_bytes = 4096,
                                       .submission_entries = 64,
                                       .completion_entries = 256};
constexpr std::array<uint8_t, 5> kText = {'h', 'e', 'l', 'd', '!'};

class Carry : public RingTest {
 protected:
  Carry() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    from_ = Fd(ends[0]);
    to_ = Fd(ends[1]);
  }
  Driver::Pair pair(uint32_t table) {
    Fd client = connect_client(listener_);
    PeerAddress peer;
    before_->accept_direct(listener_.fd.get(), table, peer, OpTag::of(Op::kAccept));
    const Completion done = before_.next(Op::kAccept);
    EXPECT_GE(done.result, 0) << errno_text(-done.result);
    return {std::move(client), static_cast<uint32_t>(done.result)};
  }
  // As a shard does it: installed, sent, and all of ours closed.
  void give_away(uint32_t slot) {
    before_->install(slot, on(Op::kCarryInstall, slot));
    const int real = before_.next(Op::kCarryInstall).result;
    ASSERT_GE(real, 0);
    ASSERT_EQ(before_->send_message(from_.get(), kText, std::span(&real, 1)),
              static_cast<ssize_t>(kText.size()));
    before_->close_fd(real);
    before_.close(slot);
  }
  std::vector<int> receive() {
    std::array<uint8_t, 64> bytes;
    std::array<int, kDescriptorsPerMessage> descriptors;
    const MessageIn message = after_->receive_message(to_.get(), bytes, descriptors);
    EXPECT_EQ(message.result, static_cast<ssize_t>(kText.size()));
    return {descriptors.begin(), descriptors.begin() + message.descriptors};
  }
  // The slot that a descriptor has come to.
  uint32_t adopt(uint32_t table, int descriptor) {
    int place = descriptor;
    after_->adopt(table, std::span(&place, 1), OpTag::of(Op::kCarryAdopt, table));
    const Completion done = after_.next(Op::kCarryAdopt);
    EXPECT_EQ(done.result, 1) << errno_text(-done.result);
    EXPECT_EQ(done.tag.slot, table);
    after_->close_fd(descriptor);
    return table * kSlotsMin + static_cast<uint32_t>(place);
  }

  Driver before_{kTwoTables};
  Driver after_{kTwoTables};
  Listener listener_ = listen_tcp({.backlog = 1024});
  Fd from_;
  Fd to_;
};

TEST_F(Carry, ThePeerSeesNothingAndItsBytesArrive) {
  for (const uint32_t from : {0U, 1U}) {
    for (const uint32_t to : {0U, 1U}) {
      SCOPED_TRACE(testing::Message() << "table " << from << " to " << to);
      const Driver::Pair pair = this->pair(from);
      write_all(pair.client, "EHLO before");
      give_away(pair.slot);
      EXPECT_EQ(peer_sees(pair.client), PeerSees::kNothing) << "while it is nobody's";
      const std::vector<int> came = receive();
      ASSERT_EQ(came.size(), 1U);
      EXPECT_EQ(fcntl(came[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
      const uint32_t slot = adopt(to, came[0]);
      EXPECT_EQ(slot / kSlotsMin, to);
      write_all(pair.client, ", after");
      std::array<char, 64> look;
      after_->peek(slot, look, on(Op::kLook, slot));
      const int seen = after_.next(Op::kLook).result;
      ASSERT_GT(seen, 0);
      EXPECT_EQ(std::string_view(look.data(), static_cast<size_t>(seen)), "EHLO before, after");
      EXPECT_EQ(peer_sees(pair.client), PeerSees::kNothing);
      after_->discard(slot, on(Op::kDiscard, slot));
      EXPECT_EQ(after_.next(Op::kDiscard).result, seen);
      after_.close(slot);
      EXPECT_EQ(peer_sees(pair.client), PeerSees::kEnd) << "no other reference is left";
    }
  }
}

TEST_F(Carry, ManyGoInOneMessageEachToItsOwnSlot) {
  std::vector<Driver::Pair> pairs;
  std::vector<int> reals;
  for (uint32_t i = 0; i < 40; ++i) {
    pairs.push_back(pair(1));
    before_->install(pairs[i].slot, on(Op::kCarryInstall, pairs[i].slot));
    reals.push_back(before_.next(Op::kCarryInstall).result);
    write_all(pairs[i].client, std::to_string(1000 + i));
  }
  ASSERT_EQ(before_->send_message(from_.get(), kText, reals), static_cast<ssize_t>(kText.size()));
  std::vector<int> places = receive();
  ASSERT_EQ(places.size(), reals.size());
  const std::vector<int> came = places;
  after_->adopt(1, places, OpTag::of(Op::kCarryAdopt, 1));
  EXPECT_EQ(after_.next(Op::kCarryAdopt).result, 40);
  for (uint32_t i = 0; i < 40; ++i) {
    std::array<char, 8> look{};
    const uint32_t slot = kSlotsMin + static_cast<uint32_t>(places[i]);
    after_->peek(slot, look, on(Op::kLook, slot));
    EXPECT_EQ(after_.next(Op::kLook).result, 4);
    EXPECT_EQ(std::string(look.data()), std::to_string(1000 + i));
    before_->close_fd(reals[i]);
    after_->close_fd(came[i]);
  }
  before_.all(Op::kCarryInstall);
  after_.all(Op::kCarryAdopt);
}

TEST_F(Carry, ATableWithoutRoomTakesTheFirst) {
  std::vector<int> reals;
  std::vector<Fd> kept;
  for (uint32_t i = 0; i < kSlotsMin + 3; ++i) {
    kept.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    reals.push_back(kept.back().get());
  }
  std::vector<int> places = reals;
  after_->adopt(1, places, OpTag::of(Op::kCarryAdopt, 1));
  EXPECT_EQ(after_.next(Op::kCarryAdopt).result, static_cast<int32_t>(kSlotsMin));
  EXPECT_EQ(places[kSlotsMin], reals[kSlotsMin]) << "untouched";
  places.assign(1, reals.back());
  after_->adopt(1, places, OpTag::of(Op::kCarryAdopt, 1));
  EXPECT_EQ(after_.next(Op::kCarryAdopt).result, -ENFILE);
}

TEST_F(Carry, AFullSocketAGoneReaderAndTheEndSayWhatTheyAre) {
  std::array<uint8_t, 64> bytes;
  std::array<int, kDescriptorsPerMessage> descriptors;
  EXPECT_EQ(after_->receive_message(to_.get(), bytes, descriptors).result, -EAGAIN);
  const Fd passed(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int real = passed.get();
  ssize_t sent = 0;
  for (int i = 0; i < 100000 && sent >= 0; ++i) {
    sent = before_->send_message(from_.get(), kText, std::span(&real, 1));
  }
  EXPECT_TRUE(sent == -EAGAIN || sent == -ETOOMANYREFS) << sent;
  to_.reset();
  sent = before_->send_message(from_.get(), kText, std::span(&real, 1));
  EXPECT_TRUE(sent == -EPIPE || sent == -ECONNRESET) << sent;
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  Fd(ends[0]).reset();
  const Fd other(ends[1]);
  EXPECT_EQ(after_->receive_message(other.get(), bytes, descriptors).result, 0);
}

// A process that may open no more gets the first ones; the rest is closed by the kernel.
TEST_F(Carry, FewerDescriptorsComeWhereFewMayBeOpened) {
  const std::string told = in_child([&] {
    const Fd passed(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const std::vector<int> four(4, passed.get());
    auto ring = UringReactor::create({.slots = kSlotsMin, .buffers = 16, .buffer_bytes = 4096});
    if (!ring) return ring.error().text;
    (*ring)->send_message(from_.get(), kText, four);
    const int next = dup(passed.get());
    ::close(next);
    const rlimit limit{static_cast<rlim_t>(next) + 2, static_cast<rlim_t>(next) + 2};
    setrlimit(RLIMIT_NOFILE, &limit);
    std::array<uint8_t, 64> bytes;
    std::array<int, kDescriptorsPerMessage> descriptors;
    const MessageIn message = (*ring)->receive_message(to_.get(), bytes, descriptors);
    return std::to_string(message.result) + " " + std::to_string(message.descriptors);
  });
  EXPECT_EQ(told, "5 2");
}

}  // namespace
}  // namespace lychgate::ring
