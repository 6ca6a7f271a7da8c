// A map in place of a file.

#include "tests/sim/memory.h"

#include <algorithm>
#include <utility>

#include "core/base/limits.h"

namespace lychgate::sim {
namespace {

// Messages that the kernel keeps for a steward that does not read.
constexpr size_t kQueueMax = 20;
// Until the gate has looked at one who has been accepted: the kernel may be slow to tell.
constexpr Seconds kMargin = 3;
constexpr ScreenTest kTests[] = {ScreenTest::kPregreet, ScreenTest::kLists, ScreenTest::kPipelining,
                                 ScreenTest::kNonSmtp, ScreenTest::kBareNewline};

}  // namespace

Memory::Memory(Stage& stage, const Scenario& scenario)
    : stage_(stage),
      scenario_(scenario),
      prefixes_(daemon::prefix_lengths(scenario.config.store)),
      line_(stage.reactor.make_packet_socket(*this, 0)) {
  if (!scenario.steward_dies) return;
  stage_.agenda.at(*scenario.steward_dies, [this] { die(); });
}

// What it has not yet written is lost; what is in the socket is not.
void Memory::die() {
  dead_ = true;
  uncommitted_.clear();
  stage_.agenda.after(scenario_.steward_dead_for, [this] {
    dead_ = false;
    read_all();
  });
}

bool Memory::has_room() const {
  return !dead_ || queue_.size() < kQueueMax;
}

void Memory::packet_came(int /*fd*/, std::span<const char> bytes) {
  queue_.emplace_back(bytes.begin(), bytes.end());
  if (!dead_) read_all();
}

void Memory::read_all() {
  for (const std::string& message : std::exchange(queue_, {})) {
    const std::span all(reinterpret_cast<const uint8_t*>(message.data()), message.size());
    const size_t visits = (message.size() - 1) / daemon::kVisitBytes;
    if (message.size() != 1 + visits * daemon::kVisitBytes || visits == 0) {
      stage_.reactor.violation("a message of visits with a broken end");
    }
    for (size_t i = 0; i < visits; ++i) {
      const auto visit = daemon::decode_visit(
          all.subspan(1 + i * daemon::kVisitBytes).first<daemon::kVisitBytes>());
      if (!visit) {
        stage_.reactor.violation("a visit that nobody can read");
        continue;
      }
      const auto key = visit->key.encoded();
      uncommitted_.push_back({std::string(key.begin(), key.end()), visit->record});
      ++came_;
    }
  }
  if (committing_ || uncommitted_.empty()) return;
  committing_ = true;
  stage_.agenda.after(stage_.random.between(0, kStoreCommitMs), [this] { commit(); });
}

void Memory::commit() {
  committing_ = false;
  for (const Change& change : std::exchange(uncommitted_, {})) {
    const auto found = book_.find(change.key);
    if (found == book_.end()) {
      book_.emplace(change.key, change.visit);
    } else {
      found->second = with_visit(found->second, change.visit);
    }
  }
}

std::optional<ClientRecord> Memory::find(const ClientKey& key) {
  const auto bytes = key.encoded();
  const auto found = book_.find(std::string(bytes.begin(), bytes.end()));
  if (found == book_.end()) return std::nullopt;
  return found->second;
}

std::string Memory::key_of(const IpAddress& address) const {
  const ClientKey key = ClientKey::of(address, prefixes_);
  return {key.encoded().begin(), key.encoded().end()};
}

ClientRecord Memory::record_of(const IpAddress& address) const {
  const auto found = book_.find(key_of(address));
  return found == book_.end() ? ClientRecord{} : found->second;
}

// REQUIRES: a test of the dialogue.
const config::DialogueTest& Memory::settings_of(ScreenTest test) const {
  const config::Dialogue& dialogue = scenario_.config.dialogue;
  if (test == ScreenTest::kPipelining) return dialogue.pipelining;
  return test == ScreenTest::kNonSmtp ? dialogue.non_smtp_command : dialogue.bare_newline;
}

bool Memory::is_screened(ScreenTest test) const {
  if (test == ScreenTest::kLists) return !scenario_.lists.empty();
  if (test == ScreenTest::kPregreet) return scenario_.config.greet.wait > milliseconds(0);
  return settings_of(test).enable;
}

bool Memory::may_be_spared(const IpAddress& address, ScreenTest test, Time since) const {
  return record_of(address).passed_until[static_cast<size_t>(test)] > second_at(since);
}

bool Memory::may_be_known(const IpAddress& address, Time since) const {
  if (!book_.contains(key_of(address))) return false;
  return std::all_of(std::begin(kTests), std::end(kTests), [&](ScreenTest test) {
    return !is_screened(test) || may_be_spared(address, test, since);
  });
}

bool Memory::may_have_failed(const IpAddress& address, ScreenTest test, Time since) const {
  const ClientRecord record = record_of(address);
  return (record.failed & bit_of(test)) != 0 && record.failed_until > second_at(since);
}

bool Memory::may_have_returned(const IpAddress& address) const {
  const ClientKey key = ClientKey::of_network(address);
  const auto found = book_.find({key.encoded().begin(), key.encoded().end()});
  if (found == book_.end()) return false;
  const auto delay = static_cast<Seconds>(scenario_.config.greylist.delay.count() / 1000);
  return second_at(stage_.agenda.now()) >= found->second.first_seen + delay;
}

bool Memory::is_offender(const IpAddress& address) const {
  const config::Config& config = scenario_.config;
  const Time later = stage_.agenda.now() + Time{kMargin} * 1000;
  const auto counts = [&](ScreenTest test, config::Action action) {
    // Who is deferred may come back.
    return is_screened(test) && action != config::Action::kIgnore &&
           action != config::Action::kDefer && may_have_failed(address, test, later);
  };
  return counts(ScreenTest::kPregreet, config.greet.pregreet) ||
         counts(ScreenTest::kLists, config.dnsl.action) ||
         std::any_of(std::begin(kTests) + 2, std::end(kTests),
                     [&](ScreenTest test) { return counts(test, settings_of(test).action); });
}

bool Memory::is_known(const IpAddress& address) const {
  const bool failed = record_of(address).failed_until != 0;
  return !failed && may_be_known(address, stage_.agenda.now() + Time{kMargin} * 1000);
}

}  // namespace lychgate::sim
