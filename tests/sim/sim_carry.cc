// Held clients on their way between shards: the sockets that carry them, and what this kernel does
// to messages and descriptors. It judges that nobody is lost but by a fault of its own making.

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"
#include "tests/sim/sim_reactor.h"

namespace lychgate::sim {

namespace {

constexpr size_t kMessagesMax = 3;  // that a socket holds
// Slots that accepts in flight may be about to take.
constexpr uint32_t kAboutToBeTaken = kAcceptBatchMax;

}  // namespace

int SimReactor::make_carry_end() {
  return add_file(CarryEnd{std::make_shared<CarryPipe>(), true});
}

int SimReactor::make_carry_start(int end_fd) {
  CarryPipe& pipe = *std::get_if<CarryEnd>(&files_.at(end_fd))->pipe;
  ++pipe.starts;
  return add_file(CarryEnd{std::get_if<CarryEnd>(&files_.at(end_fd))->pipe, false});
}

int SimReactor::make_carry_start(CarrySink sink) {
  auto pipe = std::make_shared<CarryPipe>();
  pipe->sink = std::move(sink);
  pipe->starts = 1;
  return add_file(CarryEnd{std::move(pipe), false});
}

void SimReactor::end_carry(int end_fd) {
  const auto found = files_.find(end_fd);
  if (found == files_.end()) return;
  CarryPipe& pipe = *std::get_if<CarryEnd>(&found->second)->pipe;
  pipe.last = true;
  carry_changed(pipe);
}

void SimReactor::carry_changed(CarryPipe& pipe) {
  if (!pipe.poll || !pipe.readable()) return;
  post_tag(*std::exchange(pipe.poll, std::nullopt), 1, false);
}

void SimReactor::put_on_its_way(Socket& socket) {
  ++socket.references;
  socket.on_its_way = true;
  ++socket.carries;
  ++on_their_way_;
}

void SimReactor::carry_here(int end_fd, std::span<const uint8_t> bytes,
                            std::vector<SocketPtr> sockets) {
  CarryPipe& pipe = *std::get_if<CarryEnd>(&files_.at(end_fd))->pipe;
  for (const SocketPtr& socket : sockets) put_on_its_way(*socket);
  pipe.queue.push_back({{bytes.begin(), bytes.end()}, std::move(sockets)});
  carry_changed(pipe);
}

// 0: the message goes.
int SimReactor::carry_refusal(const CarryPipe& pipe) {
  if (pipe.broken) return random_.pick({EPIPE, ECONNRESET});
  if (pipe.queue.size() >= kMessagesMax) return EAGAIN;
  if (!random_.chance(faults_.carry_full_percent)) return 0;
  return random_.pick({EAGAIN, ETOOMANYREFS, ENOBUFS});
}

ssize_t SimReactor::send_message(int fd, std::span<const uint8_t> bytes,
                                 std::span<const int> descriptors) {
  CarryPipe& pipe = *std::get_if<CarryEnd>(&files_.at(fd))->pipe;
  if (descriptors.empty() || descriptors.size() > ring::kDescriptorsPerMessage) {
    violation("a message with no descriptors, or too many");
  }
  if (random_.chance(faults_.carry_break_percent)) pipe.broken = true;
  if (const int error = carry_refusal(pipe); error != 0) return -error;
  CarryMessage message{{bytes.begin(), bytes.end()}, {}};
  for (const int each : descriptors) {
    const SocketPtr socket = socket_of(each);
    if (!socket) {
      violation("a descriptor is carried that is not open");
      return -EBADF;
    }
    touch(*socket, "carry");
    if (!socket->armed.empty()) violation("a client is carried with requests in flight");
    put_on_its_way(*socket);
    message.sockets.push_back(socket);
  }
  if (pipe.sink) {
    on_their_way_ -= static_cast<uint32_t>(message.sockets.size());
    pipe.sink(message.bytes, message.sockets);
    for (const SocketPtr& socket : message.sockets) drop_reference(*socket);
  } else {
    pipe.queue.push_back(std::move(message));
    carry_changed(pipe);
  }
  return static_cast<ssize_t>(bytes.size());
}

ring::MessageIn SimReactor::receive_message(int fd, std::span<uint8_t> into,
                                            std::span<int> descriptors) {
  CarryPipe& pipe = *std::get_if<CarryEnd>(&files_.at(fd))->pipe;
  if (pipe.queue.empty()) return {pipe.readable() ? 0 : -EAGAIN, 0};
  const CarryMessage message = std::move(pipe.queue.front());
  pipe.queue.pop_front();
  // MSG_CTRUNC: no more descriptors may be opened.
  size_t kept = message.sockets.size();
  if (random_.chance(faults_.no_descriptor_percent)) kept = random_.between(0, kept - 1);
  for (size_t i = 0; i < message.sockets.size(); ++i) {
    message.sockets[i]->carry_faulted = i >= kept;
    if (i < kept) {
      descriptors[i] = add_file(Carried{message.sockets[i]});
    } else {
      end_of_way(*message.sockets[i]);
    }
  }
  const size_t bytes = std::min(into.size(), message.bytes.size());
  std::copy_n(message.bytes.begin(), bytes, into.begin());
  return {static_cast<ssize_t>(bytes), static_cast<uint32_t>(kept)};
}

SimReactor::Answer SimReactor::do_adopt(Request& request) {
  int adopted = 0;
  for (int& fd : request.descriptors) {
    if (file<PairEnd>(fd) != nullptr) return adopt_pair(request);
    const auto* carried = file<Carried>(fd);
    if (carried == nullptr) {
      violation("a descriptor is adopted that was not carried here");
      return answer(-EBADF);
    }
    const SocketPtr socket = carried->socket;
    const int slot = find_slot(request.table);
    if (slot < 0) violation("a carried client found the table full");
    if (slot < 0 || random_.chance(faults_.no_descriptor_percent)) {
      socket->carry_faulted = true;
      return answer(adopted > 0 ? adopted : -ENOMEM);
    }
    table_[static_cast<size_t>(slot)] = socket;
    ++slots_open_;
    ++socket->references;
    ++socket->slots;
    socket->on_its_way = false;
    fd = slot - static_cast<int>(request.table * table_size_);
    ++adopted;
  }
  return answer(adopted);
}

// Free as the gate knows it: what has been closed and was told to it.
bool SimReactor::has_room_to_adopt() const {
  std::vector<uint32_t> free(table_.size() / table_size_);
  for (size_t i = 0; i < table_.size(); ++i) {
    if (!table_[i] && unsettled_[i] == 0) ++free[i / table_size_];
  }
  for (size_t table = 0; table < free.size(); ++table) {
    const uint32_t kept = kAboutToBeTaken + (table == 0 ? reserve_ + kAcceptBatchMax : 0);
    if (free[table] > kept) return true;
  }
  return false;
}

// A descriptor that came with a message is closed, or never came to be one.
void SimReactor::end_of_way(Socket& socket) {
  --on_their_way_;
  --socket.carries;
  if (std::exchange(socket.on_its_way, false)) {
    if (!socket.carry_faulted && has_room_to_adopt()) {
      violation(fmt::format("client {} is not taken over although there is room", socket.client));
    }
    socket.carry_lost = true;
    ++carry_lost_;
  }
  if (socket.slots == 0 && socket.carries == 0) socket.far->let_go();
  drop_reference(socket);
}

void SimReactor::close_carry(const CarryEnd& end) {
  if (end.reads) {
    end.pipe->broken = true;
    if (!end.pipe->queue.empty()) violation("clients on their way are left behind");
  } else {
    --end.pipe->starts;
    carry_changed(*end.pipe);
  }
}

}  // namespace lychgate::sim
