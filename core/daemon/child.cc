// Sending and reading of control messages.

#include "core/daemon/child.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <vector>

#include "core/daemon/message_bytes.h"

namespace lychgate::daemon {
namespace {

std::span<const uint8_t> bytes_of(std::string_view body) {
  return {reinterpret_cast<const uint8_t*>(body.data()), body.size()};
}

int descriptor_of(msghdr& header) {
  int fd = -1;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::memcpy(&fd, CMSG_DATA(part), sizeof(fd));
  }
  return fd;
}

}  // namespace

Result<std::optional<ControlMessage>> read_control(int socket) {
  char bytes[kControlMessageMax];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{bytes, sizeof(bytes)};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::optional<ControlMessage>();
  if (got <= 0) return fail(ExitCode::kUnavailable, "the other end is gone");
  return ControlMessage{static_cast<Word>(bytes[0]),
                        std::string(bytes + 1, static_cast<size_t>(got) - 1),
                        descriptor_of(header)};
}

bool send_control(int socket, Word word, std::string_view body, int fd) {
  body = body.substr(0, kControlMessageMax - 1);
  iovec parts[] = {{&word, 1}, {const_cast<char*>(body.data()), body.size()}};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = parts;
  header.msg_iovlen = 2;
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &fd, sizeof(fd));
  }
  return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

std::string encode(const CarryOrder& order) {
  std::vector<uint8_t> bytes;
  MessageWriter out(bytes);
  out.put(static_cast<uint8_t>(order.same_lists));
  out.put(order.listeners);
  return {bytes.begin(), bytes.end()};
}

std::optional<CarryOrder> decode_carry_order(std::string_view body) {
  CarryOrder order;
  if (body.size() != 1 + order.listeners.size()) return std::nullopt;
  MessageReader in(bytes_of(body));
  order.same_lists = in.get<uint8_t>() != 0;
  in.get(order.listeners);
  return order;
}

std::string encode(const CarryResult& result) {
  std::vector<uint8_t> bytes;
  MessageWriter out(bytes);
  out.put(result.carried);
  out.put(result.stayed);
  out.put(result.lasted_ms);
  return {bytes.begin(), bytes.end()};
}

std::optional<CarryResult> decode_carry_result(std::string_view body) {
  if (body.size() != 3 * sizeof(uint32_t)) return std::nullopt;
  MessageReader in(bytes_of(body));
  CarryResult result;
  in.get(result.carried);
  in.get(result.stayed);
  in.get(result.lasted_ms);
  return result;
}

}  // namespace lychgate::daemon
