// What a request that reads does: a look, a taking, a throwing away, and receives into buffers.

#include <algorithm>
#include <cerrno>

#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

SimReactor::Answer SimReactor::do_peek(Request& request) {
  const Answer found = look_into(*request.file, request.into);
  request.file->far->looked(request.tag.operation(), found.result);
  return found;
}

SimReactor::Answer SimReactor::look_into(Socket& socket, std::span<char> into) {
  touch(socket, "peek");
  if (!socket.rx.empty()) {
    size_t bytes = std::min(socket.rx.size(), into.size());
    if (random_.chance(faults_.short_read_percent)) bytes = random_.between(1, bytes);
    return answer(static_cast<ssize_t>(socket.rx.copy(into.first(bytes))));
  }
  if (socket.error != 0) return answer(-take_error(socket));
  return answer(socket.far_ended ? 0 : -EAGAIN);
}

// What is taken was looked at before, and is all there (net/ipv4/tcp.c stops short only at the end
// of its queue and at urgent data).
SimReactor::Answer SimReactor::do_take(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "take");
  if (socket.rx.empty()) return look_into(socket, request.into);
  const size_t bytes = socket.rx.copy(request.into);
  socket.rx.drop(bytes);
  socket.far->poke();
  return answer(static_cast<ssize_t>(bytes));
}

SimReactor::Answer SimReactor::do_discard(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "discard");
  const size_t bytes = socket.rx.size();
  socket.rx.clear();
  if (bytes > 0) {
    socket.far->poke();
    return answer(static_cast<ssize_t>(bytes));
  }
  if (socket.error != 0) return answer(-take_error(socket));
  return answer(socket.far_ended ? 0 : -EAGAIN);
}

// A copy of the next bytes, as far as one buffer takes them. REQUIRES: there are some.
SimReactor::Answer SimReactor::into_buffer(Socket& socket) {
  const uint16_t id = kernel_buffers_.front();
  kernel_buffers_.pop_front();
  buffer_out_[id] = true;
  size_t bytes = std::min(socket.rx.size(), size_t{kRelayBufferBytes});
  if (random_.chance(faults_.short_read_percent)) bytes = random_.between(1, bytes);
  socket.rx.copy(std::span(buffer_memory_).subspan(size_t{id} * kRelayBufferBytes, bytes));
  return {true, static_cast<int32_t>(bytes), id};
}

SimReactor::Answer SimReactor::do_receive(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "receive");
  for (;;) {
    // io_uring/net.c chooses the buffer before it looks at the socket.
    if (kernel_buffers_.empty()) return answer(-ENOBUFS);
    if (socket.rx.empty()) break;
    const Answer got = into_buffer(socket);
    socket.rx.drop(static_cast<size_t>(got.result));
    socket.far->poke();
    if (random_.chance(faults_.multishot_end_percent)) return got;
    post(request, got, true);
  }
  if (socket.error != 0) return answer(-take_error(socket));
  if (socket.far_ended) return answer(0);
  return socket.nonblocking ? answer(-EAGAIN) : not_yet();
}

// It waits for input before it asks for a buffer (IORING_RECVSEND_POLL_FIRST).
SimReactor::Answer SimReactor::do_next(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "receive");
  const bool input = !socket.rx.empty() || socket.far_ended || socket.error != 0;
  if (!input) return not_yet();
  if (kernel_buffers_.empty()) return answer(-ENOBUFS);
  if (!socket.rx.empty()) {
    const Answer got = into_buffer(socket);
    if (request.verb == Verb::kPeekNext) return got;
    socket.rx.drop(static_cast<size_t>(got.result));
    socket.far->poke();
    return got;
  }
  return answer(socket.error != 0 ? -take_error(socket) : 0);
}

}  // namespace lychgate::sim
