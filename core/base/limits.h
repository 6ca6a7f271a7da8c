// Every bound of the program in one place, each with its reason; related ones are tied by
// assertion.

#pragma once

#include <cstddef>
#include <cstdint>

namespace lychgate {

// A shard is one core; more than 64 on one host has not been tried.
inline constexpr uint32_t kShardsMax = 64;
// A listener's index is one byte in the slot; 32 addresses are more than any gate we know of has.
inline constexpr uint32_t kListenersMax = 32;
// Counters per pool live in a fixed shared block.
inline constexpr uint32_t kPoolsMax = 32;
inline constexpr uint32_t kBackendsPerPoolMax = 64;
inline constexpr uint32_t kRoutesMax = 256;

// IORING_REGISTER_FILES takes at most 2^20 entries in one table (Linux 6.18, io_uring/rsrc.h), and
// no more than RLIMIT_NOFILE.
inline constexpr uint32_t kTableSlotsMax = 1u << 20;
// Tables of one shard, each with a ring: 64 of 20,000 hold more than a million clients.
inline constexpr uint32_t kTablesMax = 64;
// Slots of one shard over all its tables: 256 MiB of them.
inline constexpr uint32_t kSlotsMax = 1u << 22;
// Clients of one shard: with half of the main table and part of the last one empty they still fit.
inline constexpr uint32_t kClientsPerShardMax = kSlotsMax / 2;
static_assert(kClientsPerShardMax + kTableSlotsMax * 3 / 2 < kSlotsMax);
// The tag packs the slot in 24 bits.
inline constexpr uint32_t kTagSlotBits = 24;
static_assert(kSlotsMax < (1u << kTagSlotBits));
// A table smaller than this could not hold a client, its backend and what is closing.
inline constexpr uint32_t kSlotsMin = 64;

// Clients of one address at once; the address index counts in 16 bits.
inline constexpr uint32_t kClientsPerAddressMax = 65000;

// Completion queue: 16 k or more keeps a burst from overflowing (measured, docs/architecture.md).
inline constexpr uint32_t kCompletionEntries = 16384;
inline constexpr uint32_t kSubmissionEntries = 4096;
// Queues of a ring that only holds (its requests end where they are submitted).
inline constexpr uint32_t kHoldSubmissionEntries = 256;
inline constexpr uint32_t kHoldCompletionEntries = 1024;
// Approved clients waiting for room in the main table, and how long each waits at most.
inline constexpr uint32_t kMovesWaitingMax = 16384;
inline constexpr uint32_t kMoveWaitMs = 5000;
// Completions moved out of the ring in one turn; the rest waits one turn.
inline constexpr uint32_t kCompletionsPerTurnMax = 4096;

// Accepts in flight, and so the newcomers of a turn: a client on its way to its backend takes some
// turns, which under a flood are as long as what each brings. 32 and 128 cost no less a client
// (measured), and made its slowest ones wait three and ten times as long.
inline constexpr uint32_t kAcceptBatchMax = 8;
// Looks in flight, each with a buffer of its own; as few as accepts, for the same reason.
// postscreen peeks at most 1,023 bytes too.
inline constexpr uint32_t kLooksInFlightMax = 8;
inline constexpr size_t kLookBytes = 1023;

// Relay: buffers of one shard's provided-buffer ring. Below 16 kB throughput falls (measured).
inline constexpr uint32_t kRelayBufferBytes = 16384;
inline constexpr uint32_t kRelayBuffers = 512;
// Buffers queued in one direction before its source is no longer read.
inline constexpr uint32_t kRelayQueueMax = 8;
// A direction that moved this much without an answer is bulk and goes on with splice(2).
inline constexpr uint64_t kBulkThresholdBytes = 65536;
static_assert(uint64_t{kRelayQueueMax} * kRelayBufferBytes > kBulkThresholdBytes);
// Pipes leased to bulk streams of one shard, and the size asked for each.
inline constexpr uint32_t kPipesMax = 128;
inline constexpr int kPipeBytes = 256 * 1024;
// splice(2) calls for one direction before other connections get their turn.
inline constexpr int kBulkStepsPerTurn = 16;

// A log line longer than this is cut: a refused recipient's has three names of the client's in it.
inline constexpr size_t kLogLineMax = 1024;
// Lines waiting for a slow sink; beyond it lines are lost and counted.
inline constexpr size_t kLogQueueBytes = 262144;

// Wheel of the timers that are not constant waits: 4096 buckets of 10 ms, 41 s a round.
inline constexpr uint32_t kWheelBuckets = 4096;

// Hand-offs and relays of one shard at once; each has a record of some 700 bytes.
inline constexpr uint32_t kTransfersMax = 16384;
// Warnings about backends not yet logged; the counters tell of those beyond.
inline constexpr uint32_t kWarningsMax = 64;

// A warning that every client would bring is said this seldom.
inline constexpr uint32_t kRepeatedWarningMs = 60000;

// A client that waits for a backend asks again this often.
inline constexpr uint32_t kBackendRetryMs = 250;
// After the backend has closed, the client of a relay has this long to close its side.
inline constexpr uint32_t kRelayLingerMs = 5000;

// Clients that talk to the gate at once, of one shard; each has a block of less than 1 KiB. Beyond
// it strangers that passed the tests before are handed over without those of the dialogue, and who
// failed one is refused in the greeting.
inline constexpr uint32_t kDialoguesMax = 16384;
// A command line, its end included (Postfix's line_length_limit).
inline constexpr size_t kDialogueLineMax = 2048;
// Lines that come in pieces and have outgrown their client's block; beyond it they are too long.
inline constexpr uint32_t kLongLinesMax = 256;
// The PROXY header: v1 is at most 107 bytes with its end, v2 as much as it says; what is longer
// than this is refused (postscreen and smtpd: 536).
inline constexpr size_t kProxyHeaderReadMax = 536;
// Between two looks for the rest of such a header.
inline constexpr uint32_t kProxyLookMs = 20;
// Receive buffer asked for a client in the tarpit: the kernel doubles it, to the least it gives.
inline constexpr int kTarpitReceiveBuffer = 1152;
// What a backend announces in answer to EHLO, as far as the gate announces it again.
inline constexpr size_t kCapabilityBytesMax = 512;
// How often the level of overload is considered.
inline constexpr uint32_t kOverloadPeriodMs = 100;

// How long a refused client may take to read its reply before the descriptor is closed.
inline constexpr uint32_t kLingerMs = 1000;

// Log events kept for an idle turn before they are put into words all the same.
inline constexpr size_t kLinesUnwrittenMax = 512;
// As many are put into words before the queue goes to the kernel: that takes less than a turn more.
inline constexpr size_t kLinesAtOnce = 4;
// Between two lots of log lines: each wakes a thread of the ring, a file is never written inline.
inline constexpr uint32_t kLogLotMs = 50;

// DNS lists of one gate (distinct zones) and the site lines that name them. Operators run up to
// twenty; each list costs every client one lookup.
inline constexpr uint32_t kListsMax = 32;
inline constexpr uint32_t kSitesMax = 128;
// Weights and sums stay far inside the slot's 16 bits.
inline constexpr int32_t kSiteWeightMin = -255;
inline constexpr int32_t kSiteWeightMax = 255;
static_assert(int64_t{kSitesMax} * kSiteWeightMax <= INT16_MAX);
// Servers a gate asks; resolv.conf itself knows three.
inline constexpr uint32_t kDnsServersMax = 8;
// UDP sockets to one server: each adds a port that a forger must guess.
inline constexpr uint32_t kDnsSocketsPerServerMax = 16;
// Addresses whose answers are kept after their clients have gone.
inline constexpr uint32_t kDnsCacheMax = 10000000;
// Questions that leave in one turn; each has a packet buffer until the kernel has copied it.
inline constexpr uint32_t kDnsSendsPerTurnMax = 1024;
static_assert(kDnsSendsPerTurnMax < kSubmissionEntries);
// Buffers for replies that have come and are not yet read: one turn's worth, with the EDNS size.
inline constexpr uint32_t kPacketBuffers = 1024;
inline constexpr uint32_t kPacketBufferBytes = 1280;
// Times one question is sent, each time to another server if there is one.
inline constexpr uint32_t kDnsAttemptsMax = 3;
// Questions asked again over TCP at once; a truncated answer to an A question is a rarity.
inline constexpr uint32_t kDnsTcpMax = 64;
inline constexpr uint32_t kDnsTcpBytes = 4096;
// Questions one server may have open: begins with the first, halves with a loss, never below the
// least, and grows as dns/servers.h says. The kernel keeps only some 270 packets for a server that
// is not reading (measured): two shards' first windows fit.
inline constexpr uint32_t kDnsWindowFirst = 128;
inline constexpr uint32_t kDnsWindowMin = 32;
// Answers are kept no longer, whatever their TTL: "listed" since clients come back cleaned,
// "not listed" as RFC 2308 section 5 advises; without an SOA the second is kept this short.
inline constexpr uint32_t kListedSecondsMax = 300;
inline constexpr uint32_t kNotListedSecondsMax = 3600;
inline constexpr uint32_t kNotListedSecondsWithoutSoa = 60;
// Reasons (TXT) kept for refused clients at once.
inline constexpr uint32_t kReasonsMax = 1024;
// Replies with a client's address in them that are being sent at once.
inline constexpr uint32_t kWrittenRepliesMax = 256;

// Clients of the control socket served at once, those that wait behind them, and the length of one
// request: the longest names a pool and a backend.
inline constexpr uint32_t kControlClientsMax = 64;
inline constexpr int kControlBacklog = 128;
inline constexpr size_t kControlRequestMax = 512;

// Visits that a shard gathers in one turn for the steward; some eight clients come and eight looks
// end in a turn, but the lists may decide about a whole crowd.
inline constexpr uint32_t kVisitsPerTurnMax = 1024;
// Between two messages that are not full: each wakes the steward.
inline constexpr uint32_t kVisitRestMs = 50;
// The steward writes what it has learned at most this long, or this many visits, apart.
inline constexpr uint32_t kStoreCommitMs = 200;
inline constexpr uint32_t kStoreCommitRecords = 10000;
// After a commit that failed, and for a store that could not be opened.
inline constexpr uint32_t kStoreRetryMs = 1000;
inline constexpr uint32_t kStoreReopenMs = 60000;
// Records looked at in a second to forget the old ones: each in an hour, but no more than this,
// which takes a few ms.
inline constexpr uint32_t kStoreCleanMax = 10000;
inline constexpr uint32_t kStoreCleanRoundSeconds = 3600;

}  // namespace lychgate
