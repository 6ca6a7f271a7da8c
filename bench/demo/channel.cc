// One poll or one send at a time is armed for each direction.

#include "bench/demo/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace lychgate::demo {

using ring::Op;
using ring::OpTag;

Channel::~Channel() {
  if (fd_ >= 0) close(fd_);
}

void Channel::attach(int fd) {
  fd_ = fd;
  listen();
}

void Channel::listen() {
  listening_ = true;
  loop_.reactor().poll_fd(fd_, OpTag::of(Op::kLook, id_));
}

void Channel::say(std::string_view text) {
  unsaid_ += text;
  if (saying_.empty()) send_rest();
}

void Channel::send_rest() {
  saying_ += std::exchange(unsaid_, {});
  if (!saying_.empty()) loop_.reactor().send_fd(fd_, saying_, OpTag::of(Op::kReply, id_));
}

void Channel::finish() {
  if (finishing_ || fd_ < 0) return;
  finishing_ = true;
  // A poll that is still armed would keep the kernel from closing the connection.
  if (listening_) loop_.reactor().cancel_fd(fd_, OpTag::of(Op::kIgnored));
  close_if_finished();
}

void Channel::close_if_finished() {
  if (!finishing_ || listening_ || !saying_.empty() || fd_ < 0) return;
  close(std::exchange(fd_, -1));
}

void Channel::end(int error) {
  close(std::exchange(fd_, -1));
  ended(error);
}

void Channel::complete(const ring::Completion& completion) {
  if (completion.tag.operation() == Op::kReply) return sent(completion.result);
  listening_ = false;
  if (fd_ < 0 || finishing_) return close_if_finished();
  read_some();
}

ssize_t Channel::take(int fd, std::span<char> into) {
  return recv(fd, into.data(), into.size(), MSG_DONTWAIT);
}

void Channel::read_some() {
  char chunk[4096];
  const ssize_t got = take(fd_, chunk);
  if (got == 0) return end(0);
  if (got < 0 && errno != EAGAIN) return end(errno);
  if (got > 0) {
    inbox_.append(chunk, static_cast<size_t>(got));
    received();
  }
  if (finishing_) return close_if_finished();
  listen();
}

void Channel::sent(int32_t result) {
  if (result > 0) {
    saying_.erase(0, static_cast<size_t>(result));
  } else {
    // Nobody hears it any more; the poll tells why.
    saying_.clear();
    unsaid_.clear();
  }
  if (fd_ < 0) return;
  if (!saying_.empty() || !unsaid_.empty()) return send_rest();
  close_if_finished();
}

std::optional<std::string> Channel::next_line() {
  const size_t end = inbox_.find('\n');
  if (end == std::string::npos) return std::nullopt;
  std::string line = inbox_.substr(0, end);
  inbox_.erase(0, end + 1);
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace lychgate::demo
