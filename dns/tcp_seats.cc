// One stream: socket, connect, question, answer. A stream that was let go while its socket was on
// its way closes it when it comes.

#include "dns/tcp_seats.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/check.h"
#include "ring/buffers.h"

namespace lychgate::dns {

using ring::Completion;
using ring::Op;
using ring::OpTag;

TcpSeats::TcpSeats(ring::Connections& connections, PrivateMemory memory)
    : connections_(connections), memory_(std::move(memory)) {
  LYCH_CHECK(memory_.bytes().size() >= kMemoryBytes);
}

std::span<char> TcpSeats::out(uint32_t seat) const {
  return memory_.bytes().subspan(size_t{seat} * 512, 512);
}

std::span<char> TcpSeats::in(uint32_t seat) const {
  return memory_.bytes().subspan(size_t{kDnsTcpMax} * 512 + size_t{seat} * kDnsTcpBytes,
                                 kDnsTcpBytes);
}

uint32_t TcpSeats::index_of(const Stream& stream) const {
  return static_cast<uint32_t>(&stream - streams_.data());
}

bool TcpSeats::begin(uint32_t query, const Endpoint& server, std::span<const char> question) {
  // A socket of ours takes a slot, of which clients come first.
  if (connections_.free_slots() == 0) return false;
  const auto free = std::find_if(streams_.begin(), streams_.end(), [this](const Stream& each) {
    return !each.busy && connections_.slots.find(each.last) == nullptr;
  });
  if (free == streams_.end()) return false;
  Stream& stream = *free;
  ++used_;
  stream = Stream{};
  stream.query = query;
  stream.server = SocketAddress::from(server);
  stream.busy = true;
  stream.opening = true;
  const std::span<char> frame = out(index_of(stream));
  frame[0] = static_cast<char>(question.size() >> 8);
  frame[1] = static_cast<char>(question.size());
  std::memcpy(frame.data() + kFrameBytes, question.data(), question.size());
  stream.question_bytes = kFrameBytes + static_cast<uint32_t>(question.size());
  connections_.expect_slot();
  connections_.reactor.open_socket(stream.server.family(),
                                   OpTag::of(Op::kDnsTcpSocket, index_of(stream)));
  return true;
}

void TcpSeats::let_go(uint32_t query) {
  for (Stream& stream : streams_) {
    if (!stream.busy || stream.query != query) continue;
    stream.query = kNoQuery;
    if (!stream.opening) free(stream);
  }
}

void TcpSeats::free(Stream& stream) {
  if (stream.slot != kNoSlot) {
    stream.last = connections_.slots.id(stream.slot);
    connections_.retire(stream.slot);
  }
  stream.busy = false;
  stream.query = kNoQuery;
  --used_;
}

std::optional<TcpSeats::Ended> TcpSeats::end(Stream& stream, std::span<const char> message) {
  const Ended ended{stream.query,
                    out(index_of(stream)).subspan(kFrameBytes, stream.question_bytes - kFrameBytes),
                    message};
  free(stream);
  return ended;
}

std::optional<TcpSeats::Ended> TcpSeats::complete(const Completion& completion) {
  if (completion.tag.operation() == Op::kDnsTcpSocket) {
    Stream& stream = streams_[completion.tag.slot];
    opened(stream, completion);
    if (stream.busy && stream.slot == kNoSlot) return end(stream, {});
    return std::nullopt;
  }
  const auto slot = static_cast<uint32_t>(completion.tag.slot);
  Stream& stream = streams_[connections_.slots[slot].transfer];
  LYCH_CHECK(stream.busy && stream.slot == slot);
  if (completion.tag.operation() == Op::kDnsTcpReceive) return received(stream, completion);
  const bool whole = completion.tag.operation() == Op::kDnsTcpConnect ||
                     completion.result == static_cast<int32_t>(stream.question_bytes);
  if (completion.result < 0 || !whole) return end(stream, {});
  if (completion.tag.operation() == Op::kDnsTcpConnect) {
    connections_.reactor.receive_multishot(slot, connections_.begin(Op::kDnsTcpReceive, slot));
    connections_.reactor.send(slot, out(index_of(stream)).first(stream.question_bytes),
                              ring::SendMode::kWhole, connections_.begin(Op::kDnsTcpSend, slot));
  }
  return std::nullopt;
}

void TcpSeats::opened(Stream& stream, const Completion& completion) {
  connections_.slot_came();
  stream.opening = false;
  if (completion.result >= 0) {
    stream.slot = static_cast<uint32_t>(completion.result);
    connections_.open_backend(stream.slot, index_of(stream));
  }
  if (stream.query == kNoQuery) return free(stream);
  if (stream.slot == kNoSlot) return;
  connections_.reactor.connect(stream.slot, stream.server,
                               connections_.begin(Op::kDnsTcpConnect, stream.slot));
}

std::optional<TcpSeats::Ended> TcpSeats::received(Stream& stream, const Completion& completion) {
  const uint32_t seat = index_of(stream);
  if (completion.result > 0 && completion.buffer) {
    const ring::BufferLease lease(connections_.reactor, *completion.buffer,
                                  static_cast<uint32_t>(completion.result));
    const auto bytes = lease.bytes();
    if (bytes.size() > kDnsTcpBytes - stream.received) return end(stream, {});
    std::memcpy(in(seat).data() + stream.received, bytes.data(), bytes.size());
    stream.received += static_cast<uint32_t>(bytes.size());
  } else {
    // At -ENOBUFS too: relays hold all buffers, and to try again until one is free would be to
    // spin. A question is not worth a queue for them.
    return end(stream, {});
  }
  const auto got = in(seat).first(stream.received);
  if (got.size() >= kFrameBytes) {
    const size_t size =
        static_cast<size_t>(static_cast<uint8_t>(got[0])) << 8 | static_cast<uint8_t>(got[1]);
    if (size > kDnsTcpBytes - kFrameBytes) return end(stream, {});
    if (got.size() >= kFrameBytes + size) return end(stream, got.subspan(kFrameBytes, size));
  }
  if (!completion.more) {
    connections_.reactor.receive_multishot(stream.slot,
                                           connections_.begin(Op::kDnsTcpReceive, stream.slot));
  }
  return std::nullopt;
}

}  // namespace lychgate::dns
