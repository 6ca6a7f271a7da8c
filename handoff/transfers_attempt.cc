// One attempt at one backend. pass: socket and real descriptor, connect and message, smtpd's end of
// file.
// splice: socket, connect, PROXY header, the backend's first byte, then the relay.

#include <poll.h>

#include <cerrno>

#include <fmt/format.h>

#include "core/base/check.h"
#include "handoff/proxy_header.h"
#include "handoff/transfers.h"

namespace lychgate::handoff {

using config::HandoffMethod;
using ring::Completion;
using ring::Op;

namespace {

// -EAGAIN is a full unix backlog, the others lack of our own descriptors or ports.
HandoffOutcome outcome_of(int error) {
  switch (error) {
    case EAGAIN:
    case ENFILE:
    case EMFILE:
    case ENOMEM:
    case EADDRNOTAVAIL:
      return HandoffOutcome::kFull;
    case ETIMEDOUT:
      return HandoffOutcome::kTimedOut;
    default:
      return HandoffOutcome::kRefused;
  }
}

}  // namespace

// The socket, and for pass the client's real descriptor, asked for in one turn.
void Transfers::opened(Record& record, const Completion& completion, Tick now) {
  const Op op = completion.tag.operation();
  const bool is_socket = op == Op::kBackendSocket;
  --record.opening;
  if (is_socket) connections_.slot_came();
  if (op == Op::kBackendPair) pair_opened(record, completion.result);
  if (completion.result < 0) {
    if (record.opening_error == 0) record.opening_error = -completion.result;
  } else if (is_socket) {
    record.backend_slot = static_cast<uint32_t>(completion.result);
    connections_.open_backend(record.backend_slot, index_of(record));
  } else if (op == Op::kInstall && record.replays) {
    record.server = connections_.reactor.local_endpoint(completion.result);
    connections_.reactor.close_fd(completion.result);
  } else if (op == Op::kInstall) {
    record.real_fd = completion.result;
  }
  if (record.opening > 0) return;
  if (record.opening_error != 0) {
    return attempt_failed(record, outcome_of(record.opening_error),
                          errno_text(record.opening_error), now);
  }
  connect_backend(record, now);
}

void Transfers::connect_backend(Record& record, Tick now) {
  const config::Backend& backend = backend_of(record);
  record.stage = Stage::kConnecting;
  if (backend.address.family() != AF_UNIX) {
    connections_.reactor.set_nodelay(record.backend_slot,
                                     connections_.begin(Op::kBackendOption, record.backend_slot));
  }
  connections_.reactor.connect(record.backend_slot, backend.address,
                               connections_.begin(Op::kBackendConnect, record.backend_slot));
  if (backend.method == HandoffMethod::kPass) return send_descriptor(record);
  arm(record, now + to_ticks(config_.pools[record.pool].connect_timeout));
}

void Transfers::connected(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kBackendConnect) return;  // the option's completion
  if (completion.result < 0) {
    return attempt_failed(record, outcome_of(-completion.result), errno_text(-completion.result),
                          now);
  }
  const bool header = config_.pools[record.pool].proxy != config::ProxyHeader::kNone;
  if (header && needs_local_address(record)) {
    connections_.timers.cancel(record.client.slot);
    record.stage = Stage::kInstalling;
    connections_.reactor.install(record.client.slot,
                                 connections_.begin(Op::kInstall, record.client.slot));
  } else {
    send_header(record, now);
  }
}

void Transfers::client_installed(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kInstall) return;
  if (completion.result < 0) {
    return attempt_failed(record, outcome_of(-completion.result), errno_text(-completion.result),
                          now);
  }
  record.server = connections_.reactor.local_endpoint(completion.result);
  connections_.reactor.close_fd(completion.result);
  send_header(record, now);
}

// In the same turn as the connect, which is immediate for a unix socket: an smtpd that has just
// been woken by the connection finds the descriptor there and need not sleep again. After a refused
// connect the send fails as well (-ENOTCONN) and nothing has been given away.
void Transfers::send_descriptor(Record& record) {
  if (!record.replays && needs_local_address(record)) {
    record.server = connections_.reactor.local_endpoint(record.real_fd);
  }
  const size_t size = write_pass_attributes(ends_of(record), record.bytes);
  record.stage = Stage::kPassing;
  record.pass_connected = record.pass_unsent = false;
  record.message.fd = record.real_fd;
  record.message.bytes = std::span<const char>(record.bytes).first(size);
  connections_.reactor.send_descriptor(record.backend_slot, record.message,
                                       connections_.begin(Op::kPassSend, record.backend_slot));
}

// The connect to a service whose backlog is full is finished by a worker thread of the kernel,
// after the send has failed for want of a connection: only the connect tells why, or that there is
// room after all and the message may be sent again.
bool Transfers::connected_late(Record& record, const Completion& completion) {
  const bool connect = completion.tag.operation() == Op::kBackendConnect;
  if (connect && completion.result >= 0) record.pass_connected = true;
  if (!connect && completion.result == -ENOTCONN) record.pass_unsent = true;
  if (!connect && completion.result != -ENOTCONN) return false;
  if (record.pass_connected && record.pass_unsent) {
    record.pass_unsent = false;
    connections_.reactor.send_descriptor(record.backend_slot, record.message,
                                         connections_.begin(Op::kPassSend, record.backend_slot));
  }
  return true;
}

void Transfers::passed(Record& record, const Completion& completion, Tick now) {
  const Op op = completion.tag.operation();
  if (op != Op::kPassSend && op != Op::kBackendConnect) return;
  if (op == Op::kBackendConnect && completion.result < 0) {
    return attempt_failed(record, outcome_of(-completion.result), errno_text(-completion.result),
                          now);
  }
  if (connected_late(record, completion)) return;
  // The message in the socket keeps the client open; our direct descriptor stays until smtpd has
  // read it, so that a service that dies with the message unread leaves us the client.
  connections_.reactor.close_fd(record.real_fd);
  record.real_fd = -1;
  if (completion.result < 0 ||
      static_cast<size_t>(completion.result) != record.message.bytes.size()) {
    const int error = completion.result < 0 ? -completion.result : EMSGSIZE;
    return attempt_failed(record, outcome_of(error), errno_text(error), now);
  }
  if (record.replays) return begin_talk(record, now);
  record.stage = Stage::kUntaken;
  arm(record, now + to_ticks(config_.pools[record.pool].take_timeout));
  connections_.reactor.poll(record.backend_slot, ring::Readiness::kInput,
                            connections_.begin(Op::kPassTaken, record.backend_slot));
}

void Transfers::taken(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kPassTaken) return;
  // A listener that closes with our message unread resets the connection (unix(7)): the client is
  // still ours alone.
  const bool unread = completion.result < 0 || (completion.result & POLLERR) != 0;
  if (unread) {
    return attempt_failed(record, HandoffOutcome::kRefused, "closed before taking the client", now);
  }
  count_taken(record, now);
  pools_.succeeded(record.pool, record.backend);
  drop_backend(record);
  end(record, TransferNews::kTaken);
}

// The message is still in the service's queue and an smtpd may serve the client later, so nobody
// else may: our copy is closed and the client is not told anything.
void Transfers::not_taken_in_time(Record& record) {
  count(record.pool, HandoffOutcome::kTimedOut);
  say(fmt::format("warning: pool {}: timeout sending connection to service {}",
                  config_.pools[record.pool].name, backend_of(record).text));
  drop_backend(record);
  end(record, TransferNews::kTaken);
}

void Transfers::send_header(Record& record, Tick now) {
  const auto version = config_.pools[record.pool].proxy;
  const size_t size = write_proxy_header(version, ends_of(record),
                                         std::span(record.bytes).first<kProxyHeaderMax>());
  if (size == 0) return await_greeting(record, now);
  record.stage = Stage::kHeader;
  record.message.bytes = std::span<const char>(record.bytes).first(size);
  arm(record, now + to_ticks(config_.pools[record.pool].greeting_timeout));
  connections_.reactor.send(record.backend_slot, record.message.bytes, ring::SendMode::kWhole,
                            connections_.begin(Op::kBackendHeader, record.backend_slot));
}

void Transfers::header_sent(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kBackendHeader) return;
  if (completion.result < 0 ||
      static_cast<size_t>(completion.result) != record.message.bytes.size()) {
    return attempt_failed(record, HandoffOutcome::kRefused, "closed before the PROXY header", now);
  }
  await_greeting(record, now);
}

void Transfers::await_greeting(Record& record, Tick now) {
  if (record.replays) return begin_talk(record, now);
  record.stage = Stage::kGreeting;
  arm(record, now + to_ticks(config_.pools[record.pool].greeting_timeout));
  connections_.reactor.receive_multishot(
      record.backend_slot, connections_.begin(Op::kRelayReceive, record.backend_slot));
}

void Transfers::greeted(Record& record, const Completion& completion, Tick now) {
  if (completion.tag.operation() != Op::kRelayReceive) return;
  if (completion.result == -ENOBUFS) {
    return attempt_failed(record, HandoffOutcome::kFull, "no relay buffer is free", now);
  }
  const uint32_t bytes = completion.result > 0 ? static_cast<uint32_t>(completion.result) : 0;
  ring::BufferLease lease;
  if (completion.buffer) {
    lease = ring::BufferLease(connections_.reactor, *completion.buffer, bytes);
  }
  if (bytes == 0) {
    lease.release();
    return attempt_failed(record, HandoffOutcome::kRefused, "closed before greeting", now);
  }
  // 421 and its kin (RFC 5321 4.2.1): the backend is busy, somebody else may not be.
  if (lease.bytes()[0] == '4') {
    lease.release();
    return attempt_failed(record, HandoffOutcome::kFull, "greeted with 4xx", now);
  }
  count_taken(record, now);
  pools_.succeeded(record.pool, record.backend);
  record.stage = Stage::kRelaying;
  record.waiting = false;
  connections_.set_phase(record.client.slot, Phase::kRelay);
  arm(record, now + to_ticks(config_.relay.idle_timeout));
  record.relay.start(relays_,
                     {.client = record.client.slot,
                      .backend = record.backend_slot,
                      .index = index_of(record),
                      .backend_receiving = completion.more},
                     std::move(lease), now);
}

}  // namespace lychgate::handoff
