// One conversation over a connected socket on the loop: bytes gather in an inbox, what is said goes
// out in order. Both the demo's mail servers and its clients are channels.
// Owns the descriptor; what the bytes mean is for the class that derives from it.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "bench/demo/loop.h"

namespace lychgate::demo {

class Channel : public Task {
 public:
  explicit Channel(Loop& loop) : loop_(loop), id_(loop.add(*this)) {}
  ~Channel() override;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool is_open() const { return fd_ >= 0; }

 protected:
  // Takes over a connected (or connecting) socket and listens to it.
  void attach(int fd);
  void say(std::string_view text);
  // Closes as soon as everything said is in the socket; nothing is listened to any more.
  void finish();
  // What has arrived on the socket, as recv(2) with MSG_DONTWAIT returns it.
  virtual ssize_t take(int fd, std::span<char> into);
  // The inbox has grown.
  virtual void received() = 0;
  // The other side has closed (0) or the connection broke (errno); the socket is closed.
  virtual void ended(int error) = 0;

  // The next whole line without its end; nullopt: not there yet.
  std::optional<std::string> next_line();

  Loop& loop_;
  const uint32_t id_;
  std::string inbox_;

 private:
  void complete(const ring::Completion& completion) override;
  void read_some();
  void sent(int32_t result);
  void listen();
  void send_rest();
  void close_if_finished();
  void end(int error);

  int fd_ = -1;
  bool listening_ = false;
  bool finishing_ = false;
  std::string saying_;  // being sent; may not move until the send has completed
  std::string unsaid_;  // gathers meanwhile
};

}  // namespace lychgate::demo
