// The script of a polite client is a table: what to say after which reply.

#include "bench/demo/client.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

namespace lychgate::demo {
namespace {

// Source addresses of a kind: 127.network.1.1 and on, 200 in each /24.
constexpr uint32_t kAddressesPerBlock = 200;

IpAddress source_address(const Kind& kind, uint32_t number) {
  const uint32_t third = 1 + number / kAddressesPerBlock;
  const uint32_t fourth = 1 + number % kAddressesPerBlock;
  return IpAddress::from_v4(127u << 24 | uint32_t{kind.network} << 16 | third << 8 | fourth);
}

std::string make_message(const Kind& kind, const IpAddress& address) {
  std::string text = fmt::format("Subject: a {} writes\n\nI am {}.\n", kind.name, address.text());
  for (int i = 0; i < 20; ++i) text += "The quick brown fox jumps over the lazy dog.\n";
  return text;
}

std::string with_crlf(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

}  // namespace

Client::Client(Loop& loop, const Kind& kind, const Call& call)
    : Channel(loop),
      kind_(kind),
      gate_(call.gate),
      source_{source_address(kind, call.number), 0},
      message_(make_message(kind, source_.address)) {
  loop.wake_at(call.when, id_);
}

std::optional<Clock::duration> Client::held_for() const {
  if (!teased_at_ || !decided_at_) return std::nullopt;
  return *decided_at_ - *teased_at_;
}

std::optional<Clock::duration> Client::greeted_after() const {
  if (!greeted_) return std::nullopt;
  return *decided_at_ - called_at_;
}

void Client::wake() {
  if (!called_) return connect();
  if (is_open() && !decided_at_) say("EHLO hasty.demo\r\n");
}

void Client::connect() {
  called_ = true;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return give_up(fmt::format("has no socket: {}", errno_text(errno)));
  const SocketAddress from = SocketAddress::from(source_);
  const SocketAddress to = SocketAddress::from(gate_);
  called_at_ = monotonic_now();
  const bool on_its_way = bind(fd, &from.any, from.length) == 0 &&
                          (::connect(fd, &to.any, to.length) == 0 || errno == EINPROGRESS);
  if (!on_its_way) {
    const int error = errno;
    close(fd);
    return give_up(fmt::format("cannot connect: {}", errno_text(error)));
  }
  source_ = loop_.reactor().local_endpoint(fd);
  attach(fd);
  if (kind_.manner == Manner::kHasty) loop_.wake_at(called_at_ + kTalksAfter, id_);
}

void Client::received() {
  while (const auto line = next_line()) {
    if (finished_) return;
    hear(*line);
  }
}

void Client::hear(const std::string& line) {
  heard_.push_back(line);
  const bool goes_on = line.size() > 3 && line[3] == '-';
  if (!goes_on) return reply_complete(line);
  if (step_ > 0 || teased_at_) return;
  teased_at_ = monotonic_now();
  if (kind_.hold == Hold::kNone) give_up("was told to wait, though its network is permitted");
}

void Client::reply_complete(std::string_view line) {
  if (step_ == 0) {
    decided_at_ = monotonic_now();
    greeted_ = line.starts_with("220");
    refused_ = line.starts_with('5');
  }
  const std::string_view want = step_ < kind_.codes.size() ? kind_.codes[step_] : "";
  if (want.empty()) return give_up("heard more than it should");
  if (!line.starts_with(want)) return give_up(fmt::format("should have heard {}", want));
  ++step_;
  if (step_ == 1 && !check_hold()) return;
  speak();
}

// Whether the decision came when it should; else gives up.
bool Client::check_hold() {
  const bool early = *decided_at_ - called_at_ < kGreetWait;
  switch (kind_.hold) {
    case Hold::kNone:
      return true;
    case Hold::kShort:
      if (!early) give_up("was not decided before greet.wait was over");
      break;
    case Hold::kWhole:
      if (early && greeted_) give_up("was greeted before greet.wait was over");
      break;
  }
  if (!teased_at_) give_up("was not told to wait");
  return !finished_;
}

void Client::speak() {
  if (kind_.manner != Manner::kPolite || refused_) return;
  switch (step_) {
    case 1:
      return say("EHLO client.demo\r\n");
    case 2:
      return say(fmt::format("MAIL FROM:<{}@client.demo>\r\n", kind_.network));
    case 3:
      return say("RCPT TO:<everybody@server.demo>\r\n");
    case 4:
      return say("DATA\r\n");
    case 5:
      return say(with_crlf(message_) + ".\r\n");
    case 6:
      return say("QUIT\r\n");
    default:
      return;
  }
}

void Client::ended(int error) {
  if (finished_) return;
  finished_ = true;
  const bool heard_all = step_ == kind_.codes.size() || kind_.codes[step_].empty();
  if (heard_all && error == 0) return;
  const std::string how = error == 0 ? "was cut off" : "lost its connection";
  const std::string why = error == 0 ? "" : fmt::format(" ({})", errno_text(error));
  problem_ =
      heard_all ? how + why : fmt::format("{}{} before it heard {}", how, why, kind_.codes[step_]);
}

void Client::give_up(std::string problem) {
  problem_ = std::move(problem);
  finished_ = true;
  finish();
}

}  // namespace lychgate::demo
