// Listeners of the simulated kernel: the queue that accept takes from and, with TCP_DEFER_ACCEPT,
// the waiting room before it (Linux 6.18, net/ipv4/inet_connection_sock.c and tcp_minisocks.c).

#include <cerrno>

#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

namespace {

// A SYN-ACK is due again after 1, 3, 7, 15 and 31 s (net.ipv4.tcp_synack_retries = 5).
constexpr Time kFirstSynAck = 1000;
constexpr Time kLastSynAck = 31000;
// The SYN-ACK that follows one after `waited`.
constexpr Time next_syn_ack(Time waited) {
  return 2 * waited + 1000;
}

}  // namespace

SimReactor::Listener& SimReactor::listener(int fd) {
  return **std::get_if<std::shared_ptr<Listener>>(&files_.at(fd));
}

int SimReactor::listen(uint32_t backlog, Time defer) {
  return add_file(std::make_shared<Listener>(Listener{.backlog = backlog, .defer = defer}));
}

bool SimReactor::arrive(int listener_fd, const SocketPtr& socket) {
  Listener& at = listener(listener_fd);
  if (at.queue.size() > at.backlog) return false;
  // Past the backlog by a SYN cookie, which knows of no waiting.
  if (at.defer == 0 || at.room.size() >= at.backlog) {
    enqueue(at, socket);
    return true;
  }
  at.room.emplace(socket.get(), socket);
  socket->waits_at = listener_fd;
  Time wait = kFirstSynAck;
  while (wait < at.defer && wait < kLastSynAck) wait = next_syn_ack(wait);
  agenda_.after(wait, [this, socket, wait] { remind(socket, wait); });
  return true;
}

void SimReactor::enqueue(Listener& at, const SocketPtr& socket) {
  at.queue.push_back(socket);
  if (!at.poll) return;
  post_tag(*at.poll, 1, false);
  at.poll.reset();
}

// False when the queue is full.
bool SimReactor::let_out(Socket& socket) {
  Listener& at = listener(socket.waits_at);
  if (at.queue.size() > at.backlog) return false;
  enqueue(at, at.room.at(&socket));
  at.room.erase(&socket);
  socket.waits_at = -1;
  return true;
}

// The SYN-ACK that is sent when the wait is over; its answer brings the client out. One that is not
// answered is forgotten in the end, or at once when the room is half full.
void SimReactor::remind(const SocketPtr& socket, Time waited) {
  if (socket->waits_at < 0) return;
  const bool answered = waited <= kLastSynAck && !random_.chance(faults_.lost_ack_percent);
  if (answered && let_out(*socket)) return;
  const Listener& at = listener(socket->waits_at);
  // What it says from now on is answered by a reset.
  if (waited > kLastSynAck || at.room.size() > at.backlog / 2) return reset(*socket, ECONNRESET);
  const Time next = next_syn_ack(waited);
  agenda_.after(next - waited, [this, socket, next] { remind(socket, next); });
}

// Bytes or an end bring a client out at once; a reset is all the kernel ever knows of it.
void SimReactor::stirred(Socket& socket) {
  Listener& at = listener(socket.waits_at);
  const SocketPtr kept = at.room.at(&socket);
  if (socket.broken) {
    at.room.erase(&socket);
    socket.waits_at = -1;
    // The gate hears nothing; its turn ends, as a signal would end it, for those who watch it.
    interrupted_ = true;
  } else if (!let_out(socket)) {
    // It is sent again.
    agenda_.after(random_.between(200, 1000), [this, kept] {
      if (kept->waits_at >= 0) stirred(*kept);
    });
  }
}

}  // namespace lychgate::sim
