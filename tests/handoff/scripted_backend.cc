// One connection at a time: a newer one takes the place of the last.

#include "tests/handoff/scripted_backend.h"

#include <fcntl.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "handoff/proxy_header.h"

namespace lychgate::handoff {

namespace {

constexpr size_t kHeaderBytes = 16;  // of version 2, in front of the addresses

}  // namespace

ScriptedBackend::ScriptedBackend(Kind kind, Script script)
    : kind_(kind), script_(std::move(script)) {
  if (kind == Kind::kTcp) {
    tcp_ = ring::listen_tcp();
    fcntl(tcp_.fd.get(), F_SETFL, O_NONBLOCK);
  } else {
    unix_ = std::make_unique<ring::UnixListener>(8);
    fcntl(unix_->fd(), F_SETFL, O_NONBLOCK);
  }
}

config::Backend ScriptedBackend::settings() const {
  config::Backend backend;
  if (kind_ == Kind::kTcp) {
    backend.text = fmt::format("tcp:127.0.0.1:{}", tcp_.port);
    backend.address = tcp_.address;
  } else {
    backend.text = "pass:service";
    backend.method = config::HandoffMethod::kPass;
    backend.address = unix_->address();
  }
  return backend;
}

void ScriptedBackend::pump() {
  accept();
  if (connection_.get() < 0) return;
  read();
  if (connection_.get() >= 0) write();
}

void ScriptedBackend::accept() {
  const int listener = kind_ == Kind::kTcp ? tcp_.fd.get() : unix_->fd();
  ring::Fd came(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (came.get() >= 0 && kind_ == Kind::kPass) {
    passing_ = std::move(came);
    ++connections_;
    if (script_.takes_nothing) passing_.reset();
    came = ring::Fd();
  }
  if (passing_.get() >= 0) came = take_passed(std::move(passing_));
  if (came.get() < 0) return;
  if (kind_ == Kind::kTcp) ++connections_;
  connection_ = std::move(came);
  said_ = 0;
  out_.clear();
  header_.clear();
  heard_.clear();
  say(0);
}

// What smtpd does: the descriptor with its byte, the attributes behind it, and the end.
ring::Fd ScriptedBackend::take_passed(ring::Fd from) {
  char bytes[512];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  iovec part{bytes, sizeof(bytes)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(from.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const cmsghdr* rights = got > 0 ? CMSG_FIRSTHDR(&header) : nullptr;
  if (rights == nullptr) {
    passing_ = std::move(from);
    return {};
  }
  attributes_.assign(bytes, static_cast<size_t>(got));
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof(fd));
  return ring::Fd(fd);
}

void ScriptedBackend::read() {
  char bytes[4096];
  for (;;) {
    const ssize_t got = recv(connection_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got == 0) connection_.reset();
    if (got <= 0) return;
    for (ssize_t i = 0; i < got; ++i) obey(bytes[i]);
  }
}

void ScriptedBackend::obey(char byte) {
  const char first = header_.empty() ? byte : header_[0];
  const bool starts_v2 = heard_.empty() && first == '\r';
  if (kind_ == Kind::kTcp && starts_v2) {
    const auto at = [this](size_t i) {
      return static_cast<size_t>(static_cast<uint8_t>(header_[i]));
    };
    const size_t whole =
        header_.size() < kHeaderBytes ? kHeaderBytes : kHeaderBytes + at(14) * 256 + at(15);
    if (header_.size() < whole) {
      header_ += byte;
      return;
    }
  }
  heard_ += byte;
  if (byte != '\n') return;
  if (heard_.starts_with("PROXY ")) return std::swap(header_, heard_);
  say(said_);
}

void ScriptedBackend::say(size_t step) {
  if (step >= script_.replies.size()) return;
  out_ += script_.replies[step];
  said_ = step + 1;
}

void ScriptedBackend::write() {
  const bool ended = out_.empty() && said_ >= script_.closes_after;
  if (ended) return connection_.reset();
  if (out_.empty() && script_.endless && said_ == script_.replies.size()) {
    for (int i = 0; i < 50; ++i) out_ += "250-and another line\r\n";
  }
  if (out_.empty()) return;
  const size_t size = script_.in_bytes ? 1 : out_.size();
  const ssize_t sent = send(connection_.get(), out_.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) out_.erase(0, static_cast<size_t>(sent));
  if (out_.empty() && said_ >= script_.closes_after) connection_.reset();
}

}  // namespace lychgate::handoff
