// Counters in one shared anonymous mapping: a cache-line-aligned block per shard, plain relaxed
// stores by the shard, read by the steward. They outlive a shard; its gauges are reset when it
// dies.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

#include "core/base/boards.h"
#include "core/base/limits.h"
#include "core/base/result.h"
#include "core/base/slots.h"
#include "core/base/time_histogram.h"

namespace lychgate {

// Every counter: name (status and metrics), and the sentence of the manual. Grows only at the end.
#define LYCHGATE_COUNTERS(X)                                                                      \
  X(kAccepted, "accepted", "connections accepted")                                                \
  X(kPassNew, "pass_new", "clients that passed every test")                                       \
  X(kAllowlistedClients, "allowlisted", "clients the access list permits")                        \
  X(kDenylistedClients, "denylisted", "clients the access list rejects")                          \
  X(kPregreet, "pregreet", "clients that spoke before the greeting")                              \
  X(kPregreetIgnored, "pregreet_ignored", "of these, let on because the action is ignore")        \
  X(kRefused, "refused", "clients refused with 550")                                              \
  X(kDropped, "dropped", "clients dropped with 521")                                              \
  X(kHangup, "hangup", "clients that closed before the verdict")                                  \
  X(kDropPerAddress, "drop_per_address", "421: over limits.per_address")                          \
  X(kDropPerShard, "drop_per_shard", "421: over limits.per_shard")                                \
  X(kDropHeld, "drop_held", "421: over limits.held")                                              \
  X(kDropNoBackend, "drop_no_backend", "421: no backend took the client in time")                 \
  X(kDropNoRoute, "drop_no_route", "421: no route matched")                                       \
  X(kDropShutdown, "drop_shutdown", "421: the gate was stopping")                                 \
  X(kHandedOff, "handed_off", "clients taken by a backend")                                       \
  X(kRelayedBytes, "relayed_bytes", "bytes relayed, both directions")                             \
  X(kRelayBulk, "relay_bulk", "relays that changed to splice(2)")                                 \
  X(kRelayIdleTimeout, "relay_idle_timeout", "relays ended by relay.idle_timeout")                \
  X(kRelayStarved, "relay_starved", "waits for a relay buffer or pipe")                           \
  X(kAcceptPaused, "accept_paused", "accept paused because the slot table was full")              \
  X(kAcceptFailed, "accept_failed", "accepts that failed in the kernel")                          \
  X(kSubmitFull, "submit_full", "turns in which the submission queue filled up")                  \
  X(kCompletionOverflow, "completion_overflow", "turns that found the completion queue full")     \
  X(kStaleCompletions, "stale_completions", "completions for a connection already gone")          \
  X(kLogLost, "log_lost", "log lines lost to a slow sink")                                        \
  X(kRestarts, "restarts", "times this shard was started again")                                  \
  X(kListsFailed, "dnsl_failed", "clients at or over dnsl.threshold")                             \
  X(kListsIgnored, "dnsl_ignored", "of these, let on because the action is ignore")               \
  X(kListsAllow, "dnsl_allow", "clients at or under dnsl.allow_threshold")                        \
  X(kListsPartial, "dnsl_partial",                                                                \
    "waits that ended while a missing answer could change what followed")                         \
  X(kListsJoined, "dnsl_joined", "lookups saved because the same one was under way")              \
  X(kListsCached, "dnsl_cached", "lookups saved because the answer was still good")               \
  X(kListsReasonless, "dnsl_reasonless",                                                          \
    "refusals without the list's reason, though dnsl.reason is on")                               \
  X(kDnsAsked, "dns_asked", "questions asked, retries not counted")                               \
  X(kDnsSent, "dns_sent", "questions sent over UDP, retries included")                            \
  X(kDnsAnswered, "dns_answered", "questions answered")                                           \
  X(kDnsFailed, "dns_failed", "questions that no server could answer")                            \
  X(kDnsTimedOut, "dns_timed_out", "questions without an answer within dns.timeout")              \
  X(kDnsGivenUp, "dns_given_up", "questions given up unsent: dns.in_flight, windows or TCP full") \
  X(kDnsLate, "dns_late", "replies to no open question: late, duplicate or forged")               \
  X(kDnsForged, "dns_forged", "replies with an open id that do not fit its question")             \
  X(kDnsSendFailed, "dns_send_failed", "questions that the kernel did not take")                  \
  X(kDnsTcp, "dns_tcp", "questions asked again over TCP")                                         \
  X(kDnsTcpFull, "dns_tcp_full", "of these, failed because too many were")                        \
  X(kDnsServerDown, "dns_server_down", "times a server was no longer asked first")                \
  X(kDnsHeldBack, "dns_held_back", "turns that left questions queued: windows or turn full")      \
  X(kDnsStarved, "dns_starved", "receives that found no packet buffer")                           \
  X(kRepliesUnnamed, "replies_unnamed", "refusals that name no list: too many being sent")        \
  X(kMoved, "moved", "approved clients moved from a table that holds to the main one")            \
  X(kMoveFailed, "move_failed", "approved clients sent away: no room there in time")              \
  X(kHoldLate, "hold_late", "turns in which a ring that holds owed an answer")                    \
  X(kKernelHeld, "kernel_held", "clients that came out of the kernel's waiting room silent")      \
  X(kSynPrefetched, "syn_prefetched", "addresses that lists were asked about at their SYN")       \
  X(kSynFeedSkipped, "syn_feed_skipped",                                                          \
    "addresses not asked about: too many a second, or no room")                                   \
  X(kSynFeedLost, "syn_feed_lost", "SYNs that found the feed's buffer full")                      \
  X(kKilled, "killed", "clients whose session was ended by command")                              \
  X(kPassOld, "pass_old", "clients let on for what they passed on earlier visits")                \
  X(kKnownRefused, "known_refused", "clients refused at once for a failure that is remembered")   \
  X(kVisitsTold, "visits_told", "visits that the steward was told of")                            \
  X(kVisitsLost, "visits_lost", "visits that nobody will remember: too many, or a full socket")   \
  X(kCarried, "carried", "held clients taken over from the generation before")                    \
  X(kCarryLost, "carry_lost", "of these, closed at once: no room, or no descriptor for them")     \
  X(kCarryDelayed, "carry_delayed",                                                               \
    "lots of held clients that found the way to the next generation full")                        \
  X(kDialogues, "dialogues", "clients that talked to the gate")                                   \
  X(kDialogueFull, "dialogue_full", "clients that could not: too many did")                       \
  X(kPipelining, "pipelining", "clients that sent a command before the reply to the last one")    \
  X(kNonSmtpCommand, "non_smtp_command", "clients that spoke another protocol")                   \
  X(kBareNewlines, "bare_newline", "clients that ended a line with LF alone")                     \
  X(kRecipientsRefused, "recipients_refused", "recipients refused with 550 or 450")               \
  X(kDeferred, "deferred", "clients refused with 450, to come back later")                        \
  X(kGreylistPass, "greylist_pass", "clients let on because their network came back")             \
  X(kHandedOver, "handed_over", "clients handed over in the middle of their session")             \
  X(kReplayFailed, "replay_failed", "backends that did not go on where the gate had stopped")     \
  X(kSpokeBehind, "spoke_behind", "hand-overs called off: bytes had come behind the command")     \
  X(kTimeLimit, "command_time_limit", "dialogues ended: a command took too long")                 \
  X(kCountLimit, "command_count_limit", "dialogues ended: too many commands or errors")           \
  X(kLengthLimit, "command_length_limit", "dialogues ended: a line was too long")                 \
  X(kDialogueUnread, "dialogue_unread", "dialogues ended: the client does not read")              \
  X(kTarpitted, "tarpitted", "clients put into the tarpit")                                       \
  X(kTarpitClosed, "tarpit_closed", "clients dropped because the tarpit was closed")              \
  X(kTarpitPressed, "tarpit_pressed", "clients let go because others needed their place")         \
  X(kTarpitBytes, "tarpit_bytes", "bytes sent to clients in the tarpit")                          \
  X(kTarpitSeconds, "tarpit_seconds", "seconds that clients have spent there")                    \
  X(kProxied, "proxied", "connections whose PROXY header told the client")                        \
  X(kProxyRefused, "proxy_refused", "connections reset: no good header, or from a stranger")      \
  X(kChecks, "backend_checks", "health checks of backends")                                       \
  X(kChecksFailed, "backend_checks_failed", "of these, failed")                                   \
  X(kOverloads, "overloads", "times a level of overload began")

enum class Counter : uint8_t {
#define LYCHGATE_X(id, name, sentence) id,
  LYCHGATE_COUNTERS(LYCHGATE_X)
#undef LYCHGATE_X
};
#define LYCHGATE_X(id, name, sentence) 1,
inline constexpr size_t kCounterCount =
    std::initializer_list<int>{LYCHGATE_COUNTERS(LYCHGATE_X)}.size();
#undef LYCHGATE_X

struct CounterInfo {
  const char* name;
  const char* sentence;
};
extern const std::array<CounterInfo, kCounterCount> kCounterInfo;

// How one attempt to hand a client to a pool ended.
enum class HandoffOutcome : uint8_t {
  kTaken,     // smtpd took the descriptor, or the backend greeted
  kRefused,   // connect refused or unreachable, or the backend is missing
  kFull,      // backend at its limit, backlog full or 4xx greeting
  kTimedOut,  // no connection, no greeting or no taking within the pool's limits
  kFellBack,  // whole pool tried, client went to its fallback pool
  kGaveUp,    // bounded wait over, client heard 421
};
inline constexpr size_t kHandoffOutcomeCount = 6;
extern const char* const kHandoffOutcomeNames[kHandoffOutcomeCount];

// Whether a backend is given clients; by command, until the gate stops.
enum class BackendUse : uint8_t {
  kUp,
  kDrain,  // nobody new; who is there may stay
  kDown,   // nobody new; relays to it are ended
};
inline constexpr size_t kBackendUseCount = 3;
extern const char* const kBackendUseNames[kBackendUseCount];

// Up to 65 s in cells of their own: longer than any wait that can be configured.
inline constexpr size_t kWaitCells = 18;

// What one shard tells the rest of the host, and one thing it is told. All stores are relaxed; each
// cell has one writer. Pools, backends and lists have cells (core/base/cells.h), which are not
// their numbers in the configuration.
struct alignas(64) ShardCounters {
  std::array<std::atomic<uint64_t>, kCounterCount> values{};
  std::array<std::atomic<uint64_t>, kPhaseCount> phases{};  // slots in each phase, now
  std::atomic<uint64_t> held{0};                            // clients open, now
  std::array<std::array<std::atomic<uint64_t>, kHandoffOutcomeCount>, kPoolsMax> outcomes{};
  std::array<std::atomic<uint64_t>, kPoolsMax> pool_open{};  // hand-offs and relays, now
  // Connections of each backend (index in pool), now; summed over the shards for its limit.
  std::array<std::array<std::atomic<uint32_t>, kBackendsPerPoolMax>, kPoolsMax> backend_open{};
  std::array<ListCounters, kListsMax> lists{};
  TimeHistogram<kWaitCells>
      hold_time;  // from the accept to the end of the waiting, however it ended
  TimeHistogram<kWaitCells> handoff_time;  // from the verdict to the backend's taking the client
  // BackendUse of each backend; the steward writes the same into every shard's block.
  std::array<std::array<std::atomic<uint8_t>, kBackendsPerPoolMax>, kPoolsMax> backend_use{};
  std::atomic<int32_t> pid{0};

  void add(Counter counter, uint64_t n = 1) {
    auto& cell = values[static_cast<size_t>(counter)];
    cell.store(cell.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t get(Counter counter) const {
    return values[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
  }
  void add_outcome(uint32_t pool, HandoffOutcome outcome) {
    auto& cell = outcomes[pool][static_cast<size_t>(outcome)];
    cell.store(cell.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  BackendUse use_of(uint32_t pool, uint32_t backend) const {
    return static_cast<BackendUse>(backend_use[pool][backend].load(std::memory_order_relaxed));
  }
  void enter_phase(Phase phase) { shift(phases[static_cast<size_t>(phase)], 1); }
  void leave_phase(Phase phase) { shift(phases[static_cast<size_t>(phase)], -1); }
  template <typename T>
  static void shift(std::atomic<T>& gauge, int by) {
    gauge.store(gauge.load(std::memory_order_relaxed) + static_cast<T>(by),
                std::memory_order_relaxed);
  }
  // What a dead shard can no longer hold.
  void reset_gauges();
};

// Generations of shards that may live at the same time: one that takes clients, and the one before,
// which finishes what it holds. Each has blocks of its own; what they say is added up.
inline constexpr uint32_t kGenerationsMax = 2;

// The mapping shared by all processes of one gate; inherited over fork and, by its descriptor, over
// exec.
class SharedCounters {
 public:
  // blocks: 1..kShardsMax * kGenerationsMax.
  static Result<SharedCounters> create(uint32_t blocks);
  // Those of a gate of this layout. Errors: kSoftware when they have another one.
  static Result<SharedCounters> adopt(int fd, uint32_t blocks);
  SharedCounters(SharedCounters&& other) noexcept;
  SharedCounters& operator=(SharedCounters&&) = delete;
  ~SharedCounters();

  std::span<ShardCounters> shards() { return {blocks_, count_}; }
  std::span<const ShardCounters> shards() const { return {blocks_, count_}; }
  SharedBoards& boards() { return *boards_; }
  const SharedBoards& boards() const { return *boards_; }
  SharedLists& lists() { return boards_->lists; }
  const SharedLists& lists() const { return boards_->lists; }
  // Of the memory, to be adopted; closed by exec unless that is changed.
  int fd() const { return fd_; }

 private:
  SharedCounters(int fd, void* memory, uint32_t count);
  int fd_;
  SharedBoards* boards_;
  ShardCounters* blocks_;
  uint32_t count_;
};

}  // namespace lychgate
