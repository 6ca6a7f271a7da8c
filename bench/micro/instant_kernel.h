// A reactor whose kernel answers everything with the next turn and does nothing: what remains of a
// shard's time is its own work. Knows the verbs of clients that are not handed off; every other one
// ends the program.

#pragma once

#include <netinet/in.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "ring/reactor.h"

namespace lychgate {

// What a look finds.
enum class Zombie : uint8_t {
  kSilent,
  kTalker,
  kLeaver,
};

class InstantKernel final : public ring::Reactor {
 public:
  using OpTag = ring::OpTag;

  InstantKernel(uint32_t slots, Zombie zombie) : slots_(slots), zombie_(zombie) {
    for (uint32_t slot = slots; slot-- > 0;) free_.push_back(slot);
  }

  // So many more wait to be accepted, each from an address of its own.
  void arrive(uint32_t clients) {
    waiting_ += clients;
    if (polled_) answer(*std::exchange(polled_, std::nullopt), 1);
  }
  bool has_pending() const { return !pending_.empty(); }
  uint64_t closed() const { return closed_; }
  uint64_t log_bytes() const { return log_bytes_; }

  void poll_fd(int /*fd*/, OpTag tag) override {
    if (waiting_ > 0) return answer(tag, 1);
    polled_ = tag;
  }
  void accept_direct(int /*listener*/, uint32_t /*table*/, ring::PeerAddress& peer,
                     OpTag tag) override {
    if (waiting_ == 0 || free_.empty()) return answer(tag, -EAGAIN);
    --waiting_;
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_port = htons(static_cast<uint16_t>(next_));
    from.sin_addr.s_addr = next_++ * 2654435761U;
    std::memcpy(&peer.v6, &from, sizeof(from));
    answer(tag, static_cast<int>(free_.back()));
    free_.pop_back();
  }
  void peek(uint32_t /*slot*/, std::span<char> into, OpTag tag) override {
    constexpr std::string_view kSaid = "EHLO win-box01\r\n";
    switch (zombie_) {
      case Zombie::kSilent:
        return answer(tag, -EAGAIN);
      case Zombie::kTalker:
        return answer(tag, static_cast<int>(kSaid.copy(into.data(), into.size())));
      case Zombie::kLeaver:
        return answer(tag, 0);
    }
  }
  void discard(uint32_t /*slot*/, OpTag tag) override { answer(tag, -EAGAIN); }
  void send(uint32_t /*slot*/, std::span<const char> bytes, ring::SendMode mode,
            OpTag tag) override {
    if (mode != ring::SendMode::kUntold) answer(tag, static_cast<int>(bytes.size()));
  }
  void shutdown_write(uint32_t /*slot*/, OpTag tag) override { answer(tag, 0); }
  void close(uint32_t slot, OpTag tag) override {
    ++closed_;
    free_.push_back(slot);
    answer(tag, 0);
  }
  void close_by_reset(uint32_t slot, OpTag tag) override { close(slot, tag); }
  void cancel(uint32_t /*slot*/, OpTag tag) override { answer(tag, -ENOENT); }
  void write_fd(int /*fd*/, std::span<const char> bytes, OpTag tag) override {
    log_bytes_ += bytes.size();
    answer(tag, static_cast<int>(bytes.size()));
  }
  uint32_t table_size() const override { return slots_; }
  bool has_queued() const override { return false; }
  std::span<const ring::Completion> turn(std::optional<milliseconds> /*wait*/) override {
    told_.clear();
    std::swap(told_, pending_);
    return told_;
  }

  void cancel_fd(int, OpTag) override { unknown(); }
  void send_fd(int, std::span<const char>, OpTag) override { unknown(); }
  void close_fd(int) override { unknown(); }
  void send_packet(int, std::span<const char>, OpTag) override { unknown(); }
  void receive_packets(int, OpTag) override { unknown(); }
  void take(uint32_t, std::span<char>, OpTag) override { unknown(); }
  void receive_multishot(uint32_t, OpTag) override { unknown(); }
  void peek_next(uint32_t, OpTag) override { unknown(); }
  void receive_next(uint32_t, OpTag) override { unknown(); }
  void cancel_request(OpTag, OpTag) override { unknown(); }
  void poll(uint32_t, ring::Readiness, OpTag) override { unknown(); }
  void install(uint32_t, OpTag) override { unknown(); }
  void move_to_main(uint32_t, OpTag) override { unknown(); }
  void adopt(uint32_t, std::span<int>, OpTag) override { unknown(); }
  void open_socket(int, OpTag) override { unknown(); }
  void set_nodelay(uint32_t, OpTag) override { unknown(); }
  void shrink(uint32_t, int, OpTag) override { unknown(); }
  void connect(uint32_t, const SocketAddress&, OpTag) override { unknown(); }
  void send_descriptor(uint32_t, ring::DescriptorMessage&, OpTag) override { unknown(); }
  Result<ring::PipePair> make_pipe() override { unknown(); }
  Result<ring::SocketPair> make_socketpair() override { unknown(); }
  ssize_t splice(int, int, size_t) override { unknown(); }
  void set_nonblocking(int) override { unknown(); }
  Endpoint local_endpoint(int) override { unknown(); }
  ssize_t send_message(int, std::span<const uint8_t>, std::span<const int>) override { unknown(); }
  ring::MessageIn receive_message(int, std::span<uint8_t>, std::span<int>) override { unknown(); }
  std::span<const char> buffer(uint16_t) const override { unknown(); }
  void give_back(uint16_t) override { unknown(); }
  uint32_t buffers_free() const override { return kRelayBuffers; }
  std::span<const char> packet(uint16_t) const override { unknown(); }
  void give_back_packet(uint16_t) override { unknown(); }

 private:
  [[noreturn]] static void unknown() { check_failed(__FILE__, __LINE__, "a verb of zombies"); }
  void answer(OpTag tag, int result) {
    pending_.push_back({.tag = tag, .result = result, .more = false, .buffer = {}});
  }

  uint32_t slots_;
  Zombie zombie_;
  std::vector<uint32_t> free_;
  std::vector<ring::Completion> pending_;
  std::vector<ring::Completion> told_;
  std::optional<OpTag> polled_;  // of the listener
  uint32_t waiting_ = 0;
  uint32_t next_ = 1;  // client: its address and port
  uint64_t closed_ = 0;
  uint64_t log_bytes_ = 0;
};

}  // namespace lychgate
