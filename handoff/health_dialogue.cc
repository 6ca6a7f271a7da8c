// One check: the way to the backend, and what is said there.

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/base/check.h"
#include "handoff/health.h"
#include "handoff/proxy_header.h"
#include "ring/buffers.h"

namespace lychgate::handoff {

using config::HandoffMethod;
using ring::Completion;
using ring::Op;
using ring::OpTag;

namespace {

constexpr uint16_t kServiceReady = 220;
constexpr uint16_t kDone = 250;

// Who a check says it is where no other address is to be had.
SessionEnds loopback() {
  const Endpoint here{IpAddress::from_v4(0x7f000001), 25};
  return {.client = here, .server = here};
}

}  // namespace

bool HealthChecks::owns(Op op) {
  switch (op) {
    case Op::kCheckSocket:
    case Op::kCheckPair:
    case Op::kCheckOption:
    case Op::kCheckConnect:
    case Op::kCheckPass:
    case Op::kCheckSend:
    case Op::kCheckReceive:
      return true;
    default:
      return false;
  }
}

void HealthChecks::complete(const Completion& completion, Tick now) {
  changed_ = true;
  const auto slot = static_cast<uint32_t>(completion.tag.slot);
  const Op op = completion.tag.operation();
  if (op == Op::kCheckSocket || op == Op::kCheckPair) return opened(checks_[slot], completion, now);
  Check& check = checks_[connections_.slots[slot].transfer];
  LYCH_CHECK(check.slot == slot || check.pass_slot == slot);
  switch (op) {
    case Op::kCheckConnect:
      return connected(check, completion, now);
    case Op::kCheckPass:
      return descriptor_sent(check, completion, now);
    case Op::kCheckOption:
      return installed(check, completion, now);
    case Op::kCheckSend:
      return sent(check, completion, now);
    case Op::kCheckReceive:
      return heard(check, completion, now);
    default:
      LYCH_CHECK(false);
  }
}

void HealthChecks::open(Check& check) {
  const config::Backend& backend = backend_of(check);
  check.stage = Stage::kOpening;
  check.opening = 1;
  check.error = 0;
  connections_.expect_slot();
  connections_.reactor.open_socket(backend.address.family(),
                                   OpTag::of(Op::kCheckSocket, index_of(check)));
  if (backend.method != HandoffMethod::kPass) return;
  const auto pair = connections_.reactor.make_socketpair();
  if (!pair) {
    check.error = EMFILE;
    return;
  }
  check.theirs = pair->theirs;
  check.ours = check.adopted = pair->ours;
  ++check.opening;
  connections_.expect_slot();
  connections_.reactor.adopt(0, std::span(&check.adopted, 1),
                             OpTag::of(Op::kCheckPair, index_of(check)));
}

void HealthChecks::opened(Check& check, const Completion& completion, Tick now) {
  --check.opening;
  connections_.slot_came();
  const bool is_pair = completion.tag.operation() == Op::kCheckPair;
  if (is_pair) connections_.reactor.close_fd(std::exchange(check.ours, -1));
  if (completion.result < (is_pair ? 1 : 0)) {
    check.error = completion.result < 0 ? -completion.result : ENFILE;
  } else {
    const bool spoken_over = is_pair || backend_of(check).method != HandoffMethod::kPass;
    uint32_t& slot = spoken_over ? check.slot : check.pass_slot;
    slot = static_cast<uint32_t>(is_pair ? check.adopted : completion.result);
    connections_.open_backend(slot, index_of(check));
  }
  if (check.opening > 0) return;
  // Lack of our own descriptors says nothing of the backend.
  if (stopped_ || check.error != 0) return postpone(check, now);
  connect(check, now);
}

void HealthChecks::connect(Check& check, Tick now) {
  const uint32_t slot = check.pass_slot != kNoSlot ? check.pass_slot : check.slot;
  check.stage = Stage::kConnecting;
  check.deadline = now + to_ticks(pool_of(check).connect_timeout);
  connections_.reactor.connect(slot, backend_of(check).address,
                               connections_.begin(Op::kCheckConnect, slot));
}

void HealthChecks::connected(Check& check, const Completion& completion, Tick now) {
  // A full unix backlog is a busy service, not a dead one.
  if (completion.result == -EAGAIN) return postpone(check, now);
  if (completion.result < 0) return failed(check, errno_text(-completion.result), now);
  if (check.pass_slot != kNoSlot) {
    check.stage = Stage::kPassing;
    check.message.fd = check.theirs;
    const size_t size = write_pass_attributes(loopback(), check.header);
    check.message.bytes = std::span<const char>(check.header).first(size);
    return connections_.reactor.send_descriptor(
        check.pass_slot, check.message, connections_.begin(Op::kCheckPass, check.pass_slot));
  }
  const bool own_ends = pool_of(check).proxy == config::ProxyHeader::kV1 &&
                        backend_of(check).address.family() != AF_UNIX;
  if (!own_ends) return send_header(check, loopback(), now);
  check.stage = Stage::kInstalling;
  connections_.reactor.install(check.slot, connections_.begin(Op::kCheckOption, check.slot));
}

void HealthChecks::descriptor_sent(Check& check, const Completion& completion, Tick now) {
  if (completion.result != static_cast<int32_t>(check.message.bytes.size())) {
    const int error = completion.result < 0 ? -completion.result : EMSGSIZE;
    return failed(check, errno_text(error), now);
  }
  // Theirs alone now: when they close it we see the end.
  connections_.reactor.close_fd(std::exchange(check.theirs, -1));
  await(check, Stage::kGreeting, now);
}

void HealthChecks::installed(Check& check, const Completion& completion, Tick now) {
  if (completion.result < 0) return postpone(check, now);
  const SessionEnds ends{.client = connections_.reactor.local_endpoint(completion.result),
                         .server = Endpoint::from_sockaddr(&backend_of(check).address.any)};
  connections_.reactor.close_fd(completion.result);
  if (stopped_) return postpone(check, now);
  send_header(check, ends, now);
}

void HealthChecks::send_header(Check& check, const SessionEnds& ends, Tick now) {
  const size_t size = write_local_header(pool_of(check).proxy, ends,
                                         std::span(check.header).first<kProxyHeaderMax>());
  if (size == 0) return await(check, Stage::kGreeting, now);
  check.stage = Stage::kHeader;
  check.deadline = now + to_ticks(pool_of(check).greeting_timeout);
  send(check, std::span<const char>(check.header).first(size));
}

void HealthChecks::say(Check& check, Stage stage, std::string_view line, Tick now) {
  check.stage = stage;
  check.deadline = now + to_ticks(pool_of(check).greeting_timeout);
  check.line.assign(line).append("\r\n");
  send(check, check.line);
}

void HealthChecks::send(Check& check, std::span<const char> bytes) {
  check.sending = bytes;
  connections_.reactor.send(check.slot, bytes, ring::SendMode::kWhole,
                            connections_.begin(Op::kCheckSend, check.slot));
}

void HealthChecks::sent(Check& check, const Completion& completion, Tick now) {
  const bool whole = completion.result == static_cast<int32_t>(check.sending.size());
  if (!whole && check.stage == Stage::kQuit) return passed(check);
  if (!whole) return failed(check, "closed the connection", now);
  await(check, check.stage == Stage::kHeader ? Stage::kGreeting : check.stage, now);
}

void HealthChecks::await(Check& check, Stage stage, Tick now) {
  check.stage = stage;
  check.deadline = now + to_ticks(pool_of(check).greeting_timeout);
  check.reply.expect();
  listen(check);
}

void HealthChecks::listen(Check& check) {
  connections_.reactor.receive_next(check.slot, connections_.begin(Op::kCheckReceive, check.slot));
}

void HealthChecks::heard(Check& check, const Completion& completion, Tick now) {
  BackendReply::State state = BackendReply::State::kBad;
  if (completion.result > 0 && completion.buffer) {
    const ring::BufferLease lease(connections_.reactor, *completion.buffer,
                                  static_cast<uint32_t>(completion.result));
    state = check.reply.read(lease.bytes());
  }
  if (check.stage == Stage::kQuit && state != BackendReply::State::kComing) return passed(check);
  if (completion.result == -ENOBUFS) return postpone(check, now);
  if (completion.result <= 0) return failed(check, "closed the connection", now);
  switch (state) {
    case BackendReply::State::kComing:
      return listen(check);
    case BackendReply::State::kWhole:
      return replied(check, now);
    case BackendReply::State::kBad:
      return failed(check, "no reply of an SMTP server", now);
  }
}

void HealthChecks::replied(Check& check, Tick now) {
  const uint16_t code = check.reply.code();
  const bool greeting = check.stage == Stage::kGreeting;
  if (code != (greeting ? kServiceReady : kDone)) {
    return failed(
        check, fmt::format("{} {}", greeting ? "greeted with" : "EHLO answered with", code), now);
  }
  if (greeting) return say(check, Stage::kHello, "EHLO " + hostname_, now);
  publish(check, BackendHealth::kUp, check.reply.announced(), {});
  targets_[check.target].due = now + to_ticks(pool_of(check).check_interval);
  say(check, Stage::kQuit, "QUIT", now);
}

}  // namespace lychgate::handoff
