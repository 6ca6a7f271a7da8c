// The loop of a shard process under the simulated clock, and the books of the gate against those
// of the kernel.

#include "tests/sim/episode.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "core/smtp/replies.h"

namespace lychgate::sim {

using smtp::ReplyId;

namespace {

// A client leaves the wait this soon after its end: the timers' grain, and this kernel's moods.
constexpr Tick kWaitGrace = kTimerGrainMs + 1000;
// By so much a pause of the gate is longer, in the mean, where turns take time.
constexpr Tick kBusyTurn = 10;
// Longer than any chain of waits that a configuration of ours allows.
constexpr Time kLongestRun = Time{30} * 60 * 1000;

daemon::ShardParts parts_of(const Scenario& scenario, SharedCounters& counters, SimReactor& reactor,
                            daemon::Log& log, World& world, daemon::SynFeed* syn_feed,
                            int carry_fd) {
  Memory* memory = world.memory();
  return {.config = scenario.config,
          .access = &scenario.access,
          .counters = counters.shards(),
          .index = 0,
          .reactor = reactor,
          .log = log,
          .listeners = world.listeners(),
          .control_fd = world.control(),
          .teaser = smtp::teaser_line(
              {.banner = scenario.config.greet.banner, .hostname = "gate.example"}),
          .hostname = "gate.example",
          .bulk_relays_max = scenario.bulk_relays_max,
          .lists = &scenario.plan,
          .boards = &counters.boards(),
          .dns_sockets = world.dns_sockets(),
          .dns_key = {7, 11},
          .syn_feed = syn_feed,
          .book = memory,
          .steward_fd = memory == nullptr ? -1 : memory->line(),
          .carry_fd = carry_fd};
}

}  // namespace

Episode::Episode(uint64_t seed, uint32_t sessions)
    : random_(seed),
      scenario_(draw_scenario(random_, sessions)),
      reactor_(agenda_, random_, scenario_.kernel),
      stage_{agenda_, random_, reactor_},
      world_(stage_, scenario_),
      slots_(std::move(*SlotTable::create(scenario_.kernel.slots * scenario_.kernel.tables,
                                          {random_.next(), 7}))),
      counters_(std::move(*SharedCounters::create(2))),
      sink_{scenario_.config.log.target, world_.log_sink(), "lychgate/gate", "gate.example"},
      log_(sink_, reactor_, counters_.shards()[0], 1),
      syn_feed_(make_syn_feed()),
      moving_(slots_.size()),
      carry_end_(scenario_.carry.loops.empty() ? -1 : reactor_.make_carry_end()),
      shard_(
          std::make_unique<daemon::Shard>(parts_of(scenario_, counters_, reactor_, log_, world_,
                                                   syn_feed_ ? &*syn_feed_ : nullptr, carry_end_),
                                          slots_, tick())) {
  world_.lists().watch(counters_.lists());
  plan_carries();
  plan_orders();
  plan_loads();
  ShardCounters& elsewhere = counters_.shards()[1];
  elsewhere.held = scenario_.held_elsewhere;
  for (size_t pool = 0; pool < scenario_.config.pools.size(); ++pool) {
    for (auto& backend : elsewhere.backend_open[pool]) backend = scenario_.open_elsewhere;
  }
}

std::optional<daemon::SynFeed> Episode::make_syn_feed() {
  SynTap* tap = world_.syn_tap();
  if (tap == nullptr) return std::nullopt;
  return daemon::SynFeed({.ring = tap->reader(),
                          .ring_fd = tap->fd(),
                          .reactor = reactor_,
                          .counters = counters_.shards()[0],
                          .config = scenario_.config,
                          .access = &scenario_.access},
                         tick());
}

EpisodeResult Episode::go() {
  serve();
  if (reactor_.violations().empty()) see_off();
  if (reactor_.violations().empty()) check_end();
  EpisodeResult out;
  out.steps = steps_;
  out.accepted = static_cast<uint32_t>(count(Counter::kAccepted));
  if (!reactor_.violations().empty()) {
    out.violation = fmt::format("step {}, {}", steps_, reactor_.violations().front());
    // Its queues still hold buffers, which it does not like at its end.
    [[maybe_unused]] const daemon::Shard* left = shard_.release();
  }
  return out;
}

// As a shard process does, until it would end.
void Episode::serve() {
  if (!shard_->start(tick())) reactor_.violation("the shard does not start");
  shard_->open_doors();
  while (!shard_->finished(tick()) && reactor_.violations().empty()) {
    const bool leaving = shard_->stopping() || shard_->retired();
    const bool over = !leaving && world_.over() && !asked_to_stop_;
    if (over) world_.mend_dns();
    // Checks of many slow backends are never all over at one time.
    const uint64_t of_backends = counters().phases[static_cast<size_t>(Phase::kBackend)];
    if (over && slots_.used() == of_backends) {
      asked_to_stop_ = true;
      reactor_.say_to_control();
    }
    step();
    if (agenda_.now() > scenario_.arrivals_last + kLongestRun) {
      reactor_.violation("a wait does not end");
    }
  }
  const bool in_time =
      stopped_at_ && !tick_reached(tick(), *stopped_at_ + to_ticks(scenario_.config.drain));
  if (in_time && reactor_.on_their_way() > 0)
    reactor_.violation("ends before it has read who was sent to it");
}

// A process that is over its drain ends with clients in it; here they are seen to their end.
void Episode::see_off() {
  const Time until = agenda_.now() + kLongestRun;
  world_.mend_dns();
  while (busy() && reactor_.violations().empty()) {
    step();
    if (agenda_.now() > until) reactor_.violation("a wait does not end after the stop");
  }
  // Nor does it end before its last visits and lines have gone.
  for (int i = 0; i < 100 && !shard_->finished(tick()); ++i) step();
}

// A question over TCP may be about to get its socket, or an accept to find nobody.
bool Episode::busy() const {
  return slots_.used() > 0 || reactor_.sockets_coming() > 0 || reactor_.on_their_way() > 0;
}

void Episode::step() {
  ++steps_;
  const uint64_t prefetched = count(Counter::kSynPrefetched);
  const bool leaving = shard_->stopping() || shard_->retired();
  const auto completions = reactor_.turn(shard_->wait(tick()));
  log_.set_time(daemon::WallTime(std::chrono::seconds(kFirstSecond) + milliseconds(agenda_.now())));
  shard_->handle(completions, tick());
  if (shard_->take_control_event()) {
    shard_->stop(tick());
    stopped_at_ = tick();
  }
  begin_carry();
  look_at_carry();
  for (; orders_due_ > 0; --orders_due_) give_order();
  const uint64_t asked = count(Counter::kSynPrefetched) - prefetched;
  if (leaving && asked > 0) reactor_.violation("asks about clients that it will not accept");
  check_prefetch(asked);
  world_.lists().look(agenda_.now());
  check_step();
}

void Episode::expect(uint64_t got, uint64_t want, const char* what) {
  if (got != want) reactor_.violation(fmt::format("{}: {}, and should be {}", what, got, want));
}

void Episode::check_step() {
  if (!reactor_.violations().empty()) return;
  uint64_t in_phases = 0;
  for (size_t phase = 1; phase < kPhaseCount; ++phase) in_phases += counters().phases[phase];
  expect(in_phases, slots_.used(), "slots in all phases");
  expect(count(Counter::kStaleCompletions), 0, "completions for a connection that is gone");
  if (scenario_.talks) check_tarpit();
  if (shard_->lookups() != nullptr) check_questions();
  if (syn_feed_ && !shard_->stopping() && !shard_->retired()) check_syn_feed();
  // The whole table costs time, so not always.
  if (steps_ % 16 == 0) {
    check_slots();
    check_pools();
    if (shard_->lookups() != nullptr) check_lookups();
  }
}

// Each question comes back exactly once, and nothing grows.
void Episode::check_questions() {
  const uint64_t back = count(Counter::kDnsAnswered) + count(Counter::kDnsFailed) +
                        count(Counter::kDnsTimedOut) + count(Counter::kDnsGivenUp);
  const uint32_t open = shard_->lookups()->resolver().open();
  expect(back + open, count(Counter::kDnsAsked), "questions that came back or are open");
  expect(reactor_.packets_held(), 0, "packet buffers held after a turn");
}

void Episode::check_lookups() {
  const daemon::Lookups& lookups = *shard_->lookups();
  lookups.resolver().check_invariants();
  lookups.inquiries().check_invariants();
  const uint64_t most = uint64_t{slots_.size()} + scenario_.config.dns.cache;
  if (lookups.inquiries().known() > most)
    reactor_.violation("more addresses are known than may be");
  std::set<uint32_t> records;
  for (const auto& client : world_.clients()) {
    const auto record = lookups.inquiries().find(client->script().from.address);
    if (record) records.insert(*record);
  }
  uint64_t asked = 0;
  for (const uint32_t record : records) {
    const auto answers = lookups.inquiries().answers(record);
    asked += static_cast<uint64_t>(std::count_if(
        answers.begin(), answers.end(),
        [](const dns::ListAnswer& answer) { return answer.state == dns::AnswerState::kAsked; }));
  }
  if (asked > lookups.resolver().open()) reactor_.violation("an answer is waited for in vain");
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const bool asking = (slots_[i].evidence & kAskingLists) != 0 && slots_[i].phase != Phase::kFree;
    const bool waits = lookups.inquiries().record_of(i) != dns::InquiryId::kNoRecord;
    expect(waits ? 1 : 0, asking ? 1 : 0, "a client waits on the lists");
    const Phase phase = slots_[i].phase;
    const bool talks = phase == Phase::kDialogue || phase == Phase::kHandoff ||
                       phase == Phase::kQueued || phase == Phase::kTarpit;
    if (waits && !is_waiting(phase) && phase != Phase::kMoving && !(scenario_.talks && talks))
      reactor_.violation("waits on lists in a wrong phase");
  }
}

bool Episode::is_waiting(Phase phase) {
  return phase == Phase::kSilentWait || phase == Phase::kLooking;
}

// Out of the kernel's waiting room a client is kept for the lists alone.
void Episode::check_wait(uint32_t index) {
  const Slot& slot = slots_[index];
  const config::Config& config = scenario_.config;
  milliseconds wait = config.greet.wait;
  if (scenario_.kernel_wait > 0) {
    wait = scenario_.lists.empty() ? milliseconds(0) : config.dns.timeout;
  }
  // And nobody hears of its end while a full socket keeps it on its way to another shard.
  const Tick retry =
      daemon::kCarryRetryMs + (scenario_.kernel.faults.busy_percent > 0 ? kBusyTurn : 0);
  const Tick carried = scenario_.carry.loops.empty() ? 0 : daemon::kCarryTriesMax * retry;
  const Tick latest = slot.started + to_ticks(wait) + kWaitGrace + carried;
  if (is_waiting(slot.phase) && tick_reached(tick(), latest)) {
    reactor_.violation("a client is kept beyond its wait");
  }
  // However often it was carried, its wait began when it was accepted.
  const uint32_t client = reactor_.client_of(index);
  if (!is_waiting(slot.phase) || client == kNobody) return;
  if (world_.clients()[client]->script().proxied()) return;  // it came with its header
  const Tick accepted =
      scenario_.first_tick + static_cast<Tick>(world_.clients()[client]->accepted_at());
  if (slot.started - accepted > kWaitGrace) reactor_.violation("a wait was begun anew");
}

// All SYNs are read soon, but none while the ring may have another reader; each is counted once at
// most.
void Episode::check_syn_feed() {
  SynTap& tap = *world_.syn_tap();
  if (carry_end_ >= 0) {
    carried_until_ = agenda_.now();
    return expect(tap.read(), 0, "SYNs read while the shard before may read them");
  }
  const bool moody = scenario_.kernel.faults.busy_percent > 0;
  if (tap.lag(carried_until_) > daemon::kSynRestMs + (moody ? kWaitGrace : kTimerGrainMs))
    reactor_.violation("a SYN is left unread");
  if (count(Counter::kSynPrefetched) + count(Counter::kSynFeedSkipped) > tap.read()) {
    reactor_.violation("more SYNs are counted than were read");
  }
  if (tap.all_read()) expect(count(Counter::kSynFeedLost), tap.lost(), "SYNs lost");
}

// Forgers make the gate ask no more than a second's worth at once. Half of what may be open is for
// clients that have come: SYNs use one address more than the other half, and with them go four test
// points of each list and reasons for refusals.
void Episode::check_prefetch(uint64_t asked) {
  const uint64_t per_second = scenario_.config.greet.syn_feed;
  syn_budget_ += (agenda_.now() - earned_until_) * per_second;
  earned_until_ = agenda_.now();
  syn_budget_ = std::min(syn_budget_, per_second * 1000);
  const uint64_t spent = asked * 1000;
  if (spent > syn_budget_) reactor_.violation("more is asked for SYNs than a second's worth");
  syn_budget_ -= std::min(spent, syn_budget_);
  if (asked == 0 || scenario_.config.dnsl.reason) return;
  const size_t most = scenario_.config.dns.in_flight / 2 + 5 * scenario_.lists.size();
  if (shard_->lookups()->resolver().open() > most) {
    reactor_.violation("SYNs use more than half of the questions");
  }
}

// Approved and waiting for room in the main table.
void Episode::check_move(uint32_t index) {
  const ConnId id = slots_.id(index);
  Moving& moving = moving_[index];
  // Between two looks at the table a quiet world may do nothing for seconds.
  if (slots_[index].phase != Phase::kMoving) {
    moving = {};
    return;
  }
  if (moving.id != id) moving = {id, agenda_.now()};
  if (agenda_.now() > moving.since + kMoveWaitMs + kWaitGrace) {
    reactor_.violation("a client waits for room without end");
  }
}

void Episode::check_slots() {
  std::array<uint64_t, kPhaseCount> phases{};
  uint64_t clients = 0;
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    ++phases[static_cast<size_t>(slot.phase)];
    expect(reactor_.unsettled(i), slot.phase == Phase::kFree ? 0 : slot.in_flight,
           "requests of a slot in the kernel");
    if (slot.phase == Phase::kFree) continue;
    clients += (slot.evidence & kOurSocket) == 0 ? 1 : 0;
    check_wait(i);
    check_move(i);
    const bool open = slot.phase == Phase::kClosing || reactor_.is_open(i);
    expect(open ? 1 : 0, 1, "a slot in use has a descriptor");
  }
  for (size_t phase = 1; phase < kPhaseCount; ++phase) {
    expect(counters().phases[phase], phases[phase], kPhaseNames[phase]);
  }
  expect(counters().held, clients, "clients held");
}

void Episode::check_pools() {
  for (size_t i = 0; i < scenario_.config.pools.size(); ++i) {
    const config::Pool& pool = scenario_.config.pools[i];
    uint64_t open = 0;
    for (size_t n = 0; n < pool.backends.size(); ++n) {
      const uint64_t ours = counters().backend_open[i][n];
      open += ours;
      if (ours > 0 && ours + scenario_.open_elsewhere > pool.connections) {
        reactor_.violation(fmt::format("pool {}: more connections than its limit", i));
      }
    }
    expect(counters().pool_open[i], open, "connections of a pool");
  }
}

void Episode::check_end() {
  check_slots();
  check_pools();
  // Then the services take what is in their queues, and everybody reads to the end.
  agenda_.run_until(agenda_.now() + kLongestRun);
  check_nothing_left();
  check_counters();
  world_.judge();
}

void Episode::check_nothing_left() {
  check_borrowed();
  expect(slots_.used(), 0, "slots used at the end");
  expect(reactor_.slots_open(), 0, "direct descriptors at the end");
  const ring::Connections& connections = shard_->connections();
  expect(connections.timers.armed(), 0, "timers at the end");
  for (uint32_t table = 0; table < connections.tables(); ++table) {
    expect(connections.free_slots(table), scenario_.kernel.slots, "free slots at the end");
  }
  expect(counters().held, 0, "clients held at the end");
  expect(reactor_.all_buffers_back() ? 1 : 0, 1, "all relay buffers are back");
  expect(reactor_.real_sockets(), 0, "real descriptors of sockets at the end");
  expect(reactor_.pipes_empty() ? 1 : 0, 1, "all pipes are empty");
  for (size_t phase = 0; phase < kPhaseCount; ++phase) {
    expect(counters().phases[phase], 0, "a phase at the end");
  }
  for (size_t pool = 0; pool < scenario_.config.pools.size(); ++pool) {
    expect(counters().pool_open[pool], 0, "connections of a pool at the end");
    for (const auto& backend : counters().backend_open[pool]) {
      expect(backend, 0, "connections of a backend at the end");
    }
  }
  for (const auto& client : world_.clients()) {
    expect(slots_.address_count(client->script().from.address), 0, "an address at the end");
    expect(client->was_accepted() ? client->released() : 1, 1, "a client was let go");
  }
}

// What a look has found is counted once, unless the gate is stopping.
void Episode::check_looks() {
  uint64_t silent = 0;
  uint64_t talking = 0;
  for (const auto& client : world_.clients()) {
    if (client->found_silent()) ++silent;
    if (client->found_talking()) ++talking;
  }
  const auto check = [&](Counter counter, uint64_t want, const char* what) {
    if (count(counter) > want || !scenario_.stop_at) expect(count(counter), want, what);
  };
  check(Counter::kPregreet, talking, "clients seen to speak early");
  check(Counter::kKernelHeld, scenario_.kernel_wait > 0 ? silent : 0, "clients that were silent");
}

// Each verdict was told once, and what did not arrive was counted.
void Episode::check_visits() {
  if (world_.memory() == nullptr) {
    expect(count(Counter::kVisitsTold), 0, "visits told to nobody");
    return;
  }
  const uint64_t told = count(Counter::kVisitsTold);
  expect(told - count(Counter::kVisitsLost), world_.memory()->visits_came(), "visits that came");
  if (scenario_.talks) return;
  const uint64_t least =
      count(Counter::kPassNew) + count(Counter::kPassOld) + count(Counter::kAllowlistedClients);
  const uint64_t most = least + count(Counter::kPregreetIgnored) + count(Counter::kListsIgnored) +
                        count(Counter::kRefused) + count(Counter::kDropped) -
                        count(Counter::kKnownRefused);
  if (told < least || told > most) {
    reactor_.violation(fmt::format("{} visits told, not {} to {}", told, least, most));
  }
}

// The counters tell what the clients have seen.
void Episode::check_counters() {
  if (scenario_.talks) return check_talk_counters();
  std::array<uint64_t, smtp::kReplyCount> replies{};
  uint64_t accepted = 0;
  uint64_t silent = 0;
  uint64_t handed = 0;
  for (const auto& client : world_.clients()) {
    if (!client->was_accepted()) continue;
    ++accepted;
    const bool taken = client->relayed() || client->claimed();
    if (client->was_carried_off()) continue;
    if (client->reply()) ++replies[static_cast<size_t>(*client->reply())];
    if (taken) ++handed;
    if (!client->reply() && !taken && !client->was_killed()) ++silent;
  }
  const auto replied = [&](ReplyId id) { return replies[static_cast<size_t>(id)]; };
  expect(count(Counter::kAccepted), accepted, "accepted");
  expect(count(Counter::kRefused),
         replied(ReplyId::kRefuseProtocol) + replied(ReplyId::kRefuseService) +
             replied(ReplyId::kRefuseListed),
         "refused");
  expect(count(Counter::kDropped),
         replied(ReplyId::kDropProtocol) + replied(ReplyId::kDropService) +
             replied(ReplyId::kDropListed),
         "dropped");
  expect(count(Counter::kDropPerAddress), replied(ReplyId::kTooManyConnections), "per address");
  expect(count(Counter::kDropPerShard) + count(Counter::kDropHeld),
         replied(ReplyId::kScreeningPortsBusy), "per shard or host");
  expect(count(Counter::kDropNoBackend) + count(Counter::kDropNoRoute),
         replied(ReplyId::kServerPortsBusy), "no backend or route");
  expect(count(Counter::kDropShutdown), replied(ReplyId::kShuttingDown), "shutting down");
  expect(count(Counter::kHangup), silent, "hung up");
  // Descriptors that no service read in time are told by the outcome alone; those of clients that
  // were killed before that time by nothing else.
  uint64_t untaken = count(Counter::kKilled);
  for (const auto& pool : counters().outcomes) {
    untaken += pool[static_cast<size_t>(HandoffOutcome::kTimedOut)];
  }
  const uint64_t counted = count(Counter::kHandedOff);
  if (counted > handed || handed > counted + untaken) {
    reactor_.violation(fmt::format("{} handed off, {} counted", handed, counted));
  }
  check_looks();
  check_visits();
  check_carried();
  const uint64_t bytes = count(Counter::kRelayedBytes);
  if (bytes > reactor_.relayed_bytes() + reactor_.bulk_bytes() || bytes < reactor_.bulk_bytes()) {
    reactor_.violation("bytes relayed and bytes counted differ");
  }
}

}  // namespace lychgate::sim
