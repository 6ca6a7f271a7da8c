// What each request does: at once, later, or not before its socket changes.

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

using ring::Op;

SocketPtr SimReactor::socket_of(int fd) {
  const SocketPtr* socket = file<SocketPtr>(fd);
  return socket == nullptr ? nullptr : *socket;
}

void SimReactor::submit() {
  const std::vector<Request> batch = std::exchange(submissions_, {});
  if (reserve_ > 0) check_reserve(batch);
  for (const Request& request : batch) start(std::make_shared<Request>(request));
}

// What clients do not leave free is missing to sockets to backends.
void SimReactor::check_reserve(const std::vector<Request>& batch) {
  auto accepts = std::count_if(batch.begin(), batch.end(), [](const Request& request) {
    return request.verb == Verb::kAccept && request.table == 0;
  });
  for (const Request& request : batch) {
    const bool carried = request.tag.operation() == Op::kCarryAdopt && request.table == 0;
    if (carried) accepts += static_cast<ptrdiff_t>(request.descriptors.size());
  }
  const auto moves = std::count_if(batch.begin(), batch.end(), [](const Request& request) {
    return request.verb == Verb::kMove;
  });
  if (accepts + moves == 0) return;
  const auto free = std::count(table_.begin(), table_.begin() + table_size_, nullptr);
  if (accepts > 0 && accepts + moves + reserve_ > free) violation("accepts use the reserve");
  if (moves > 0 && moves + reserve_ / 2 > free) violation("moves use the reserve of backends");
}

// What a kernel may hand to a worker thread: never the verbs that are DONTWAIT or a close, whose
// completions come in the order of the submissions. A connect takes its own time (Server).
bool SimReactor::may_be_late(Verb verb) const {
  switch (verb) {
    case Verb::kShutdown:
    case Verb::kInstall:
    case Verb::kOpenSocket:
    case Verb::kSetNodelay:
      return true;
    default:
      return false;
  }
}

// A table that holds knows only what the ring answers at once (ring/reactor.h).
bool SimReactor::is_allowed(const Request& request) const {
  switch (request.verb) {
    case Verb::kPeek:
    case Verb::kTake:
    case Verb::kDiscard:
    case Verb::kShrink:
    case Verb::kSend:
    case Verb::kShutdown:
    case Verb::kClose:
    case Verb::kCancel:
    case Verb::kInstall:
      return true;
    case Verb::kMove:
      return request.slot >= table_size_;
    default:
      return request.slot < table_size_;
  }
}

void SimReactor::start(const RequestPtr& request) {
  if (request->slot != kNoSlot && !is_allowed(*request)) {
    return violation(fmt::format("verb {} on slot {} of tables of {}",
                                 static_cast<int>(request->verb), request->slot, table_size_));
  }
  if (request->slot != kNoSlot) {
    request->file = table_.at(request->slot);
    if (!request->file) {
      return violation(fmt::format("verb {} on slot {}, which is empty",
                                   static_cast<int>(request->verb), request->slot));
    }
  }
  if (request->verb == Verb::kWriteFd || request->verb == Verb::kSendFd) return write_log(request);
  if (request->verb == Verb::kSend && request->file->far != nullptr) {
    request->file->far->written(request->tag.operation(), request->bytes);
  }
  if (may_be_late(request->verb) && random_.chance(faults_.late_percent)) {
    request->in_worker = true;
    if (request->file) request->file->armed.push_back(request);
    agenda_.after(random_.between(0, faults_.late_max), [this, request] { run_late(request); });
    return;
  }
  const Answer got = attempt(*request);
  if (got.ready && request->untold && got.result >= 0) return;
  if (got.ready) {
    post(*request, got);
  } else if (request->file) {
    request->file->armed.push_back(request);
  }
}

void SimReactor::run_late(const RequestPtr& request) {
  const bool cancelled = request->file && std::count(request->file->armed.begin(),
                                                     request->file->armed.end(), request) == 0;
  if (cancelled) return;
  request->in_worker = false;
  const Answer got = attempt(*request);
  if (!got.ready) return;
  if (request->file) std::erase(request->file->armed, request);
  post(*request, got);
}

SimReactor::Answer SimReactor::attempt(Request& request) {
  switch (request.verb) {
    case Verb::kAccept:
      return do_accept(request);
    case Verb::kPollFd:
      return do_poll_fd(request);
    case Verb::kCancelFd: {
      Listener& at = listener(request.fd);
      if (!at.poll) return answer(-ENOENT);
      post_tag(*at.poll, -ECANCELED, false);
      at.poll.reset();
      return answer(1);
    }
    case Verb::kCloseFd:
      close_real(request.fd);
      return answer(0);
    case Verb::kSendPacket:
      return do_send_packet(request);
    case Verb::kReceivePackets:
      return do_receive_packets(request);
    case Verb::kOpenSocket:
      return do_open_socket(request);
    case Verb::kAdopt:
      return do_adopt(request);
    case Verb::kWriteFd:
    case Verb::kSendFd:
      break;
    default:
      return attempt_on_slot(request);
  }
  LYCH_CHECK(false);
  return answer(-EINVAL);
}

SimReactor::Answer SimReactor::attempt_on_slot(Request& request) {
  switch (request.verb) {
    case Verb::kPeek:
      return do_peek(request);
    case Verb::kTake:
      return do_take(request);
    case Verb::kDiscard:
      return do_discard(request);
    case Verb::kReceive:
      return do_receive(request);
    case Verb::kPeekNext:
    case Verb::kReceiveNext:
      return do_next(request);
    case Verb::kSend:
      return do_send(request);
    case Verb::kShutdown:
      return do_shutdown(request);
    case Verb::kClose:
      return do_close(request);
    case Verb::kCancel:
      return do_cancel(request);
    case Verb::kCancelRequest:
      return do_cancel_request(request);
    case Verb::kPoll:
      return do_poll(request);
    case Verb::kInstall:
      return do_install(request);
    case Verb::kMove:
      return do_move(request);
    case Verb::kSetNodelay:
    case Verb::kShrink:
      return answer(0);
    case Verb::kConnect:
      return do_connect(request);
    case Verb::kSendDescriptor:
      return do_send_descriptor(request);
    default:
      break;
  }
  LYCH_CHECK(false);
  return answer(-EINVAL);
}

SimReactor::Answer SimReactor::do_poll_fd(Request& request) {
  if (const auto* end = file<CarryEnd>(request.fd)) {
    if (end->pipe->poll) violation("a descriptor is polled twice");
    if (end->pipe->readable()) return answer(1);
    end->pipe->poll = request.tag;
    return not_yet();
  }
  const auto* at = file<std::shared_ptr<Listener>>(request.fd);
  const auto* source = at == nullptr ? file<std::shared_ptr<Source>>(request.fd) : nullptr;
  std::optional<ring::OpTag>& poll = at != nullptr ? (*at)->poll : (*source)->poll;
  if (poll) violation("a descriptor is polled twice");
  if (at != nullptr ? !(*at)->queue.empty() : (*source)->readable()) return answer(1);
  poll = request.tag;
  return not_yet();
}

int SimReactor::find_slot(uint32_t table) {
  for (size_t step = 0; step < table_size_; ++step) {
    const size_t slot = size_t{table} * table_size_ + (slot_hint_ + step) % table_size_;
    if (table_[slot]) continue;
    slot_hint_ = static_cast<uint32_t>(slot) + 1;
    return static_cast<int>(slot);
  }
  return -1;
}

SimReactor::Answer SimReactor::do_accept(Request& request) {
  Listener& at = listener(request.fd);
  if (at.queue.empty()) return answer(-EAGAIN);
  if (random_.chance(faults_.no_descriptor_percent))
    return answer(random_.pick({-ENFILE, -ENOMEM}));
  const SocketPtr socket = at.queue.front();
  at.queue.pop_front();
  const int slot = find_slot(request.table);
  if (slot < 0) {
    violation("an accept found the table full, which kills the client");
    return answer(-ENFILE);
  }
  table_[static_cast<size_t>(slot)] = socket;
  ++slots_open_;
  socket->references = socket->slots = 1;
  const SocketAddress from = SocketAddress::from(socket->remote);
  std::memcpy(&request.peer->any, &from.any, from.length);
  request.peer->length = from.length;
  socket->far->accepted();
  return answer(slot);
}

// The connection has two slots until the first is closed.
SimReactor::Answer SimReactor::do_move(Request& request) {
  if (random_.chance(faults_.no_descriptor_percent)) return answer(-ENOMEM);
  const int slot = find_slot(0);
  if (slot < 0) {
    violation("a move found the main table full, which costs an approved client its mail");
    return answer(-ENFILE);
  }
  table_[static_cast<size_t>(slot)] = request.file;
  ++slots_open_;
  ++request.file->references;
  ++request.file->slots;
  return answer(slot);
}

// nullptr: the gate may not open one now.
SocketPtr SimReactor::new_socket(Request& request) {
  auto socket = std::make_shared<Socket>();
  const Op op = request.tag.operation();
  if (op == Op::kDnsTcpSocket || op == Op::kCheckSocket) return socket;
  const SocketPtr client = table_.at(request.tag.slot);
  if (!client) {
    violation("a hand-off begins for an empty slot");
    return nullptr;
  }
  client->far->hand_off_begins();
  socket->client = client->client;
  return socket;
}

SimReactor::Answer SimReactor::do_open_socket(Request& request) {
  SocketPtr socket = new_socket(request);
  if (!socket) return answer(-EBADF);
  if (random_.chance(faults_.no_descriptor_percent))
    return answer(random_.pick({-ENFILE, -EMFILE}));
  const int slot = find_slot(0);
  if (slot < 0) return answer(-ENFILE);
  socket->references = socket->slots = 1;
  socket->rx_max = random_.pick<size_t>({300, 4096, 65536});
  socket->tx_max = random_.pick<size_t>({300, 4096, 65536});
  table_[static_cast<size_t>(slot)] = std::move(socket);
  ++slots_open_;
  return answer(slot);
}

// Nobody but the service may use a client that was passed.
void SimReactor::touch(const Socket& socket, const char* what) {
  if (socket.claims > 0)
    violation(fmt::format("{} on client {} after its hand-over", what, socket.client));
  if (socket.on_its_way)
    violation(fmt::format("{} on client {} while it is carried", what, socket.client));
}

int SimReactor::take_error(Socket& socket) {
  return std::exchange(socket.error, 0);
}

void SimReactor::into_socket(Socket& socket, std::span<const char> bytes) {
  if (!socket.far_gone) {
    socket.tx.push(bytes);
  } else if (!socket.broken && !socket.armed.empty()) {
    const SocketPtr kept = socket.armed.front()->file;
    agenda_.after(random_.between(0, 3), [this, kept] { reset(*kept, EPIPE); });
  } else if (!socket.broken) {
    reset(socket, EPIPE);
  }
  socket.far->poke();
}

SimReactor::Answer SimReactor::do_send(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "send");
  for (const RequestPtr& other : socket.armed) {
    const bool rival = other.get() != &request && other->verb == Verb::kSend;
    if (rival) violation("two sends on one socket may mix their bytes");
  }
  if (socket.broken || socket.near_shut) {
    if (request.done > 0) return answer(static_cast<ssize_t>(request.done));
    return answer(socket.error != 0 ? -take_error(socket) : -EPIPE);
  }
  const auto rest = request.bytes.subspan(request.done);
  const size_t bytes = std::min(rest.size(), socket.far_gone ? rest.size() : socket.tx_room());
  if (bytes > 0) into_socket(socket, rest.first(bytes));
  request.done += bytes;
  if (request.done == request.bytes.size()) return answer(static_cast<ssize_t>(request.done));
  if (request.whole) return not_yet();
  return answer(request.done > 0 ? static_cast<ssize_t>(request.done) : -EAGAIN);
}

SimReactor::Answer SimReactor::do_shutdown(Request& request) {
  Socket& socket = *request.file;
  touch(socket, "shutdown");
  if (socket.broken) return answer(-ENOTCONN);
  socket.near_shut = true;
  socket.far->poke();
  return answer(0);
}

SimReactor::Answer SimReactor::do_close(Request& request) {
  const SocketPtr socket = std::exchange(table_[request.slot], nullptr);
  --slots_open_;
  const auto left = std::erase_if(
      socket->armed, [&](const RequestPtr& armed) { return armed->slot == request.slot; });
  if (left > 0) {
    violation(fmt::format("slot {} is closed with {} requests in flight: the peer sees nothing",
                          request.slot, left));
  }
  const bool ended = socket->far_ended || socket->broken;
  if (request.by_reset && !ended && !socket->far->may_be_reset()) {
    violation(fmt::format("slot {} is reset though its peer has not ended", request.slot));
  }
  socket->near_reset = socket->near_reset || request.by_reset;
  const bool gone = --socket->slots == 0 && socket->carries == 0;
  if (gone && socket->far != nullptr) socket->far->let_go();
  drop_reference(*socket);
  return answer(0);
}

// A request that a worker runs may be past cancelling. A send that moved something says how much.
bool SimReactor::cancel_one(Socket& socket, const RequestPtr& request) {
  if (request->in_worker && random_.one_in(2)) return false;
  std::erase(socket.armed, request);
  const bool partial = request->verb == Verb::kSend && request->done > 0;
  post(*request, answer(partial ? static_cast<ssize_t>(request->done) : -ECANCELED));
  return true;
}

SimReactor::Answer SimReactor::do_cancel(Request& request) {
  Socket& socket = *request.file;
  const std::vector<RequestPtr> all = socket.armed;
  int32_t cancelled = 0;
  for (const RequestPtr& each : all) cancelled += cancel_one(socket, each) ? 1 : 0;
  return answer(cancelled > 0 ? cancelled : -ENOENT);
}

SimReactor::Answer SimReactor::do_cancel_request(Request& request) {
  Socket& socket = *request.file;
  for (const RequestPtr& each : socket.armed) {
    if (each->tag.pack() != request.target.pack()) continue;
    const RequestPtr kept = each;
    return answer(cancel_one(socket, kept) ? 0 : -EALREADY);
  }
  return answer(-ENOENT);
}

SimReactor::Answer SimReactor::do_poll(Request& request) {
  const Socket& socket = *request.file;
  touch(socket, "poll");
  int events = socket.broken ? POLLERR | POLLHUP : 0;
  if (request.what == ring::Readiness::kInput) {
    if (!socket.rx.empty()) events |= POLLIN;
    if (socket.far_ended) events |= POLLIN | POLLRDHUP;
  } else if (socket.near_shut || socket.far_gone || socket.tx_room() >= socket.tx_max / 3) {
    events |= POLLOUT;
  }
  return events != 0 ? answer(events) : not_yet();
}

SimReactor::Answer SimReactor::do_install(Request& request) {
  if (random_.chance(faults_.no_descriptor_percent)) return answer(-EMFILE);
  ++request.file->references;
  return answer(add_file(request.file));
}

SimReactor::Answer SimReactor::do_send_descriptor(Request& request) {
  Socket& socket = *request.file;
  const auto* pair = file<PairEnd>(request.message->fd);
  const SocketPtr passed = pair != nullptr ? pair->socket : socket_of(request.message->fd);
  if (!passed || (pair != nullptr && pair->ours)) {
    violation("a descriptor is passed that is not open");
    return answer(-EBADF);
  }
  if (socket.connected != 0) return answer(-ENOTCONN);
  if (socket.broken || socket.far_ended) return answer(-EPIPE);
  if (pair == nullptr) {
    if (++passed->claims > 1) violation(fmt::format("client {} is passed twice", passed->client));
    ++passed->references;
  } else {
    ++passed->theirs;
  }
  const auto bytes = request.message->bytes;
  socket.parcels.push_back({passed, pair != nullptr, std::string(bytes.begin(), bytes.end())});
  socket.far->poke();
  return answer(static_cast<ssize_t>(bytes.size()));
}

// A stream may take part of the bytes, a datagram goes whole; both may fail.
void SimReactor::write_log(const RequestPtr& request) {
  const bool error = random_.chance(faults_.log_error_percent);
  const bool part = request->verb == Verb::kWriteFd && random_.one_in(4);
  const Time span = random_.between(0, faults_.log_delay_max);
  agenda_.after(span, [this, request, error, part] {
    const size_t size = request->bytes.size();
    if (error) return post(*request, answer(request->verb == Verb::kWriteFd ? -EIO : -EAGAIN));
    const std::string copy(request->bytes.begin(), request->bytes.end());  // must still be there
    if (copy.empty()) violation("an empty log record");
    post(*request, answer(static_cast<ssize_t>(part ? random_.between(1, size) : size)));
  });
}

void SimReactor::close_real(int fd) {
  const auto found = files_.find(fd);
  if (found == files_.end()) return violation(fmt::format("descriptor {} is closed twice", fd));
  const File closed = std::move(found->second);
  files_.erase(found);
  if (const auto* socket = std::get_if<SocketPtr>(&closed)) return drop_reference(**socket);
  if (const auto* carried = std::get_if<Carried>(&closed)) return end_of_way(*carried->socket);
  if (const auto* carry = std::get_if<CarryEnd>(&closed)) return close_carry(*carry);
  if (const auto* pair = std::get_if<PairEnd>(&closed)) return close_pair_end(*pair);
  const auto* end = std::get_if<PipeEnd>(&closed);
  if (end == nullptr) return violation("a listener, log or control descriptor is closed");
  (end->reads ? end->pipe->read_open : end->pipe->write_open) = false;
  if (!end->pipe->read_open && !end->pipe->write_open) --pipes_made_;
}

Result<ring::PipePair> SimReactor::make_pipe() {
  if (pipes_made_ >= faults_.pipes_max) return fail(ExitCode::kOsError, "no more pipes");
  ++pipes_made_;
  const auto pipe = std::make_shared<Pipe>();
  return ring::PipePair{add_file(PipeEnd{pipe, true}), add_file(PipeEnd{pipe, false})};
}

ssize_t SimReactor::splice(int from, int to, size_t bytes_max) {
  const SocketPtr in = socket_of(from);
  const SocketPtr out = socket_of(to);
  const PipeEnd* pipe = in ? file<PipeEnd>(to) : file<PipeEnd>(from);
  if (pipe == nullptr || (!in && !out)) {
    violation("splice between descriptors that are not open");
    return -EBADF;
  }
  const SocketPtr socket = in ? in : out;
  touch(*socket, "splice");
  if (!socket->nonblocking) violation("splice on a socket that may block");
  return in ? splice_in(*in, *pipe->pipe, bytes_max) : splice_out(*pipe->pipe, *out, bytes_max);
}

ssize_t SimReactor::splice_in(Socket& from, Pipe& to, size_t bytes_max) {
  if (from.rx.empty()) {
    if (from.error != 0) return -take_error(from);
    return from.far_ended ? 0 : -EAGAIN;
  }
  const size_t room = size_t{kPipeBytes} - std::min(size_t{kPipeBytes}, to.bytes.size());
  size_t bytes = std::min({from.rx.size(), room, bytes_max});
  if (bytes == 0) return -EAGAIN;
  if (random_.chance(faults_.short_read_percent)) bytes = random_.between(1, bytes);
  to.bytes.push(std::span(from.rx.front().data(), bytes));
  from.rx.drop(bytes);
  from.far->poke();
  return static_cast<ssize_t>(bytes);
}

ssize_t SimReactor::splice_out(Pipe& from, Socket& to, size_t bytes_max) {
  if (to.broken || to.near_shut) return to.error != 0 ? -take_error(to) : -EPIPE;
  const size_t room = to.far_gone ? bytes_max : to.tx_room();
  const size_t bytes = std::min({from.bytes.size(), room, bytes_max});
  if (bytes == 0) return -EAGAIN;
  into_socket(to, std::span(from.bytes.front().data(), bytes));
  from.bytes.drop(bytes);
  bulk_bytes_ += bytes;
  return static_cast<ssize_t>(bytes);
}

void SimReactor::set_nonblocking(int fd) {
  const SocketPtr socket = socket_of(fd);
  if (!socket) return violation("O_NONBLOCK on a descriptor that is no socket");
  socket->nonblocking = true;
}

Endpoint SimReactor::local_endpoint(int fd) {
  const SocketPtr socket = socket_of(fd);
  if (!socket) violation("getsockname on a descriptor that is no socket");
  return socket ? socket->local : Endpoint{};
}

}  // namespace lychgate::sim
