// The part of a run in which clients talk to the gate: what must be true of the tarpit, of what a
// dialogue borrows, and of the counters.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "tests/sim/episode.h"

namespace lychgate::sim {

using smtp::ReplyId;

// The host's memory runs full, or is free again.
void Episode::plan_loads() {
  for (uint32_t i = 0; i < scenario_.loads; ++i) {
    const auto percent = static_cast<uint32_t>(random_.between(0, 110));
    agenda_.at(random_.between(0, scenario_.arrivals_last + 10000), [this, percent] {
      counters_.boards().load.memory_percent = percent;
      reactor_.interrupt();
    });
  }
}

// Who is let go has been there longer than who stays.
void Episode::check_tarpit() {
  const uint64_t now_held = counters().phases[static_cast<size_t>(Phase::kTarpit)];
  if (now_held == 0 && held_.empty()) return;
  std::vector<Held> stay;
  uint64_t last_released = 0;
  for (const Held& each : held_) {
    const Slot* slot = slots_.find(each.id);
    if (slot == nullptr) continue;
    if (slot->phase == Phase::kTarpit) stay.push_back(each);
    if (slot->phase == Phase::kReplying) last_released = std::max(last_released, each.since);
  }
  for (const Held& each : stay) {
    if (each.since < last_released) reactor_.violation("the tarpit keeps an older client");
  }
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].phase != Phase::kTarpit) continue;
    const bool known =
        std::ranges::any_of(stay, [&](const Held& each) { return each.id == slots_.id(i); });
    if (!known) stay.push_back({slots_.id(i), steps_});
  }
  held_ = std::move(stay);
}

void Episode::check_borrowed() {
  expect(shard_->dialogues().lent(), 0, "blocks of dialogues at the end");
  expect(shard_->dialogues().long_lines_lent(), 0, "long lines at the end");
}

void Episode::check_talk_counters() {
  std::array<uint64_t, smtp::kReplyCount> last{};
  std::array<uint64_t, smtp::kReplyCount> all{};
  uint64_t accepted = 0;
  uint64_t proxied = 0;
  uint64_t handed = 0;
  uint64_t handed_over = 0;
  uint64_t neither = 0;
  for (const auto& client : world_.clients()) {
    if (!client->was_accepted()) continue;
    ++accepted;
    proxied += client->script().proxied() ? 1 : 0;
    const bool taken = client->relayed() || client->claimed();
    if (client->was_carried_off()) continue;
    const bool ended = client->reply() && !client->tarpitted();
    if (ended) ++last[static_cast<size_t>(*client->reply())];
    for (const ReplyId id : client->replies()) ++all[static_cast<size_t>(id)];
    handed += taken ? 1 : 0;
    handed_over += client->handed_over() ? 1 : 0;
    neither += !ended && !taken ? 1 : 0;
  }
  const auto sum = [](const auto& counts, std::initializer_list<ReplyId> ids) {
    uint64_t out = 0;
    for (const ReplyId id : ids) out += counts[static_cast<size_t>(id)];
    return out;
  };
  const auto at_most = [&](Counter counter, uint64_t most, const char* what) {
    if (count(counter) > most)
      reactor_.violation(fmt::format("{}: {}, and at most {}", what, count(counter), most));
  };
  // Who comes through a balancer is counted when it is known.
  at_most(Counter::kAccepted, accepted, "accepted");
  if (count(Counter::kAccepted) + proxied < accepted) reactor_.violation("too few are accepted");
  at_most(Counter::kProxied, proxied, "told of by a header");
  at_most(Counter::kProxyRefused, proxied - count(Counter::kProxied), "without a good header");
  expect(count(Counter::kDropped),
         sum(last, {ReplyId::kDropProtocol, ReplyId::kDropService, ReplyId::kDropListed,
                    ReplyId::kDropNonSmtp}),
         "dropped");
  expect(count(Counter::kDropPerAddress), sum(last, {ReplyId::kTooManyConnections}), "per address");
  expect(count(Counter::kDropPerShard) + count(Counter::kDropHeld),
         sum(last, {ReplyId::kScreeningPortsBusy}), "per shard or host");
  expect(count(Counter::kDropNoBackend) + count(Counter::kDropNoRoute),
         sum(last, {ReplyId::kServerPortsBusy}), "no backend or route");
  expect(count(Counter::kDropShutdown), sum(last, {ReplyId::kShuttingDown}), "shutting down");
  expect(count(Counter::kTimeLimit), sum(last, {ReplyId::kTimeout}), "too slow");
  expect(count(Counter::kCountLimit) + count(Counter::kLengthLimit),
         sum(last, {ReplyId::kTooManyCommands, ReplyId::kTooManyErrors, ReplyId::kLineTooLong}),
         "too much");
  expect(count(Counter::kHandedOver), handed_over, "handed over");
  at_most(Counter::kHangup, neither, "hung up");
  at_most(Counter::kRecipientsRefused,
          sum(all, {ReplyId::kRefuseProtocol, ReplyId::kRefuseService, ReplyId::kRefuseListed,
                    ReplyId::kDefer}),
          "recipients refused");
  if (count(Counter::kDialogues) < sum(all, {ReplyId::kGreeting}))
    reactor_.violation("more were greeted than have talked");
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
}

}  // namespace lychgate::sim
