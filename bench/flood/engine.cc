// The loop: starts who is due, lets the rings work, hands each completion to its client's step and
// does what the step wants. Bounded everywhere: connects in flight, starts, ends and expiries of a
// turn; a failing connect never makes it spin.

#include "bench/flood/engine.h"

#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "bench/flood/address_pool.h"
#include "bench/flood/arrivals.h"
#include "bench/flood/client.h"
#include "bench/flood/ring_set.h"
#include "bench/flood/timed_list.h"
#include "core/base/check.h"
#include "core/base/time.h"

namespace lychgate::flood {
namespace {

// Handshakes under way at once: more than a listener's queues take would only be sent again.
constexpr uint32_t kConnectingMax = 4096;
// Connects submitted together. They run one after the other, some 10 us each, and the first one's
// latency is read when the last is through.
constexpr uint32_t kStartsPerTurn = 16;
constexpr uint32_t kSkipsPerTurn = 4096;
constexpr uint32_t kExpiriesPerTurn = 64;
constexpr uint32_t kCutsPerTurn = 256;
// After so many failed connects in a row only so many are tried in each pause.
constexpr uint32_t kFailuresInARow = 16;
constexpr milliseconds kPause{10};
// Wake-ups as exact as arrivals want them; the kernel's own slack is 50 us.
constexpr unsigned long kTimerSlackNs = 1000;

// One kind of client of the mix, with its lists of those that wait.
struct Entry {
  Manners manners;
  Script script;
  std::array<TimedList, kWaitCount> lists;
};

uint64_t scrambled(uint64_t value) {  // splitmix64
  value += 0x9e3779b97f4a7c15;
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

std::string date_now() {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} +0000", fmt::gmtime(now));
}

}  // namespace

struct Engine::State {
  State(const Plan& what, Tally& counts, std::unique_ptr<RingSet> made);

  // Turns of the loop.
  bool turn_rings();
  void start_due();
  void expire();
  void cut();
  bool over() const;
  void wait(Instant until);
  Instant next_event() const;

  // One client.
  bool may_start() const;
  void start(Instant intended);
  void handle(const Done& done);
  Event outcome_of_connect(Client& client, int error);
  void on_event(uint32_t index, const Event& event);
  void perform(uint32_t index, const Actions& actions);
  void queue(uint32_t index, Wait wait);
  void finish(uint32_t index, Ending ending);
  void let_go(uint32_t index);
  void note_failure(Ending ending);
  uint8_t draw_entry(uint64_t number) const;
  uint32_t lend_talk(Profile profile, uint64_t number);

  Plan plan;
  Tally& tally;
  std::unique_ptr<RingSet> rings;
  std::vector<Client> clients;
  std::vector<Entry> entries;
  uint64_t weights = 0;
  AddressPool targets;
  AddressPool sources_v4;
  AddressPool sources_v6;
  ArrivalClock arrivals;
  std::deque<Talk> talks;
  std::vector<uint32_t> talks_free;

  Instant now;
  std::optional<Instant> begin;  // the first turn
  uint32_t free_first = kNobody;
  uint64_t started = 0;
  uint32_t connecting = 0;
  uint32_t failures_in_a_row = 0;
  Instant paused_until;
  bool stopping = false;
  uint32_t cut_next = 0;  // stopping: the client to be reset next
};

namespace {

std::vector<Network> of_family(const std::vector<Network>& networks, bool v4) {
  std::vector<Network> out;
  std::copy_if(networks.begin(), networks.end(), std::back_inserter(out),
               [&](const Network& network) { return network.base.is_v4() == v4; });
  return out;
}

}  // namespace

Engine::State::State(const Plan& what, Tally& counts, std::unique_ptr<RingSet> made)
    : plan(what),
      tally(counts),
      rings(std::move(made)),
      clients(std::max(what.parallel, 1u)),
      targets(what.targets),
      sources_v4(of_family(what.sources, true)),
      sources_v6(of_family(what.sources, false)),
      arrivals(what.schedule) {
  const std::string date = date_now();
  for (const Manners& manners : plan.mix) {
    Entry entry{manners, write_script(plan, manners, date), {}};
    for (size_t i = 1; i < kWaitCount; ++i) {
      entry.lists[i] = TimedList(length_of(static_cast<Wait>(i), manners));
    }
    entries.push_back(std::move(entry));
    weights += manners.weight;
  }
  LYCH_CHECK(weights > 0);
  // The lowest first, so that a small flood touches few rings.
  for (size_t i = clients.size(); i-- > 0;) {
    clients[i].next = free_first;
    free_first = static_cast<uint32_t>(i);
  }
}

uint8_t Engine::State::draw_entry(uint64_t number) const {
  uint64_t left = scrambled(plan.seed ^ scrambled(number)) % weights;
  uint8_t entry = 0;
  while (left >= entries[entry].manners.weight) left -= entries[entry++].manners.weight;
  return entry;
}

uint32_t Engine::State::lend_talk(Profile profile, uint64_t number) {
  if (talks_free.empty()) {
    talks_free.push_back(static_cast<uint32_t>(talks.size()));
    talks.emplace_back();
  }
  const uint32_t talk = talks_free.back();
  talks_free.pop_back();
  talks[talk].begin(profile, number);
  return talk;
}

// --- Starting ---

bool Engine::State::may_start() const {
  if (stopping || started >= plan.count || now >= *begin + plan.duration) return false;
  if (connecting >= kConnectingMax) return false;
  if (failures_in_a_row < kFailuresInARow) return true;
  return now >= paused_until;
}

void Engine::State::start_due() {
  const bool closed = plan.schedule.arrivals == Arrivals::kClosed;
  uint32_t starts = 0;
  for (uint32_t i = 0; i < kSkipsPerTurn && starts < kStartsPerTurn && may_start(); ++i) {
    const bool full = free_first == kNobody;
    Instant intended = now;
    if (!closed) {
      const auto due = arrivals.due();
      if (!due || *begin + *due > now || *due >= plan.duration) return;
      intended = *begin + *due;
      arrivals.advance();
      if (full) ++tally.skipped;
    }
    if (full && closed) return;
    if (full) continue;
    start(intended);
    ++starts;
    // In trouble: a handful each pause.
    if (failures_in_a_row >= kFailuresInARow && starts >= kFailuresInARow) {
      paused_until = now + kPause;
    }
  }
}

void Engine::State::start(Instant intended) {
  const uint32_t index = free_first;
  const uint64_t number = started++;
  Client& client = clients[index];
  free_first = client.next;
  client = Client();
  client.start = intended;
  client.mix = draw_entry(number);
  client.phase = Phase::kConnecting;
  client.requests = kConnect;
  const Manners& manners = entries[client.mix].manners;
  if (reads_replies(manners.profile)) client.talk = lend_talk(manners.profile, number);
  queue(index, Wait::kReply);
  const auto profile = static_cast<size_t>(manners.profile);
  ++tally.profiles[profile].started;
  if (plan.schedule.arrivals == Arrivals::kOpen) {
    tally.latencies[profile].lateness.add(now - intended);
  }
  tally.open_most = std::max(tally.open_most, ++tally.open);
  ++connecting;

  const IpAddress to = targets.at(number);
  const AddressPool& sources = to.is_v4() ? sources_v4 : sources_v6;
  const SocketAddress target = SocketAddress::from({to, plan.port});
  rings->room_for(index);
  if (sources.empty()) return rings->open(index, nullptr, target);
  const SocketAddress source =
      SocketAddress::from({sources.at(source_turn(number, targets.size())), 0});
  rings->open(index, &source, target);
}

// --- Events ---

Event Engine::State::outcome_of_connect(Client& client, int error) {
  const int before = std::exchange(client.steps, uint16_t{0});
  if (before != 0) return {.kind = Event::Kind::kNotStarted, .error = before};
  if (error == 0 || error == ECONNRESET) failures_in_a_row = 0;
  if (error != 0) return {.kind = Event::Kind::kNotConnected, .error = error};
  return {.kind = Event::Kind::kConnected};
}

void Engine::State::handle(const Done& done) {
  const uint32_t index = done.client;
  Client& client = clients[index];
  const int error = done.result < 0 ? -done.result : 0;
  Event event{.kind = Event::Kind::kNothing, .error = error, .bytes = done.bytes};
  switch (done.what) {
    case Done::What::kOpening:
      if (client.steps == 0) client.steps = static_cast<uint16_t>(error);
      return;  // the connect ends too, and what it gives no longer matters
    case Done::What::kConnected:
      client.requests &= static_cast<uint8_t>(~kConnect);
      --connecting;
      event = outcome_of_connect(client, error);
      break;
    case Done::What::kReceived:
      client.requests &= static_cast<uint8_t>(~kReceive);
      if (done.result > 0) {
        event.kind = Event::Kind::kBytes;
      } else if (error == 0) {
        event.kind = Event::Kind::kEnd;
      } else if (error != EAGAIN && error != ECANCELED && error != ENOBUFS) {
        event.kind = Event::Kind::kReset;
      }
      break;
    case Done::What::kSent:
      client.requests &= static_cast<uint8_t>(~kSend);
      event.kind = error == 0 || error == EAGAIN ? Event::Kind::kSent : Event::Kind::kNotSent;
      event.count = static_cast<uint64_t>(std::max(done.result, 0));
      break;
  }
  if (client.phase == Phase::kClosing) {
    if (client.requests == 0) let_go(index);
    return;
  }
  if (error == ENOBUFS && done.what == Done::What::kReceived) {
    // All buffers of the ring were taken; they are back by the time this is submitted.
    Actions again;
    (client.phase == Phase::kLooking ? again.look : again.receive) = true;
    return perform(index, again);
  }
  on_event(index, event);
}

void Engine::State::on_event(uint32_t index, const Event& event) {
  Client& client = clients[index];
  Entry& entry = entries[client.mix];
  Talk* talk = client.talk == kNobody ? nullptr : &talks[client.talk];
  const bool held = client.phase == Phase::kHolding;
  const Actions actions = step(client, talk, event, {entry.manners, entry.script, tally, now});
  const bool holds = client.phase == Phase::kHolding && !actions.end;
  if (!held && holds) ++tally.held;
  if (held && !holds) --tally.held;
  perform(index, actions);
}

void Engine::State::perform(uint32_t index, const Actions& actions) {
  Client& client = clients[index];
  rings->room_for(index);
  if (actions.end) return finish(index, *actions.end);
  if (actions.wait) queue(index, *actions.wait);
  if (actions.cancel) {
    rings->cancel(index, client.has(kConnect) ? kConnect : kReceive);
  }
  if (actions.receive || actions.look) {
    client.requests |= kReceive;
    actions.look ? rings->look(index) : rings->receive(index);
  }
  // Only a byte of a drip can find the one before it still unsent; it is left out.
  if (!actions.say.empty() && !client.has(kSend)) {
    client.requests |= kSend;
    rings->send(index, actions.say, actions.whole);
  }
}

void Engine::State::queue(uint32_t index, Wait wait) {
  Client& client = clients[index];
  auto& lists = entries[client.mix].lists;
  if (client.wait != Wait::kNone) {
    lists[static_cast<size_t>(client.wait)].remove(clients, index);
  }
  client.wait = wait;
  if (wait != Wait::kNone) lists[static_cast<size_t>(wait)].add(clients, index, to_tick(now));
}

// --- Ending ---

void Engine::State::finish(uint32_t index, Ending ending) {
  Client& client = clients[index];
  const auto profile = static_cast<size_t>(entries[client.mix].manners.profile);
  ++tally.profiles[profile].endings[static_cast<size_t>(ending)];
  note_failure(ending);
  queue(index, Wait::kNone);
  client.phase = Phase::kClosing;
  for (const Request request : {kConnect, kReceive, kSend}) {
    if (client.has(request)) rings->cancel(index, request);
  }
  if (client.requests == 0) let_go(index);
}

// A descriptor with a request in the kernel is not closed by a close, so this comes after the last.
void Engine::State::let_go(uint32_t index) {
  Client& client = clients[index];
  rings->room_for(index);
  rings->close(index, client.is(kAbrupt) ? Closing::kReset : Closing::kFin);
  if (client.talk != kNobody) talks_free.push_back(client.talk);
  client.phase = Phase::kFree;
  client.next = free_first;
  free_first = index;
  --tally.open;
}

void Engine::State::note_failure(Ending ending) {
  if (ending != Ending::kUnconnected && ending != Ending::kUnstarted) return;
  if (++failures_in_a_row == kFailuresInARow) paused_until = now + kPause;
}

void Engine::State::expire() {
  uint32_t left = kExpiriesPerTurn;
  const Tick tick = to_tick(now);
  for (Entry& entry : entries) {
    for (const TimedList& list : entry.lists) {
      for (; left > 0 && list.first() != kNobody; --left) {
        const uint32_t index = list.first();
        if (!tick_reached(tick, clients[index].deadline)) break;
        queue(index, Wait::kNone);
        on_event(index, {.kind = Event::Kind::kTimeUp});
      }
    }
  }
}

void Engine::State::cut() {
  const auto all = static_cast<uint32_t>(clients.size());
  for (uint32_t cuts = 0; cuts < kCutsPerTurn && cut_next < all; ++cut_next) {
    const Phase phase = clients[cut_next].phase;
    if (phase == Phase::kFree || phase == Phase::kClosing) continue;
    on_event(cut_next, {.kind = Event::Kind::kStop});
    ++cuts;
  }
}

// --- The loop ---

bool Engine::State::turn_rings() {
  bool worked = false;
  for (size_t ring = 0; ring < rings->rings(); ++ring) {
    if (!rings->wants_turn(ring)) continue;
    worked = true;
    rings->enter(ring);
    for (;;) {
      const std::span<const Done> batch = rings->take(ring);
      if (batch.empty()) break;
      now = monotonic_now();
      for (const Done& done : batch) handle(done);
    }
  }
  return worked;
}

bool Engine::State::over() const {
  if (tally.open > 0) return false;
  if (stopping || started >= plan.count || now >= *begin + plan.duration) return true;
  return plan.schedule.arrivals == Arrivals::kOpen &&
         (!arrivals.due() || *arrivals.due() >= plan.duration);
}

// When something is to be done that no completion tells of.
Instant Engine::State::next_event() const {
  Instant out = Instant::max();
  if (!stopping) {
    out = *begin + plan.duration;
    if (now >= out) out += plan.grace;
  }
  if (may_start()) {
    if (plan.schedule.arrivals == Arrivals::kOpen) {
      if (const auto due = arrivals.due()) out = std::min(out, *begin + *due);
    } else if (free_first != kNobody) {
      out = now;
    }
  } else if (paused_until > now) {
    out = std::min(out, paused_until);
  }
  const Tick tick = to_tick(now);
  for (const Entry& entry : entries) {
    for (const TimedList& list : entry.lists) {
      if (list.first() == kNobody) continue;
      const auto left = static_cast<int32_t>(clients[list.first()].deadline - tick);
      out = std::min(out, now + milliseconds(std::max(left, 0)));
    }
  }
  return out;
}

void Engine::State::wait(Instant until) {
  const Instant next = stopping && cut_next < clients.size() ? now : std::min(until, next_event());
  if (next > now) rings->wait(next - now);
}

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(const Plan& plan, Tally& tally) {
  LYCH_CHECK(!plan.targets.empty() && !plan.mix.empty());
  if (plan.mix.size() > kMixMax) {
    return fail(ExitCode::kUsage, fmt::format("a mix has at most {} profiles", kMixMax));
  }
  if (plan.cpu) {
    cpu_set_t only;
    CPU_ZERO(&only);
    CPU_SET(*plan.cpu, &only);
    if (sched_setaffinity(0, sizeof(only), &only) != 0) {
      return fail(ExitCode::kUsage,
                  fmt::format("cannot run on core {}: {}", *plan.cpu, errno_text(errno)));
    }
  }
  prctl(PR_SET_TIMERSLACK, kTimerSlackNs, 0, 0, 0);
  auto rings = RingSet::create({.clients = std::max(plan.parallel, 1u),
                                .per_ring = plan.per_ring,
                                .binds = !plan.sources.empty()});
  if (!rings) return tl::unexpected(rings.error());
  auto state = std::make_unique<State>(plan, tally, std::move(*rings));
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

bool Engine::run_until(std::chrono::steady_clock::time_point until) {
  State& state = *state_;
  state.now = monotonic_now();
  if (!state.begin) state.begin = state.now;
  for (;;) {
    if (state.now >= *state.begin + state.plan.duration + state.plan.grace) stop();
    if (state.stopping) state.cut();
    state.start_due();
    state.expire();
    const bool worked = state.turn_rings();
    state.now = monotonic_now();
    if (!worked && state.over()) return false;
    if (state.now >= until) return true;
    if (!worked) state.wait(until);
    state.now = monotonic_now();
  }
}

void Engine::stop() {
  state_->stopping = true;
}

}  // namespace lychgate::flood
