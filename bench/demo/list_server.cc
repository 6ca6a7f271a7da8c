// Messages as in RFC 1035 section 4: the question is repeated, and the names behind it are pointers
// into it.

#include "bench/demo/list_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lychgate::demo {

using ring::Op;
using ring::OpTag;

namespace {

constexpr size_t kHeaderBytes = 12;
constexpr size_t kTypeAndClassBytes = 4;
constexpr size_t kLabelBytesMax = 63;
constexpr uint16_t kFlags = 0x8580;  // reply, authoritative, recursion desired and available
constexpr uint16_t kPointer = 0xc000;
constexpr uint16_t kTypeA = 1;
constexpr uint16_t kTypeSoa = 6;
constexpr uint16_t kTypeTxt = 16;
constexpr uint16_t kClassIn = 1;
constexpr uint16_t kNxDomain = 3;
constexpr uint16_t kRefused = 5;
constexpr uint32_t kTtl = 300;
constexpr uint32_t kNegativeTtl = 60;
constexpr uint32_t kErrorCode = 0x7ffffffe;  // 127.255.255.254
constexpr uint32_t kLoopback = 0x7f000000;
constexpr uint32_t kTestPoint = 0x7f000002;  // RFC 5782 section 5: every list holds it
// More questions than a burst of all clients brings.
constexpr int kReceiveBytes = 1 << 20;

// What is asked about whom; nobody: an IPv6 address, or no address at all.
struct Question {
  std::string zone;
  size_t zone_at = 0;  // offset in the message
  std::optional<IpAddress> about;
  uint16_t type = 0;
  size_t end = 0;  // offset behind it
};

uint16_t load16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 |
                               static_cast<uint8_t>(bytes[at + 1]));
}

void put16(std::string& out, uint32_t value) {
  out += static_cast<char>(value >> 8 & 0xff);
  out += static_cast<char>(value & 0xff);
}
void put32(std::string& out, uint32_t value) {
  put16(out, value >> 16);
  put16(out, value);
}

// The zone is the last two labels; an IPv4 address in front of it has its octets reversed.
std::optional<Question> read_question(std::string_view message) {
  std::vector<std::string_view> labels;
  size_t at = kHeaderBytes;
  while (at < message.size() && message[at] != 0) {
    const auto length = static_cast<uint8_t>(message[at]);
    if (length > kLabelBytesMax || message.size() - at <= length) return std::nullopt;
    labels.push_back(message.substr(at + 1, length));
    at += 1u + length;
  }
  if (labels.size() < 2 || message.size() - at < 1 + kTypeAndClassBytes) return std::nullopt;
  Question out;
  const size_t in_front = labels.size() - 2;
  out.zone = fmt::format("{}.{}", labels[in_front], labels[in_front + 1]);
  out.zone_at = static_cast<size_t>(labels[in_front].data() - message.data()) - 1;
  if (in_front == 4) {
    const std::vector<std::string_view> octets(labels.rend() - 4, labels.rend());
    out.about = IpAddress::parse(fmt::format("{}", fmt::join(octets, ".")));
  }
  out.type = load16(message, at + 1);
  out.end = at + 1 + kTypeAndClassBytes;
  return out;
}

const DemoList* list_of(std::string_view zone) {
  for (const DemoList& list : kLists) {
    if (list.zone == zone) return &list;
  }
  return nullptr;
}

bool holds(const DemoList& list, const IpAddress& address) {
  if (address.v4() == kTestPoint) return true;
  return list.network != 0 && address.v4() >> 16 == (kLoopback >> 16 | list.network);
}

std::string record_data(uint16_t type, const IpAddress& address, uint32_t code) {
  std::string data;
  if (type == kTypeA) {
    put32(data, code);
  } else {
    const std::string reason = reason_for(address);
    data += static_cast<char>(reason.size());
    data += reason;
  }
  return data;
}

void put_record(std::string& out, size_t owner, uint16_t type, uint32_t ttl,
                std::string_view data) {
  put16(out, kPointer | static_cast<uint32_t>(owner));
  put16(out, type);
  put16(out, kClassIn);
  put32(out, ttl);
  put16(out, static_cast<uint32_t>(data.size()));
  out += data;
}

// Header and question of a reply with at most one record.
std::string begin_reply(std::string_view message, const Question& question, uint16_t rcode,
                        bool found) {
  std::string out(message.substr(0, 2));
  put16(out, uint32_t{kFlags} | rcode);
  put16(out, 1);
  put16(out, found ? 1 : 0);
  put16(out, rcode == kNxDomain ? 1 : 0);
  put16(out, 0);
  out += message.substr(kHeaderBytes, question.end - kHeaderBytes);
  return out;
}

std::string not_listed(std::string_view message, const Question& question) {
  std::string out = begin_reply(message, question, kNxDomain, false);
  std::string data(2, '\0');                              // both names of the SOA are the root
  for (int i = 0; i < 5; ++i) put32(data, kNegativeTtl);  // the last is what counts: MINIMUM
  put_record(out, question.zone_at, kTypeSoa, kNegativeTtl, data);
  return out;
}

}  // namespace

std::string reason_for(const IpAddress& address) {
  return fmt::format("{} mailed a spamtrap", address.text());
}

Result<std::unique_ptr<ListServer>> ListServer::open(Loop& loop) {
  const SocketAddress address = SocketAddress::from({IpAddress::from_v4(INADDR_LOOPBACK), 0});
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || bind(fd, &address.any, address.length) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return fail(ExitCode::kOsError, "the list server has no socket: " + errno_text(error));
  }
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof(kReceiveBytes));
  return std::unique_ptr<ListServer>(new ListServer(loop, fd));
}

ListServer::ListServer(Loop& loop, int fd)
    : loop_(loop), id_(loop.add(*this)), fd_(fd), address_(loop.reactor().local_endpoint(fd)) {
  listen();
}

ListServer::~ListServer() {
  close(fd_);
}

void ListServer::listen() {
  loop_.reactor().poll_fd(fd_, OpTag::of(Op::kLook, id_));
}

void ListServer::complete(const ring::Completion&) {
  char bytes[512];
  SocketAddress from;
  for (;;) {
    from.length = sizeof(from.v6);
    const ssize_t got = recvfrom(fd_, bytes, sizeof(bytes), 0, &from.any, &from.length);
    if (got < 0) break;
    const std::string reply = answer({bytes, static_cast<size_t>(got)});
    if (!reply.empty()) sendto(fd_, reply.data(), reply.size(), 0, &from.any, from.length);
  }
  listen();
}

// Empty: not a question.
std::string ListServer::answer(std::string_view message) {
  if (message.size() < kHeaderBytes) return {};
  const auto question = read_question(message);
  if (!question) return {};
  ++questions_;
  const DemoList* list = list_of(question->zone);
  if (list == nullptr) return begin_reply(message, *question, kRefused, false);
  const bool refuses = had_enough_ && list == &kQuotaList;
  const bool asked = question->type == kTypeA || question->type == kTypeTxt;
  if (!question->about || !asked || !(refuses || holds(*list, *question->about))) {
    return not_listed(message, *question);
  }
  const IpAddress& about = *question->about;
  if (refuses && about.v4() >> 24 == kLoopback >> 24) ++errors_[about.v4() >> 16 & 0xff];
  std::string out = begin_reply(message, *question, 0, true);
  const uint32_t code = refuses ? kErrorCode : kLoopback | list->code;
  put_record(out, kHeaderBytes, question->type, kTtl, record_data(question->type, about, code));
  return out;
}

}  // namespace lychgate::demo
