// Sending and reading of control messages.

#include "core/daemon/child.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

namespace lychgate::daemon {
namespace {

// Of both programs of an upgrade: plain bytes, in the order of the fields.
template <typename T>
void put(T value, std::string& out) {
  static_assert(std::is_integral_v<T>);
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
T take(std::string_view& body) {
  T value;
  std::memcpy(&value, body.data(), sizeof(value));
  body.remove_prefix(sizeof(value));
  return value;
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
  return ControlMessage{bytes[0], std::string(bytes + 1, static_cast<size_t>(got) - 1),
                        descriptor_of(header)};
}

bool send_control(int socket, char kind, std::string_view body, int fd) {
  body = body.substr(0, kControlMessageMax - 1);
  iovec parts[] = {{&kind, 1}, {const_cast<char*>(body.data()), body.size()}};
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
  std::string out;
  put(static_cast<uint8_t>(order.same_lists), out);
  for (const uint8_t listener : order.listeners) put(listener, out);
  return out;
}

std::optional<CarryOrder> decode_carry_order(std::string_view body) {
  CarryOrder order;
  if (body.size() != 1 + order.listeners.size()) return std::nullopt;
  order.same_lists = take<uint8_t>(body) != 0;
  for (uint8_t& listener : order.listeners) listener = take<uint8_t>(body);
  return order;
}

std::string encode(const CarryResult& result) {
  std::string out;
  put(result.carried, out);
  put(result.stayed, out);
  put(result.lasted_ms, out);
  return out;
}

std::optional<CarryResult> decode_carry_result(std::string_view body) {
  if (body.size() != 3 * sizeof(uint32_t)) return std::nullopt;
  CarryResult result;
  result.carried = take<uint32_t>(body);
  result.stayed = take<uint32_t>(body);
  result.lasted_ms = take<uint32_t>(body);
  return result;
}

}  // namespace lychgate::daemon
