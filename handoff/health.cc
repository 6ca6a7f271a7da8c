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

[[maybe_unused]] void write_board(BackendBoard& board, BackendHealth health,
                                  std::string_view text) {
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

void HealthChecks::start(Tick /*now*/) {}
void HealthChecks::stop() {}
bool HealthChecks::owns(ring::Op op) {
  return op == ring::Op::kCheckSocket;
}
void HealthChecks::complete(const ring::Completion& /*completion*/, Tick /*now*/) {}
void HealthChecks::advance(Tick /*now*/) {}
std::optional<Tick> HealthChecks::next_wake() const {
  return std::nullopt;
}
std::optional<std::string> HealthChecks::next_line() {
  return std::nullopt;
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
