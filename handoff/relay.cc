// Dialogue part of a relay: receive into leased buffers, send the queue in order, half-close.

#include "handoff/relay.h"

#include <cerrno>

#include "core/base/check.h"

namespace lychgate::handoff {

using ring::Completion;
using ring::Op;

bool PipePool::reserve() {
  const auto pipe = lease();
  if (pipe) give_back(*pipe);
  return pipe.has_value();
}

std::optional<ring::PipePair> PipePool::lease() {
  if (idle_.empty()) {
    if (leased_ >= kPipesMax) return std::nullopt;
    auto made = reactor_.make_pipe();
    if (!made) return std::nullopt;
    idle_.push_back(*made);
  }
  const ring::PipePair pipe = idle_.back();
  idle_.pop_back();
  ++leased_;
  return pipe;
}

void PipePool::give_back(ring::PipePair pipe) {
  LYCH_CHECK(leased_ > 0);
  --leased_;
  idle_.push_back(pipe);
}

void PipePool::destroy(ring::PipePair pipe) {
  LYCH_CHECK(leased_ > 0);
  --leased_;
  reactor_.close_fd(pipe.read_end);
  reactor_.close_fd(pipe.write_end);
}

void Relay::start(RelayContext& context, const Ends& ends, ring::BufferLease greeting, Tick now) {
  index_ = ends.index;
  last_active_ = now;
  mode_ = RelayMode::kDialogue;
  installing_ = 0;
  winding_up_ = false;
  for (RelayDirection& way : directions_) {
    LYCH_CHECK(way.queue.empty() && way.pipe.read_end < 0 && way.from_fd < 0);
    way.burst = 0;
    way.receiving = way.pausing = way.sending = way.starved = way.ended = way.done = false;
  }
  directions_[0].from = directions_[1].to = ends.client;
  directions_[0].to = directions_[1].from = ends.backend;
  directions_[1].receiving = ends.backend_receiving;
  if (greeting) directions_[1].queue.push(context.links, std::move(greeting));
  pump(context, directions_[1]);
  for (RelayDirection& way : directions_) receive(context, way);
}

RelayDirection& Relay::other(RelayDirection& way) {
  return &way == &directions_[0] ? directions_[1] : directions_[0];
}

void Relay::complete(RelayContext& context, const Completion& completion, Tick now) {
  const auto slot = static_cast<uint32_t>(completion.tag.slot);
  RelayDirection& reads = slot == directions_[0].from ? directions_[0] : directions_[1];
  RelayDirection& writes = other(reads);
  switch (completion.tag.operation()) {
    case Op::kRelayReceive:
      received(context, reads, completion, now);
      break;
    case Op::kRelaySend:
      sent(context, writes, completion, now);
      break;
    case Op::kRelayReadable:
      reads.receiving = false;
      last_active_ = now;
      pump_bulk(context, reads);
      break;
    case Op::kRelayWritable:
      writes.sending = false;
      last_active_ = now;
      pump_bulk(context, writes);
      break;
    case Op::kRelayInstall:
      installed(context, reads, completion);
      break;
    default:  // shutdown and cancel have nothing to say; the rest is not a relay's
      break;
  }
  wind_up(context);
}

bool Relay::finished() const {
  bool quiet = installing_ == 0;
  for (const RelayDirection& way : directions_) {
    quiet = quiet && way.done && !way.receiving && !way.sending;
  }
  return quiet;
}

// A buffer whose send is in the kernel may not be used for anybody else's bytes, so the relay
// ends only when its requests have come back.
void Relay::wind_up(RelayContext& context) {
  if (winding_up_ || !directions_[0].done || !directions_[1].done || finished()) return;
  winding_up_ = true;
  for (const RelayDirection& way : directions_) {
    context.connections.reactor.cancel(way.from, context.connections.begin(Op::kCancel, way.from));
  }
}

void Relay::abort(RelayContext& context) {
  directions_[0].done = directions_[1].done = true;
  wind_up(context);
}

void Relay::received(RelayContext& context, RelayDirection& way, const Completion& completion,
                     Tick now) {
  ring::BufferLease lease;
  const uint32_t bytes = completion.result > 0 ? static_cast<uint32_t>(completion.result) : 0;
  if (completion.buffer) {
    lease = ring::BufferLease(context.connections.reactor, *completion.buffer, bytes);
  }
  if (!completion.more) way.receiving = way.pausing = false;
  if (bytes > 0) {
    last_active_ = now;
    way.burst += bytes;
    other(way).burst = 0;
    if (!way.done) way.queue.push(context.links, std::move(lease));
  } else if (completion.result == -ENOBUFS) {
    starve(context, way);
  } else if (completion.result != -ECANCELED) {
    way.ended = true;  // end of file, or an error, which ends the stream as well
  }
  pump(context, way);
  consider_bulk(context);
  if (mode_ == RelayMode::kSwitching) return switch_when_quiet(context);
  if (way.queue.size() >= kRelayQueueMax) pause(context, way);
  // A multishot receive may end by itself, for example when the completion queue was full.
  if (!way.receiving && way.queue.size() < kRelayQueueMax) receive(context, way);
}

void Relay::sent(RelayContext& context, RelayDirection& way, const Completion& completion,
                 Tick now) {
  way.sending = false;
  if (way.done) return;  // aborted; the queue goes when the relay stops
  const auto wanted = way.queue.front(context.links, context.connections.reactor).size();
  // kWhole: anything short of the whole means that the peer is gone.
  if (completion.result < 0 || static_cast<size_t>(completion.result) != wanted) {
    return fail(context, way);
  }
  last_active_ = now;
  context.connections.counters.add(Counter::kRelayedBytes, wanted);
  way.queue.pop(context.links, context.connections.reactor);
  pump(context, way);
  if (mode_ == RelayMode::kSwitching) return switch_when_quiet(context);
  if (!way.receiving && way.queue.size() < kRelayQueueMax / 2) receive(context, way);
}

void Relay::pump(RelayContext& context, RelayDirection& way) {
  if (way.done || way.sending) return;
  if (!way.queue.empty()) {
    way.sending = true;
    context.connections.reactor.send(
        way.to, way.queue.front(context.links, context.connections.reactor), ring::SendMode::kWhole,
        context.connections.begin(Op::kRelaySend, way.to));
  } else if (way.ended) {
    finish(context, way);
  }
}

void Relay::receive(RelayContext& context, RelayDirection& way) {
  const bool dialogue = mode_ == RelayMode::kDialogue || mode_ == RelayMode::kDialogueOnly;
  if (!dialogue || way.receiving || way.ended || way.done || way.starved) return;
  way.receiving = true;
  context.connections.reactor.receive_multishot(
      way.from, context.connections.begin(Op::kRelayReceive, way.from));
}

void Relay::pause(RelayContext& context, RelayDirection& way) {
  if (!way.receiving || way.pausing) return;
  way.pausing = true;
  const ring::OpTag target =
      ring::OpTag::of(Op::kRelayReceive, context.connections.slots.id(way.from));
  context.connections.reactor.cancel_request(target,
                                             context.connections.begin(Op::kCancel, way.from));
}

void Relay::finish(RelayContext& context, RelayDirection& way) {
  way.done = true;
  if (other(way).done) return;  // the close that follows says it
  context.connections.reactor.shutdown_write(way.to,
                                             context.connections.begin(Op::kRelayShutdown, way.to));
}

// Nobody reads any more: what is queued is lost with the peer, and the source is no longer read.
void Relay::fail(RelayContext& context, RelayDirection& way) {
  way.queue.clear(context.links, context.connections.reactor);
  way.done = true;
  pause(context, way);
  if (mode_ == RelayMode::kSwitching) switch_when_quiet(context);
}

void Relay::starve(RelayContext& context, RelayDirection& way) {
  if (way.starved) return;
  way.starved = true;
  context.connections.counters.add(Counter::kRelayStarved);
  put_on_list(context);
}

// Once for both directions: an entry for each would bring two more when it is tried in vain.
void Relay::put_on_list(RelayContext& context) {
  if (listed_) return;
  listed_ = true;
  context.starved.push_back(index_);
}

bool Relay::supply(RelayContext& context, RelayDirection& way) {
  if (mode_ != RelayMode::kBulk) return context.connections.reactor.buffers_free() > 0;
  const auto pipe = context.pipes.lease();
  if (pipe) way.pipe = *pipe;
  return pipe.has_value();
}

void Relay::resume(RelayContext& context) {
  listed_ = false;
  for (RelayDirection& way : directions_) {
    if (!way.starved || way.done) continue;
    if (!supply(context, way)) {
      put_on_list(context);
      continue;
    }
    way.starved = false;
    if (mode_ == RelayMode::kBulk) {
      pump_bulk(context, way);
    } else if (way.queue.size() < kRelayQueueMax) {
      receive(context, way);
    }
  }
  wind_up(context);
}

void Relay::stop(RelayContext& context) {
  LYCH_CHECK(finished());
  for (RelayDirection& way : directions_) {
    way.starved = false;
    way.queue.clear(context.links, context.connections.reactor);
    drop_pipe(context, way);
    if (way.from_fd >= 0) context.connections.reactor.close_fd(way.from_fd);
    way.from_fd = -1;
  }
  if (mode_ == RelayMode::kBulk || mode_ == RelayMode::kSwitching) {
    LYCH_CHECK(context.bulk_relays > 0);
    --context.bulk_relays;
  }
  mode_ = RelayMode::kDialogueOnly;
}

}  // namespace lychgate::handoff
