// The whole configuration as plain structs, const once validated. No parsing, no I/O.
// Each scalar field has its row in keys.cc (type, unit, range, default, sentence). What == says of
// two of them is whether a gate would behave the same.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/address.h"
#include "core/base/cells.h"
#include "core/base/time.h"
#include "core/config/site.h"

namespace lychgate::config {

// What a failed test does to the client.
enum class Action : uint8_t {
  kIgnore,   // counted and logged, the client goes on
  kEnforce,  // heard in a dialogue and refused with 550 at RCPT
  kDefer,    // the same with 450; let on when its network comes back later
  kDrop,     // 521 and closed at once
  kHold,     // the tarpit: a reply of one byte now and then
};

// Who keeps a silent client waiting.
enum class Hold : uint8_t {
  kGate,    // the gate: teaser, early look, a wait to the millisecond
  kKernel,  // TCP_DEFER_ACCEPT: a tenth of the memory, no teaser, waits in the kernel's steps
};

// The longest wait that the kernel keeps (kernel_wait below).
inline constexpr milliseconds kKernelWaitMax{31000};
// What the kernel makes of greet.wait: a held client's SYN-ACK is due again after 1, 3, 7, 15 and
// 31 s, and only then does it look whether the wait is over (Linux, secs_to_retrans).
constexpr milliseconds kernel_wait(milliseconds wait) {
  milliseconds step{1000};
  while (step < wait && step < kKernelWaitMax) step = 2 * step + milliseconds{1000};
  return step;
}

// When what is learned of clients has reached the disk.
enum class Sync : uint8_t {
  kCommit,    // with every batch: a power failure loses nothing
  kInterval,  // within a second: a power failure loses that second
  kNone,      // when the kernel likes: a power failure may ruin the file
};

enum class HandoffMethod : uint8_t { kPass, kSplice };
enum class ProxyHeader : uint8_t { kNone, kV1, kV2 };
enum class LogTarget : uint8_t { kStderr, kFile, kSyslog, kJournal };

struct Listen {
  std::string name;  // for routes; default: the address as written
  Endpoint address;  // port 0: the kernel picks one
  uint32_t backlog = 4096;
  bool proxy_protocol = false;        // each connection begins with a PROXY header, v1 or v2
  std::vector<Network> trusted = {};  // who may send one; everybody else is reset
  milliseconds proxy_timeout{5000};   // for the whole header

  bool operator==(const Listen&) const = default;
};

struct Limits {
  uint32_t per_address = 50;  // parallel clients of one address; 0: no limit
  uint32_t per_shard = 0;     // clients of one shard; 0: what the descriptor limit allows
  uint32_t held = 0;          // clients of the whole host; 0: no limit

  bool operator==(const Limits&) const = default;
};

struct Access {
  std::string file;                  // Postfix CIDR table; empty: none
  Action reject = Action::kEnforce;  // what `reject` in the table does

  bool operator==(const Access&) const = default;
};

struct Greet {
  std::string banner = "$hostname ESMTP";  // teaser text; empty: no teaser
  milliseconds wait{6000};                 // 0: no wait and no pregreet test
  milliseconds early_look{1000};           // an additional look after this time; 0: none
  Hold hold = Hold::kGate;                 // kKernel: without banner and early_look
  uint32_t syn_feed = 20000;               // kKernel: addresses a second asked about from their SYN
  Action pregreet = Action::kEnforce;
  milliseconds life{86400000};  // of a passed wait; 0: it is not remembered

  bool operator==(const Greet&) const = default;
};

// A test of the dialogue.
struct DialogueTest {
  bool enable = true;
  Action action = Action::kEnforce;
  milliseconds life{30 * int64_t{86400000}};  // of a pass; 0: it is not remembered

  bool operator==(const DialogueTest&) const = default;
};

// The part of a session that the gate speaks itself: from its 220 to the first command that needs
// a mail server, and all of it with a client that has failed a test.
struct Dialogue {
  DialogueTest pipelining;
  DialogueTest non_smtp_command;
  DialogueTest bare_newline;
  milliseconds command_time_limit{300000};  // for one whole command
  uint32_t command_count_limit = 20;
  uint32_t error_limit = 20;  // commands answered with 5xx, refused recipients not counted
  bool helo_required = false;
  bool disable_vrfy = false;
  std::vector<std::string> hide;    // EHLO keywords that are not announced
  std::vector<std::string> exempt;  // local parts whose mail a failed client may still send
  std::string reject_footer;        // behind each 4xx and 5xx of the dialogue; empty: none

  bool operator==(const Dialogue&) const = default;
};

struct Greylist {
  milliseconds delay{60000};                   // who comes back sooner is deferred again
  milliseconds window{2 * int64_t{86400000}};  // who comes back later is deferred anew
  milliseconds life{30 * int64_t{86400000}};   // how long a network is let on

  bool operator==(const Greylist&) const = default;
};

struct Tarpit {
  milliseconds interval{30000};  // between two bytes
  uint32_t clients = 0;          // of one shard; 0: half of limits.per_shard
  milliseconds time{0};          // after which a client is let go; 0: when others need its place

  bool operator==(const Tarpit&) const = default;
};

// How close the host is to what it can bear, in the order of severity.
enum class OverloadLevel : uint8_t { kNormal, kBusy, kStress, kEmergency };
inline constexpr size_t kOverloadLevelCount = 4;

// What is different at a level. Each makes its setting shorter or smaller, never larger.
struct LevelSettings {
  std::optional<milliseconds> greet_wait = {};
  std::optional<milliseconds> command_time_limit = {};
  std::optional<milliseconds> dns_timeout = {};
  std::optional<int32_t> per_address = {};
  std::optional<int32_t> tarpit_clients = {};  // 0: the tarpit is closed, `hold` is `drop`

  bool operator==(const LevelSettings&) const = default;
};

struct Overload {
  // Percent of what the host can bear at which each level begins; it ends `relief` points below.
  uint32_t busy_at = 70;
  uint32_t stress_at = 90;
  uint32_t emergency_at = 97;
  uint32_t relief = 20;
  milliseconds calm{1000000};  // without a reason for it, before a level is left
  LevelSettings busy = {};
  LevelSettings stress = {.greet_wait = milliseconds{2000},
                          .command_time_limit = milliseconds{10000}};
  LevelSettings emergency = {.greet_wait = milliseconds{2000},
                             .command_time_limit = milliseconds{10000},
                             .tarpit_clients = 0};

  bool operator==(const Overload&) const = default;
};

// A key of a paid list. The value itself is read at start and is never part of the configuration.
struct SecretSource {
  std::string name;        // sites write $name
  std::string file;        // path; or
  std::string credential;  // a file of $CREDENTIALS_DIRECTORY (systemd LoadCredential=)

  bool operator==(const SecretSource&) const = default;
};

struct Dns {
  std::vector<Endpoint> servers;  // empty: those of /etc/resolv.conf
  milliseconds timeout{2000};     // for one question, retries included
  uint32_t in_flight = 100000;    // questions of one shard, asked or queued
  uint32_t sockets = 4;           // UDP sockets, so ports, to each server
  uint32_t cache = 65536;         // addresses whose answers are kept after the client has gone
  bool mix_case = false;          // random case in questions (0x20): a forger must guess it too

  bool operator==(const Dns&) const = default;
};

struct Dnsl {
  std::vector<Site> sites;       // empty: no lists are asked
  int32_t threshold = 8;         // a score of this or more fails
  int32_t allow_threshold = -4;  // a score of this or less skips the rest of the wait; 0: off
  Action action = Action::kEnforce;
  // How long a pass is remembered: the shortest TTL of its answers, within these.
  milliseconds life_min{60000};
  milliseconds life_max{3600000};
  bool reason = false;    // ask the list for its TXT reason and tell it to the client
  std::string catalogue;  // file in place of the built-in catalogue; empty: built-in
  milliseconds probe_interval{60000};
  bool stop_over_budget =
      false;  // a list whose daily budget is used up is disabled until 00:00 UTC

  bool operator==(const Dnsl&) const = default;
};

// "pass:/path", "unix:/path" or "tcp:address:port", each with an optional "*weight".
struct Backend {
  std::string text;  // as written, for logs and status
  HandoffMethod method = HandoffMethod::kSplice;
  SocketAddress address;
  uint32_t weight = 1;  // 1..1000

  bool operator==(const Backend&) const = default;
};

struct Pool {
  std::string name;
  std::vector<Backend> backends;
  ProxyHeader proxy = ProxyHeader::kV2;  // for tcp: and unix: backends
  uint32_t connections = 100;            // per backend: open relays, or descriptors not yet taken
  milliseconds connect_timeout{3000};
  milliseconds greeting_timeout{30000};  // splice: first byte of the backend's 220
  milliseconds take_timeout{100000};     // pass: smtpd's end of file, its own limit is 100 s
  milliseconds wait{5000};               // how long a client waits when nothing is free
  milliseconds check_interval{60000};    // between two health checks of a backend; 0: none
  std::string fallback;                  // pool name; empty: none
  std::optional<uint32_t> fallback_index;

  bool operator==(const Pool&) const = default;
};

// All given conditions must hold; none given: always.
struct Condition {
  std::optional<bool> allowlisted;
  std::vector<Network> networks;
  std::optional<uint32_t> listener;  // index into Config::listens
  std::optional<int32_t> max_score;  // the DNS lists' score is this or less
  // What is remembered of the client when it comes.
  std::optional<bool> known = {};              // it is let on without a test
  std::optional<int32_t> min_passes = {};      // visits on which it was let on
  std::optional<milliseconds> seen_for = {};   // since it was first seen
  std::optional<OverloadLevel> overload = {};  // the host is at this level or a worse one

  bool operator==(const Condition&) const = default;
};

struct Route {
  std::string pool;
  uint32_t pool_index = 0;
  Condition when;

  bool operator==(const Route&) const = default;
};

// The store of clients that are remembered.
struct Store {
  std::string file;          // empty: in $STATE_DIRECTORY, if there is one (core/daemon/plan.h)
  uint32_t size_max = 4096;  // MiB
  Sync sync = Sync::kInterval;
  uint32_t ipv4_prefix = 32;  // clients of one network are one
  uint32_t ipv6_prefix = 64;
  milliseconds retention{7 * 86400000};  // after the last pass has expired
  milliseconds failures{600000};         // how long a failed test is remembered; 0: not at all

  bool operator==(const Store&) const = default;
};

struct Relay {
  milliseconds idle_timeout{900000};  // no byte in either direction

  bool operator==(const Relay&) const = default;
};

struct Log {
  LogTarget target = LogTarget::kStderr;
  std::string file;  // for kFile
  std::string ident = "lychgate/gate";

  bool operator==(const Log&) const = default;
};

struct Control {
  std::string socket;  // path of the control socket; empty: none

  bool operator==(const Control&) const = default;
};

struct Metrics {
  std::optional<Endpoint> address;  // of the Prometheus endpoint; none: there is none

  bool operator==(const Metrics&) const = default;
};

struct Config {
  uint32_t shards = 0;  // 0: one per core
  std::string user;     // after binding; empty: stay
  std::vector<Listen> listens;
  Limits limits;
  Access access;
  Greet greet;
  Dialogue dialogue;
  Greylist greylist;
  Tarpit tarpit;
  Overload overload;
  Dns dns;
  Dnsl dnsl;
  std::vector<SecretSource> secrets;
  std::vector<Pool> pools;
  std::vector<Route> routes;
  Store store;
  Relay relay;
  Log log;
  Control control;
  Metrics metrics;
  milliseconds drain{5000};  // how long a stopping gate lets hand-offs and relays finish
  Cells cells;               // where what is configured is counted; no key

  bool operator==(const Config&) const = default;
};

inline bool kernel_holds(const Config& config) {
  return config.greet.hold == Hold::kKernel;
}

}  // namespace lychgate::config
