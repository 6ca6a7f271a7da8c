// Bulk part of a relay: both directions by splice(2) once either has become a stream.
// O_NONBLOCK belongs to the open file, so it would turn every later receive on the ring into
// -EAGAIN: a relay enters bulk with nothing in flight and stays there. Idle, it has two polls
// armed.

#include <cerrno>

#include "core/base/check.h"
#include "handoff/relay.h"

namespace lychgate::handoff {

using ring::Completion;
using ring::Op;

void Relay::consider_bulk(RelayContext& context) {
  if (mode_ != RelayMode::kDialogue) return;
  if (directions_[0].burst <= kBulkThresholdBytes && directions_[1].burst <= kBulkThresholdBytes) {
    return;
  }
  if (context.bulk_relays >= context.bulk_relays_max) {
    mode_ = RelayMode::kDialogueOnly;
    return;
  }
  ++context.bulk_relays;
  mode_ = RelayMode::kSwitching;
  for (RelayDirection& way : directions_) pause(context, way);
}

void Relay::switch_when_quiet(RelayContext& context) {
  if (mode_ != RelayMode::kSwitching || installing_ > 0) return;
  bool over = true;
  for (RelayDirection& way : directions_) {
    if (way.receiving || way.sending || !way.queue.empty()) return;
    way.starved = false;
    over = over && way.done;
  }
  if (over) return;
  for (const RelayDirection& way : directions_) {
    ++installing_;
    context.connections.reactor.install(way.from,
                                        context.connections.begin(Op::kRelayInstall, way.from));
  }
}

void Relay::installed(RelayContext& context, RelayDirection& way, const Completion& completion) {
  --installing_;
  if (completion.result >= 0) way.from_fd = completion.result;
  if (installing_ > 0) return;
  if (directions_[0].from_fd >= 0 && directions_[1].from_fd >= 0) return enter_bulk(context);
  // No real descriptors left: the relay goes on with buffers.
  --context.bulk_relays;
  mode_ = RelayMode::kDialogueOnly;
  for (RelayDirection& each : directions_) {
    if (each.from_fd >= 0) context.connections.reactor.close_fd(each.from_fd);
    each.from_fd = -1;
    receive(context, each);
  }
}

void Relay::enter_bulk(RelayContext& context) {
  mode_ = RelayMode::kBulk;
  context.connections.counters.add(Counter::kRelayBulk);
  for (const RelayDirection& way : directions_) {
    context.connections.reactor.set_nonblocking(way.from_fd);
  }
  for (RelayDirection& way : directions_) pump_bulk(context, way);
}

void Relay::pump_bulk(RelayContext& context, RelayDirection& way) {
  if (way.done || way.receiving || way.sending || way.starved) return;
  for (int i = 0; i < kBulkStepsPerTurn; ++i) {
    const BulkStep step = way.in_pipe > 0 ? drain_pipe(context, way) : fill_pipe(context, way);
    if (step == BulkStep::kStop) return;
  }
  // Enough for this turn; the poll that is ready at once brings the next.
  if (way.in_pipe > 0) {
    poll_output(context, way);
  } else {
    drop_pipe(context, way);
    poll_input(context, way);
  }
}

Relay::BulkStep Relay::fill_pipe(RelayContext& context, RelayDirection& way) {
  if (way.ended) {
    drop_pipe(context, way);
    finish(context, way);
    return BulkStep::kStop;
  }
  if (way.pipe.read_end < 0) {
    const auto pipe = context.pipes.lease();
    if (!pipe) {
      starve(context, way);
      return BulkStep::kStop;
    }
    way.pipe = *pipe;
  }
  const ssize_t moved =
      context.connections.reactor.splice(way.from_fd, way.pipe.write_end, size_t{kPipeBytes});
  if (moved == -EAGAIN) {
    drop_pipe(context, way);
    poll_input(context, way);
    return BulkStep::kStop;
  }
  if (moved > 0) {
    way.in_pipe = static_cast<uint32_t>(moved);
  } else {
    way.ended = true;
  }
  return BulkStep::kAgain;
}

Relay::BulkStep Relay::drain_pipe(RelayContext& context, RelayDirection& way) {
  const ssize_t moved =
      context.connections.reactor.splice(way.pipe.read_end, other(way).from_fd, way.in_pipe);
  if (moved == -EAGAIN) {
    poll_output(context, way);
    return BulkStep::kStop;
  }
  if (moved <= 0) {
    drop_pipe(context, way);
    way.done = true;
    return BulkStep::kStop;
  }
  way.in_pipe -= static_cast<uint32_t>(moved);
  context.connections.counters.add(Counter::kRelayedBytes, static_cast<uint64_t>(moved));
  return BulkStep::kAgain;
}

void Relay::poll_input(RelayContext& context, RelayDirection& way) {
  way.receiving = true;
  context.connections.reactor.poll(way.from, ring::Readiness::kInput,
                                   context.connections.begin(Op::kRelayReadable, way.from));
}

void Relay::poll_output(RelayContext& context, RelayDirection& way) {
  way.sending = true;
  context.connections.reactor.poll(way.to, ring::Readiness::kOutput,
                                   context.connections.begin(Op::kRelayWritable, way.to));
}

void Relay::drop_pipe(RelayContext& context, RelayDirection& way) {
  if (way.pipe.read_end < 0) return;
  if (way.in_pipe > 0) {
    context.pipes.destroy(way.pipe);
  } else {
    context.pipes.give_back(way.pipe);
  }
  way.pipe = ring::PipePair{};
  way.in_pipe = 0;
}

}  // namespace lychgate::handoff
