// The other side of the simulated kernel: bytes, ends and resets, as the network brings
// them, and the waking of what waits for them.

#include <algorithm>
#include <cerrno>

#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

namespace {

std::string key_of(const SocketAddress& address) {
  return {reinterpret_cast<const char*>(&address.any), address.length};
}

}  // namespace

int SimReactor::make_source(std::function<bool()> readable) {
  return add_file(std::make_shared<Source>(Source{std::move(readable)}));
}
int SimReactor::make_control() {
  return make_source([this] { return control_said_; });
}
int SimReactor::make_log() {
  return add_file(LogEnd{});
}

void SimReactor::serve(const SocketAddress& address, Server& server) {
  servers_[key_of(address)] = &server;
}

SimReactor::Answer SimReactor::do_connect(Request& request) {
  Socket& socket = *request.file;
  if (!socket.connecting) {
    socket.connecting = true;
    const auto server = servers_.find(key_of(*request.to));
    if (server == servers_.end()) return answer(-ECONNREFUSED);
    server->second->connecting(request.file);
  }
  return socket.connected ? answer(*socket.connected) : not_yet();
}

void SimReactor::connect_done(Socket& socket, int result) {
  socket.connected = result;
  changed(socket);
}

size_t SimReactor::deliver(Socket& socket, std::span<const char> bytes) {
  if (socket.near_closed || socket.far_ended) return 0;
  const size_t fitting = std::min(socket.rx_room(), bytes.size());
  if (fitting == 0) return 0;
  socket.rx.push(bytes.first(fitting));
  changed(socket);
  return fitting;
}

size_t SimReactor::take(Socket& socket, std::span<char> into) {
  const size_t bytes = socket.tx.copy(into);
  socket.tx.drop(bytes);
  if (bytes > 0) changed(socket);
  return bytes;
}

void SimReactor::end(Socket& socket) {
  socket.far_ended = true;
  changed(socket);
}

void SimReactor::leave(Socket& socket) {
  if (!socket.tx.empty()) return reset(socket, ECONNRESET);
  socket.far_gone = true;
  end(socket);
}

void SimReactor::reset(Socket& socket, int error) {
  if (socket.broken) return;
  socket.broken = socket.far_ended = socket.far_gone = true;
  socket.error = error;
  socket.tx.clear();
  changed(socket);
}

void SimReactor::let_go(Socket& socket) {
  drop_reference(socket);
}

void SimReactor::drop_reference(Socket& socket) {
  if (--socket.references > 0) return;
  socket.near_closed = true;
  // RFC 2525 2.17: a close with bytes unread is a reset, and a reset destroys what is on its way.
  if (!socket.rx.empty() && !socket.broken) {
    socket.near_reset = true;
    socket.tx.clear();
  }
  if (socket.far != nullptr) socket.far->poke();
}

void SimReactor::source_changed(int fd) {
  Source& source = **std::get_if<std::shared_ptr<Source>>(&files_.at(fd));
  if (!source.poll || !source.readable()) return;
  post_tag(*source.poll, 1, false);
  source.poll.reset();
}

void SimReactor::say_to_control() {
  control_said_ = true;
  for (const auto& [fd, file] : files_) {
    if (std::holds_alternative<std::shared_ptr<Source>>(file)) source_changed(fd);
  }
}

void SimReactor::changed(Socket& socket) {
  if (socket.waits_at >= 0) return stirred(socket);
  if (socket.wake_pending || socket.armed.empty()) return;
  socket.wake_pending = true;
  const bool late = random_.chance(faults_.late_percent);
  const SocketPtr kept = socket.armed.front()->file;
  agenda_.after(late ? random_.between(0, faults_.late_max) : 0, [this, kept] { wake(*kept); });
}

void SimReactor::wake(Socket& socket) {
  socket.wake_pending = false;
  const bool input = !socket.rx.empty() || socket.far_ended || socket.broken;
  const std::vector<RequestPtr> waiting = socket.armed;
  for (const RequestPtr& request : waiting) {
    if (request->in_worker || (request->verb == Verb::kReceive && !input)) continue;
    const Answer got = attempt(*request);
    if (!got.ready) continue;
    std::erase(socket.armed, request);
    post(*request, got);
  }
}

}  // namespace lychgate::sim
