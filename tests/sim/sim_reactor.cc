// Verbs to requests, the turn, and the books. What a request does is in sim_verbs.cc.

#include "tests/sim/sim_reactor.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::sim {

using ring::Op;
using ring::OpTag;

namespace {

// Turns without any time passing that no honest load explains.
constexpr uint32_t kStillTurnsMax = 20000;

bool counts_for_slot(OpTag tag) {
  switch (tag.operation()) {
    case Op::kIgnored:
    case Op::kListenerPoll:
    case Op::kAccept:
    case Op::kTeaser:
    case Op::kLogWrite:
    case Op::kControl:
    case Op::kSynFeed:
    case Op::kSteward:
    case Op::kVisits:
    case Op::kDnsSend:
    case Op::kDnsReceive:
    case Op::kDnsTcpSocket:
    case Op::kCheckSocket:
    case Op::kCheckPair:
    case Op::kCarry:
    case Op::kCarryAdopt:
      return false;
    default:
      return true;
  }
}

// For no slot that is in use.
bool brings_a_socket(OpTag tag) {
  const Op op = tag.operation();
  return op == Op::kDnsTcpSocket || op == Op::kCheckSocket || op == Op::kCheckPair ||
         op == Op::kAccept || op == Op::kCarryAdopt;
}

}  // namespace

SimReactor::SimReactor(Agenda& agenda, Random& random, const KernelOptions& options)
    : agenda_(agenda),
      random_(random),
      faults_(options.faults),
      table_size_(options.slots),
      reserve_(options.reserve),
      table_(size_t{options.slots} * options.tables),
      unsettled_(table_.size()),
      buffer_count_(options.buffers),
      buffer_memory_(size_t{options.buffers} * kRelayBufferBytes),
      buffer_out_(options.buffers),
      buffer_sends_(options.buffers),
      buffers_seen_free_(options.buffers),
      packet_memory_(size_t{options.packets} * kPacketBufferBytes),
      packet_out_(options.packets) {
  for (uint32_t id = 0; id < options.buffers; ++id) {
    kernel_buffers_.push_back(static_cast<uint16_t>(id));
  }
  for (uint32_t id = 0; id < options.packets; ++id) {
    kernel_packets_.push_back(static_cast<uint16_t>(id));
  }
}

// Requests hold their socket and it holds them.
SimReactor::~SimReactor() {
  for (const SocketPtr& socket : table_) {
    if (socket) socket->armed.clear();
  }
}

void SimReactor::violation(std::string text) {
  violations_.push_back(fmt::format("at {} ms: {}", agenda_.now(), text));
}

void SimReactor::queue(Request request) {
  if (counts_for_slot(request.tag)) ++unsettled_[request.tag.slot];
  if (brings_a_socket(request.tag)) ++sockets_coming_;
  submissions_.push_back(std::move(request));
}

void SimReactor::accept_direct(int listener_fd, uint32_t table, ring::PeerAddress& peer,
                               OpTag tag) {
  queue({.verb = Verb::kAccept, .tag = tag, .table = table, .fd = listener_fd, .peer = &peer});
}
void SimReactor::poll_fd(int fd, OpTag tag) {
  queue({.verb = Verb::kPollFd, .tag = tag, .fd = fd});
}
void SimReactor::cancel_fd(int fd, OpTag tag) {
  queue({.verb = Verb::kCancelFd, .tag = tag, .fd = fd});
}
void SimReactor::write_fd(int fd, std::span<const char> bytes, OpTag tag) {
  queue({.verb = Verb::kWriteFd, .tag = tag, .fd = fd, .bytes = bytes});
}
void SimReactor::send_fd(int fd, std::span<const char> datagram, OpTag tag) {
  queue({.verb = Verb::kSendFd, .tag = tag, .fd = fd, .bytes = datagram});
}
void SimReactor::close_fd(int fd) {
  queue({.verb = Verb::kCloseFd, .tag = OpTag::of(Op::kIgnored), .fd = fd});
}
void SimReactor::send_packet(int fd, std::span<const char> packet, OpTag tag) {
  queue({.verb = Verb::kSendPacket, .tag = tag, .fd = fd, .bytes = packet});
}
void SimReactor::receive_packets(int fd, OpTag tag) {
  queue({.verb = Verb::kReceivePackets, .tag = tag, .fd = fd});
}
void SimReactor::peek(uint32_t slot, std::span<char> into, OpTag tag) {
  queue({.verb = Verb::kPeek, .tag = tag, .slot = slot, .into = into});
}
void SimReactor::discard(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kDiscard, .tag = tag, .slot = slot});
}
void SimReactor::take(uint32_t slot, std::span<char> into, OpTag tag) {
  queue({.verb = Verb::kTake, .tag = tag, .slot = slot, .into = into});
}
void SimReactor::receive_next(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kReceiveNext, .tag = tag, .slot = slot});
}
void SimReactor::peek_next(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kPeekNext, .tag = tag, .slot = slot});
}
void SimReactor::receive_multishot(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kReceive, .tag = tag, .slot = slot});
}
void SimReactor::send(uint32_t slot, std::span<const char> bytes, ring::SendMode mode, OpTag tag) {
  const int buffer = buffer_of(bytes);
  if (buffer >= 0) ++buffer_sends_[static_cast<size_t>(buffer)];
  queue({.verb = Verb::kSend,
         .tag = tag,
         .slot = slot,
         .bytes = bytes,
         .whole = mode == ring::SendMode::kWhole && slot < table_size_,
         .untold = mode == ring::SendMode::kUntold && slot < table_size_,
         .buffer = buffer});
}
void SimReactor::shutdown_write(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kShutdown, .tag = tag, .slot = slot});
}
void SimReactor::close(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kClose, .tag = tag, .slot = slot});
}
void SimReactor::close_by_reset(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kClose, .tag = tag, .slot = slot, .by_reset = true});
}
void SimReactor::cancel(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kCancel, .tag = tag, .slot = slot});
}
void SimReactor::cancel_request(OpTag target, OpTag tag) {
  queue({.verb = Verb::kCancelRequest,
         .tag = tag,
         .slot = static_cast<uint32_t>(target.slot),
         .target = target});
}
void SimReactor::poll(uint32_t slot, ring::Readiness what, OpTag tag) {
  queue({.verb = Verb::kPoll, .tag = tag, .slot = slot, .what = what});
}
void SimReactor::install(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kInstall, .tag = tag, .slot = slot});
}
void SimReactor::move_to_main(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kMove, .tag = tag, .slot = slot});
}
void SimReactor::adopt(uint32_t table, std::span<int> descriptors, OpTag tag) {
  queue({.verb = Verb::kAdopt, .tag = tag, .table = table, .descriptors = descriptors});
}
void SimReactor::open_socket(int /*family*/, OpTag tag) {
  queue({.verb = Verb::kOpenSocket, .tag = tag});
}
void SimReactor::set_nodelay(uint32_t slot, OpTag tag) {
  queue({.verb = Verb::kSetNodelay, .tag = tag, .slot = slot});
}
void SimReactor::shrink(uint32_t slot, int /*bytes*/, OpTag tag) {
  queue({.verb = Verb::kShrink, .tag = tag, .slot = slot});
}
void SimReactor::connect(uint32_t slot, const SocketAddress& to, OpTag tag) {
  queue({.verb = Verb::kConnect, .tag = tag, .slot = slot, .to = &to});
}
void SimReactor::send_descriptor(uint32_t slot, ring::DescriptorMessage& message, OpTag tag) {
  queue({.verb = Verb::kSendDescriptor, .tag = tag, .slot = slot, .message = &message});
}

std::span<const char> SimReactor::buffer(uint16_t id) const {
  LYCH_CHECK(id < buffer_count_);
  return std::span(buffer_memory_).subspan(size_t{id} * kRelayBufferBytes, kRelayBufferBytes);
}

void SimReactor::give_back(uint16_t id) {
  LYCH_CHECK(id < buffer_count_);
  if (!buffer_out_[id]) violation(fmt::format("buffer {} is given back twice", id));
  if (buffer_sends_[id] > 0) violation(fmt::format("buffer {} is given back while being sent", id));
  buffer_out_[id] = false;
  // Whoever still reads it shall read nonsense.
  std::fill_n(buffer_memory_.begin() + static_cast<ptrdiff_t>(size_t{id} * kRelayBufferBytes), 256,
              '\x5a');
  kernel_buffers_.push_back(id);
  ++buffers_seen_free_;
}

int SimReactor::buffer_of(std::span<const char> bytes) const {
  const char* begin = buffer_memory_.data();
  if (bytes.data() < begin || bytes.data() >= begin + buffer_memory_.size()) return -1;
  return static_cast<int>(static_cast<size_t>(bytes.data() - begin) / kRelayBufferBytes);
}

void SimReactor::post(const Request& request, const Answer& given, bool more) {
  ring::Completion completion{request.tag, given.result, more, std::nullopt};
  if (given.buffer >= 0) completion.buffer = static_cast<uint16_t>(given.buffer);
  posted_.push_back({completion, request.buffer});
  const bool sent = request.verb == Verb::kSend && given.result >= 0 &&
                    static_cast<size_t>(given.result) == request.bytes.size();
  if (sent && request.tag.operation() == Op::kRelaySend) relayed_bytes_ += request.bytes.size();
}

void SimReactor::post_tag(OpTag tag, int32_t result, bool more) {
  posted_.push_back({ring::Completion{tag, result, more, std::nullopt}, -1});
}

std::span<const ring::Completion> SimReactor::turn(std::optional<milliseconds> wait) {
  interrupted_ = false;
  submit();
  if (random_.chance(faults_.busy_percent)) {
    agenda_.run_until(agenda_.now() + random_.between(0, random_.one_in(50) ? 400 : 3));
  }
  agenda_.run_until(agenda_.now());
  std::optional<Time> limit;
  if (wait) limit = agenda_.now() + static_cast<Time>(wait->count());
  while (posted_.empty() && !interrupted_) {
    const auto next = agenda_.next();
    if (limit && (!next || *next > *limit)) {
      agenda_.run_until(*limit);
      break;
    }
    if (!next) {
      violation("the gate sleeps without limit and nothing will ever wake it");
      break;
    }
    agenda_.run_next();
  }
  watch_for_spinning();
  return reap();
}

std::span<const ring::Completion> SimReactor::reap() {
  size_t count = std::min(posted_.size(), size_t{kCompletionsPerTurnMax});
  if (count > 1 && random_.chance(faults_.slice_percent)) count = random_.between(1, count);
  ready_.clear();
  for (size_t i = 0; i < count; ++i) {
    const Posted& posted = posted_.front();
    const ring::Completion& completion = posted.completion;
    if (posted.send_buffer >= 0) --buffer_sends_[static_cast<size_t>(posted.send_buffer)];
    const bool is_packet = completion.tag.operation() == Op::kDnsReceive;
    if (completion.buffer && is_packet) ++packets_held_;
    if (completion.buffer && !is_packet) --buffers_seen_free_;
    if (brings_a_socket(completion.tag)) --sockets_coming_;
    if (!completion.more && counts_for_slot(completion.tag)) --unsettled_[completion.tag.slot];
    ready_.push_back(completion);
    posted_.pop_front();
  }
  return ready_;
}

void SimReactor::watch_for_spinning() {
  still_turns_ = agenda_.now() == last_turn_ ? still_turns_ + 1 : 0;
  last_turn_ = agenda_.now();
  if (still_turns_ != kStillTurnsMax) return;
  const ring::Completion last = posted_.empty() ? ring::Completion{} : posted_.front().completion;
  violation(fmt::format("the gate spins; {} completions, the first of operation {}: {}",
                        posted_.size(), static_cast<int>(last.tag.op), last.result));
}

uint32_t SimReactor::waiting_clients() const {
  size_t waiting = 0;
  for (const auto& [fd, file] : files_) {
    const auto* listener = std::get_if<std::shared_ptr<Listener>>(&file);
    if (listener != nullptr) waiting += (*listener)->queue.size() + (*listener)->room.size();
  }
  return static_cast<uint32_t>(waiting);
}

uint32_t SimReactor::real_sockets() const {
  return static_cast<uint32_t>(std::count_if(files_.begin(), files_.end(), [](const auto& entry) {
    return std::holds_alternative<SocketPtr>(entry.second);
  }));
}

bool SimReactor::pipes_empty() const {
  return std::all_of(files_.begin(), files_.end(), [](const auto& entry) {
    const auto* end = std::get_if<PipeEnd>(&entry.second);
    return end == nullptr || end->pipe->bytes.empty();
  });
}

int SimReactor::add_file(File file) {
  int fd = 10;
  while (files_.contains(fd)) ++fd;
  files_.emplace(fd, std::move(file));
  return fd;
}

}  // namespace lychgate::sim
