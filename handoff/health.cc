// When a backend is checked, what its board then says, and what is announced because of that. How
// it is checked is in health_dialogue.cc.

#include "handoff/health.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "core/base/check.h"
#include "handoff/capabilities.h"

namespace lychgate::handoff {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
// A board is written in less than a microsecond, so that one who finds it odd that often has come
// upon a writer that died in the middle.
constexpr int kReadsMax = 100;
// Of a pass service: the way to it, and our end of the socketpair.
constexpr uint32_t kSlotsPerCheck = 2;
// Until a check is tried again that had no slot or buffer.
constexpr Tick kNoRoomMs = 1000;

void write_board(BackendBoard& board, BackendHealth health, std::string_view text) {
  const uint32_t version = board.version.load(kRelaxed);
  board.version.store(version | 1, kRelaxed);
  std::atomic_thread_fence(std::memory_order_release);
  board.health.store(static_cast<uint8_t>(health), kRelaxed);
  board.size.store(static_cast<uint16_t>(text.size()), kRelaxed);
  for (size_t at = 0; at < text.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, std::min(sizeof(word), text.size() - at));
    board.text[at / sizeof(word)].store(word, kRelaxed);
  }
  board.version.store((version | 1) + 1, std::memory_order_release);
}

std::string text_of(const BackendBoard& board) {
  const size_t size = std::min<size_t>(board.size.load(kRelaxed), kCapabilityBytesMax);
  std::string text(size, '\0');
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t word = board.text[at / sizeof(word)].load(kRelaxed);
    std::memcpy(text.data() + at, &word, std::min(sizeof(word), size - at));
  }
  return text;
}

}  // namespace

BackendWord read_board(const BackendBoard& board) {
  BackendWord word;
  for (int i = 0; i < kReadsMax; ++i) {
    const uint32_t before = board.version.load(std::memory_order_acquire);
    word.health = static_cast<BackendHealth>(board.health.load(kRelaxed));
    word.text = text_of(board);
    std::atomic_thread_fence(std::memory_order_acquire);
    if ((before & 1) == 0 && board.version.load(kRelaxed) == before) return word;
  }
  word.text.clear();
  return word;
}

HealthChecks::HealthChecks(ring::Connections& connections, const config::Config& config,
                           SharedPools& boards, std::string hostname)
    : connections_(connections), config_(config), boards_(boards), hostname_(std::move(hostname)) {}

uint32_t HealthChecks::index_of(const Check& check) const {
  return static_cast<uint32_t>(&check - checks_.data());
}

const config::Pool& HealthChecks::pool_of(const Check& check) const {
  return config_.pools[targets_[check.target].pool];
}

const config::Backend& HealthChecks::backend_of(const Check& check) const {
  return pool_of(check).backends[targets_[check.target].backend];
}

BackendBoard& HealthChecks::board_of(uint32_t pool, uint32_t backend) {
  return boards_.backends[config_.cells.pools[pool]][config_.cells.backends[pool][backend]];
}

// A descriptor that comes for a socket being closed would be nobody's.
bool HealthChecks::is_timed(const Check& check) {
  return check.stage > Stage::kOpening && check.stage != Stage::kInstalling;
}

void HealthChecks::start(Tick now) {
  stopped_ = false;
  changed_ = true;
  for (uint32_t p = 0; p < config_.pools.size(); ++p) {
    const config::Pool& pool = config_.pools[p];
    for (uint32_t b = 0; b < pool.backends.size(); ++b) {
      if (pool.check_interval.count() > 0) {
        targets_.push_back({.pool = p, .backend = b, .due = now});
        continue;
      }
      // Of a configuration before, in which it was checked.
      write_board(board_of(p, b), BackendHealth::kUnknown, {});
      boards_.version.fetch_add(1, std::memory_order_release);
    }
  }
}

void HealthChecks::stop() {
  stopped_ = true;
  changed_ = true;
  for (Check& check : checks_) {
    // One whose sockets or descriptor are on their way ends when they have come.
    if (is_timed(check)) end(check, 0);
  }
}

// A look at every backend only when something has happened, or one of them is due.
void HealthChecks::advance(Tick now) {
  if (!changed_ && (!wake_ || !tick_reached(now, *wake_))) return;
  for (Check& check : checks_) {
    if (!is_timed(check) || !tick_reached(now, check.deadline)) continue;
    if (check.stage == Stage::kQuit) {
      passed(check);
    } else {
      failed(check, check.stage == Stage::kConnecting ? "connect timed out" : "no reply in time",
             now);
    }
  }
  for (uint32_t i = 0; i < targets_.size() && !stopped_; ++i) {
    if (targets_[i].under_way || !tick_reached(now, targets_[i].due)) continue;
    Check* const check = free_check();
    if (check == nullptr) break;
    begin(*check, i, now);
  }
  look_ahead();
}

// Who is due and finds no free check begins when one ends, which wakes the shard by itself.
void HealthChecks::look_ahead() {
  wake_.reset();
  const auto consider = [this](Tick at) {
    if (!wake_ || tick_reached(*wake_, at)) wake_ = at;
  };
  for (const Check& check : checks_) {
    if (is_timed(check)) consider(check.deadline);
  }
  const bool free = free_check() != nullptr;
  changed_ = !free;
  for (const Target& target : targets_) {
    if (free && !stopped_ && !target.under_way) consider(target.due);
  }
}

HealthChecks::Check* HealthChecks::free_check() {
  const auto found = std::find_if(checks_.begin(), checks_.end(), [this](const Check& check) {
    return check.stage == Stage::kFree && connections_.slots.find(check.last) == nullptr;
  });
  return found == checks_.end() ? nullptr : &*found;
}

void HealthChecks::begin(Check& check, uint32_t target, Tick now) {
  // A check takes slots, of which clients come first.
  if (connections_.free_slots() < kSlotsPerCheck) {
    targets_[target].due = now + kNoRoomMs;
    return;
  }
  targets_[target].under_way = true;
  check.target = target;
  open(check);
}

// It has decided nothing: what was missing was ours.
void HealthChecks::postpone(Check& check, Tick now) {
  end(check, now + kNoRoomMs);
}

void HealthChecks::failed(Check& check, std::string_view cause, Tick now) {
  connections_.counters.add(Counter::kChecks);
  connections_.counters.add(Counter::kChecksFailed);
  publish(check, BackendHealth::kDown, {}, cause);
  Backoff& rest = targets_[check.target].rest;
  rest.failed(now);
  end(check, now + std::min(rest.rest(now), to_ticks(pool_of(check).check_interval)));
}

// Its board was written when it had announced what it can.
void HealthChecks::passed(Check& check) {
  connections_.counters.add(Counter::kChecks);
  targets_[check.target].rest.succeeded();
  end(check, targets_[check.target].due);
}

void HealthChecks::end(Check& check, Tick due) {
  Target& target = targets_[check.target];
  target.under_way = false;
  target.due = due;
  check.last = {};
  for (uint32_t* const slot : {&check.pass_slot, &check.slot}) {
    if (*slot == kNoSlot) continue;
    check.last = connections_.slots.id(*slot);
    connections_.retire(*slot);
    *slot = kNoSlot;
  }
  if (check.theirs >= 0) connections_.reactor.close_fd(check.theirs);
  check.theirs = -1;
  check.stage = Stage::kFree;
  changed_ = true;
}

void HealthChecks::publish(const Check& check, BackendHealth health, std::string_view text,
                           std::string_view cause) {
  const Target& target = targets_[check.target];
  BackendBoard& board = board_of(target.pool, target.backend);
  const BackendWord before = read_board(board);
  if (before.health == health && before.text == text) return;
  write_board(board, health, text);
  boards_.version.fetch_add(1, std::memory_order_release);
  if (before.health == health || lines_.size() == kWarningsMax) return;
  const std::string who =
      fmt::format("pool {}: service {}", pool_of(check).name, backend_of(check).text);
  if (health == BackendHealth::kDown) {
    lines_.push_back(fmt::format("warning: {} is down: {}", who, cause));
  } else if (before.health == BackendHealth::kDown) {
    lines_.push_back(fmt::format("{} is up again", who));
  }
}

std::optional<std::string> HealthChecks::next_line() {
  if (lines_.empty()) return std::nullopt;
  std::string line = std::move(lines_.front());
  lines_.pop_front();
  return line;
}

Announcements::Announcements(const config::Config& config, const SharedPools* boards)
    : config_(config), boards_(boards), texts_(config.pools.size()) {}

void Announcements::refresh() {
  if (boards_ == nullptr) return;
  const uint32_t version = boards_->version.load(std::memory_order_acquire);
  if (seen_ == version) return;
  seen_ = version;
  for (size_t p = 0; p < config_.pools.size(); ++p) {
    const auto& cells = config_.cells.backends[p];
    std::vector<std::string> up;
    for (size_t b = 0; b < config_.pools[p].backends.size(); ++b) {
      BackendWord word = read_board(boards_->backends[config_.cells.pools[p]][cells[b]]);
      if (word.health == BackendHealth::kUp) up.push_back(std::move(word.text));
    }
    const std::vector<std::string_view> texts(up.begin(), up.end());
    texts_[p] = announced_for(texts, config_.dialogue.hide);
  }
}

}  // namespace lychgate::handoff
