// Set-up and loop of one shard process.

#include "core/daemon/shard_process.h"

#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "core/daemon/access_image.h"
#include "core/daemon/child.h"
#include "core/daemon/shard.h"
#include "core/daemon/shard_orders.h"
#include "dns/udp_sockets.h"
#include "ring/uring_reactor.h"

namespace lychgate::daemon {
namespace {

[[noreturn]] void give_up(const ShardSeat& seat, const Error& error) {
  log_now(seat.sink, fmt::format("fatal: shard {}: {}", seat.shard, error.text));
  send_control(seat.control_fd, Word::kFailed, error.text);
  _exit(static_cast<int>(error.code));
}

void publish(const ring::ReactorStats& stats, ring::ReactorStats& seen, ShardCounters& counters) {
  if (stats.submit_full != seen.submit_full) {
    counters.add(Counter::kSubmitFull, stats.submit_full - seen.submit_full);
  }
  if (stats.completion_overflow != seen.completion_overflow) {
    counters.add(Counter::kCompletionOverflow,
                 stats.completion_overflow - seen.completion_overflow);
  }
  if (stats.hold_late != seen.hold_late) {
    counters.add(Counter::kHoldLate, stats.hold_late - seen.hold_late);
  }
  seen = stats;
}

// None where the supervisor could open none.
Result<std::optional<SynFeed>> make_syn_feed(const ShardSeat& seat, ring::Reactor& reactor) {
  if (seat.syn_feed.ring_fd < 0) return std::optional<SynFeed>();
  const auto ring = SynRing::map(seat.syn_feed);
  if (!ring) return tl::unexpected(ring.error());
  const admission::AccessList* access = seat.plan.access ? &*seat.plan.access : nullptr;
  return SynFeed({.ring = *ring,
                  .ring_fd = seat.syn_feed.ring_fd,
                  .reactor = reactor,
                  .counters = seat.counters[seat.block],
                  .config = seat.plan.config,
                  .access = access},
                 to_tick(monotonic_now()));
}

void retire(Shard& shard, const ControlMessage& message, Tick now) {
  auto order = decode_carry_order(message.body).value_or(CarryOrder{});
  order.fd = message.fd;
  shard.retire(order, now);
}

// A list that cannot be had leaves the one before in force.
void take_access(const ShardSeat& seat, Shard& shard, const ControlMessage& message,
                 std::optional<MappedAccessList>& held) {
  auto list = MappedAccessList::map(message.fd);
  close(message.fd);
  if (!list) {
    const std::string_view why = list.error().text;
    return log_now(seat.sink,
                   fmt::format("warning: shard {} keeps its old access list: {}", seat.shard, why));
  }
  shard.set_access(&list->list());
  held = std::move(*list);
}

// False: without a supervisor nobody would restart or stop us; an orphan ends at once.
bool obey_supervisor(const ShardSeat& seat, Shard& shard, std::optional<MappedAccessList>& access,
                     Tick now) {
  for (;;) {
    const auto message = read_control(seat.control_fd);
    if (!message) return false;
    if (!*message) return true;
    switch ((*message)->word) {
      case Word::kOpen:
        shard.open_doors();
        break;
      case Word::kRetire:
        retire(shard, **message, now);
        break;
      case Word::kAccess:
        take_access(seat, shard, **message, access);
        break;
      case Word::kStop:
        shard.stop(now);
        break;
      default:
        break;
    }
  }
}

void serve(const ShardSeat& seat, Shard& shard, ring::UringReactor& reactor, Log& log,
           StoreBook& book) {
  ring::ReactorStats seen;
  std::optional<MappedAccessList> access;  // that came after the start
  reactor.poll_fd(seat.steward_fd, ring::OpTag::of(ring::Op::kSteward));
  Tick now = to_tick(monotonic_now());
  for (;;) {
    const auto completions = reactor.turn(shard.wait(now));
    now = to_tick(monotonic_now());
    log.set_time(std::chrono::system_clock::now());
    if (const auto warning = book.keep_open(now)) log.add(log.time(), *warning);
    shard.handle(completions, now);
    publish(reactor.stats(), seen, seat.counters[seat.block]);
    if (const auto carried = shard.take_carry_result()) {
      send_control(seat.control_fd, Word::kCarried, encode(*carried));
    }
    if (shard.take_control_event()) {
      if (!obey_supervisor(seat, shard, access, now)) return;
      reactor.poll_fd(seat.control_fd, ring::OpTag::of(ring::Op::kControl));
      continue;  // what it has to say leaves with the next turn, however short `drain` is
    }
    if (shard.take_steward_event()) {
      take_order(seat.steward_fd, shard, now);
      reactor.poll_fd(seat.steward_fd, ring::OpTag::of(ring::Op::kSteward));
    }
    if (shard.finished(now)) return;
  }
}

}  // namespace

void run_shard(const ShardSeat& seat) {
  prctl(PR_SET_NAME, fmt::format("lychgate/{}", seat.shard).c_str());
  ring::ReactorOptions options;
  options.slots = seat.plan.table_slots;
  options.tables = seat.plan.slots / seat.plan.table_slots;
  auto reactor = ring::UringReactor::create(options);
  if (!reactor) give_up(seat, reactor.error());
  auto slots = SlotTable::create(seat.plan.slots, seat.plan.key);
  if (!slots) give_up(seat, slots.error());

  ShardCounters& counters = seat.counters[seat.block];
  counters.pid.store(getpid(), std::memory_order_relaxed);
  const ListsPlan& lists = seat.plan.lists;
  SipKey dns_key{};
  auto sockets = dns::open_udp_sockets(lists.servers, seat.plan.config.dns.sockets);
  if (!sockets) give_up(seat, sockets.error());
  if (getrandom(dns_key.data(), sizeof(dns_key), 0) != sizeof(dns_key)) {
    give_up(seat, {ExitCode::kOsError, fmt::format("getrandom failed: {}", errno_text(errno))});
  }
  Log log(seat.sink, **reactor, counters, getpid());
  auto syn_feed = make_syn_feed(seat, **reactor);
  if (!syn_feed) give_up(seat, syn_feed.error());
  const config::Store& store = seat.plan.config.store;
  const bool remembers = !store.file.empty();
  StoreBook book(store_options(store));
  book.keep_open(to_tick(monotonic_now()));
  Shard shard(ShardParts{.config = seat.plan.config,
                         .access = seat.plan.access ? &*seat.plan.access : nullptr,
                         .counters = seat.counters,
                         .index = seat.block,
                         .shard = seat.shard,
                         .reactor = **reactor,
                         .log = log,
                         .listeners = seat.listeners,
                         .control_fd = seat.control_fd,
                         .teaser = seat.plan.teaser,
                         .hostname = seat.plan.hostname,
                         .bulk_relays_max = seat.plan.bulk_relays_max,
                         .lists = &lists,
                         .boards = &seat.boards,
                         .dns_sockets = *sockets,
                         .dns_key = dns_key,
                         .syn_feed = *syn_feed ? &**syn_feed : nullptr,
                         .book = remembers ? &book : nullptr,
                         .steward_fd = remembers ? seat.steward_fd : -1,
                         .carry_fd = seat.carry_fd},
              *slots, to_tick(monotonic_now()));
  if (auto started = shard.start(to_tick(monotonic_now())); !started)
    give_up(seat, started.error());
  if (!send_control(seat.control_fd, Word::kReady)) _exit(EXIT_FAILURE);
  serve(seat, shard, **reactor, log, book);
  // Whoever is still relayed when drain is over goes with the process; the kernel frees the rest.
  _exit(EXIT_SUCCESS);
}

}  // namespace lychgate::daemon
