// Connected UDP sockets of the simulated kernel and the buffers that datagrams come in.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

int SimReactor::make_packet_socket(PacketFar& far, size_t queue_max) {
  auto socket = std::make_shared<PacketSocket>();
  socket->far = &far;
  socket->queue_max = queue_max;
  return add_file(std::move(socket));
}

PacketSocket& SimReactor::packet_socket(int fd) {
  return **std::get_if<std::shared_ptr<PacketSocket>>(&files_.at(fd));
}

std::span<const char> SimReactor::packet(uint16_t id) const {
  LYCH_CHECK(id < packet_out_.size());
  return std::span(packet_memory_).subspan(size_t{id} * kPacketBufferBytes, kPacketBufferBytes);
}

void SimReactor::give_back_packet(uint16_t id) {
  LYCH_CHECK(id < packet_out_.size());
  if (!packet_out_[id]) violation(fmt::format("packet buffer {} is given back twice", id));
  packet_out_[id] = false;
  --packets_held_;
  // Whoever still reads it shall read nonsense.
  std::fill_n(packet_memory_.begin() + static_cast<ptrdiff_t>(size_t{id} * kPacketBufferBytes),
              kPacketBufferBytes, '\x5a');
  kernel_packets_.push_back(id);
}

// The kernel copies or refuses at once (DONTWAIT), and a success has no completion. An error that
// ICMP has brought is told to whoever asks the socket for anything next.
SimReactor::Answer SimReactor::do_send_packet(Request& request) {
  PacketSocket& socket = packet_socket(request.fd);
  if (socket.error != 0) return answer(-std::exchange(socket.error, 0));
  if (random_.chance(faults_.packet_error_percent)) {
    return answer(random_.pick({-EAGAIN, -ENOBUFS, -EPERM}));
  }
  if (!socket.far->has_room()) return answer(-EAGAIN);
  socket.far->packet_came(request.fd, request.bytes);
  return not_yet();
}

SimReactor::Answer SimReactor::do_receive_packets(Request& request) {
  PacketSocket& socket = packet_socket(request.fd);
  if (socket.receive) violation("a packet socket has two receives");
  socket.receive = request.tag;
  hand_over_packets(socket);
  return not_yet();
}

bool SimReactor::deliver_packet(int fd, std::span<const char> packet) {
  PacketSocket& socket = packet_socket(fd);
  if (socket.queue.size() >= socket.queue_max) return false;
  socket.queue.emplace_back(packet.data(), packet.size());
  packets_changed(fd);
  return true;
}

void SimReactor::refuse_packets(int fd, int error) {
  packet_socket(fd).error = error;
  packets_changed(fd);
}

void SimReactor::packets_changed(int fd) {
  PacketSocket& socket = packet_socket(fd);
  if (socket.wake_pending || !socket.receive) return;
  socket.wake_pending = true;
  const bool late = random_.chance(faults_.late_percent);
  agenda_.after(late ? random_.between(0, faults_.late_max) : 0, [this, fd] {
    PacketSocket& waiting = packet_socket(fd);
    waiting.wake_pending = false;
    hand_over_packets(waiting);
  });
}

int SimReactor::take_packet_buffer(std::string_view bytes) {
  const uint16_t id = kernel_packets_.front();
  kernel_packets_.pop_front();
  packet_out_[id] = true;
  std::copy(bytes.begin(), bytes.end(),
            packet_memory_.begin() + static_cast<ptrdiff_t>(size_t{id} * kPacketBufferBytes));
  return id;
}

// What a multishot receive posts: a buffer for each datagram, and an end when there is an error, no
// buffer, or a datagram of no bytes (io_uring/net.c, io_recv: a result of 0 ends it).
void SimReactor::hand_over_packets(PacketSocket& socket) {
  while (socket.receive && (socket.error != 0 || !socket.queue.empty())) {
    ring::Completion done{*socket.receive, 0, false, std::nullopt};
    if (socket.error != 0) {
      done.result = -std::exchange(socket.error, 0);
    } else if (socket.queue.front().empty()) {
      socket.queue.pop_front();
    } else if (kernel_packets_.empty()) {
      done.result = -ENOBUFS;
    } else {
      const auto bytes = std::string_view(socket.queue.front()).substr(0, kPacketBufferBytes);
      done.result = static_cast<int32_t>(bytes.size());
      done.buffer = static_cast<uint16_t>(take_packet_buffer(bytes));
      done.more = !random_.chance(faults_.multishot_end_percent);
      socket.queue.pop_front();
    }
    if (!done.more) socket.receive.reset();
    posted_.push_back({done, -1});
  }
}

}  // namespace lychgate::sim
