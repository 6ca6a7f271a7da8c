// The rows themselves, and the few questions asked of them. Everything else follows from a row.

#include "core/config/keys.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "core/base/edit_distance.h"
#include "core/base/limits.h"
#include "core/config/values.h"

namespace lychgate::config {
namespace {

constexpr int64_t kSecond = 1000;
constexpr int64_t kMinute = 60 * kSecond;
constexpr int64_t kHour = 60 * kMinute;
constexpr int64_t kDay = 24 * kHour;
constexpr int64_t kYear = 365 * kDay;
// A name goes into every log line; a path is bounded by PATH_MAX, a socket's by sun_path.
constexpr Range kNameBytes{1, 64};
constexpr Range kOptionalNameBytes{0, 64};
constexpr Range kPathBytes{0, 4095};
constexpr Range kSocketPathBytes{0, 107};
// With "220-", a host name for $hostname and CR LF it stays below the 512 octets of RFC 5321
// section 4.5.3.1.5.
constexpr Range kBannerBytes{0, 400};
// Networks of one route are tried one after another; longer lists belong into the access list.
constexpr Range kNetworkEntries{1, 1024};

// A $name stands for one label of a domain.
constexpr Range kSecretNameBytes{1, 63};
// A credential is a file name.
constexpr Range kCredentialBytes{0, 255};
constexpr Range kServerEntries{0, kDnsServersMax};
constexpr Range kWordEntries{0, 32};
// With the longest reply before it, it stays below the 512 octets of RFC 5321 section 4.5.3.1.5.
constexpr Range kFooterBytes{0, 200};
constexpr Range kSiteEntries{0, kSitesMax};
// The score of a client is kept in 16 bits.
constexpr int64_t kScoreMax = 32767;

// Every slot of every shard.
constexpr int64_t kHeldMax = int64_t{kShardsMax} * kSlotsMax;

constexpr Range kNoRange{};
constexpr Range within(int64_t min, int64_t max) {
  return Range{min, max};
}

// The accessor of a field of Config; `i` is the index of the listener, pool or route.
#define LYCHGATE_FIELD(field) \
  [](Config& c, [[maybe_unused]] size_t i) -> decltype((c.field)) { return c.field; }

const Key kKeys[] = {
    {"shards", Type::kInteger, "processes", within(0, kShardsMax), "0",
     "Reactor processes; 0 starts one per core. Changed by a restart only.",
     LYCHGATE_FIELD(shards)},
    {"user", Type::kName, "", kOptionalNameBytes, "\"\"",
     "The user the gate becomes after binding its ports; empty: it stays who it is. Changed by a "
     "restart only.",
     LYCHGATE_FIELD(user)},
    {"drain", Type::kDuration, "", within(0, kHour), "\"5s\"",
     "How long a stopping gate, and at a reload the shards before, let hand-offs and relays "
     "finish.",
     LYCHGATE_FIELD(drain)},

    {"listen[].name", Type::kName, "", kNameBytes, "(the address as written)",
     "What routes and logs call this listener.", LYCHGATE_FIELD(listens[i].name)},
    {"listen[].address", Type::kAddress, "", kNoRange, "(required)",
     "Address and port to accept clients on; port 0 lets the kernel pick one.",
     LYCHGATE_FIELD(listens[i].address)},
    {"listen[].backlog", Type::kInteger, "clients", within(1, 1 << 20), "4096",
     "Connections the kernel keeps until the gate accepts them; net.core.somaxconn caps it.",
     LYCHGATE_FIELD(listens[i].backlog)},
    {"listen[].proxy_protocol", Type::kBoolean, "", kNoRange, "false",
     "Whether each connection begins with a PROXY header (v1 or v2), which says who the client is; "
     "needs `trusted`.",
     LYCHGATE_FIELD(listens[i].proxy_protocol)},
    {"listen[].trusted", Type::kNetworks, "", kNetworkEntries, "(none)",
     "Who may send such a header: the balancers. A connection from anybody else is reset.",
     LYCHGATE_FIELD(listens[i].trusted)},
    {"listen[].proxy_timeout", Type::kDuration, "", within(100, kMinute), "\"5s\"",
     "How long the whole header may take.", LYCHGATE_FIELD(listens[i].proxy_timeout)},

    {"limits.per_address", Type::kInteger, "clients", within(0, 65000), "50",
     "Parallel clients of one address, the next hears 421; 0: 65000.",
     LYCHGATE_FIELD(limits.per_address)},
    {"limits.per_shard", Type::kInteger, "clients", within(0, kClientsPerShardMax), "0",
     "Clients one shard holds, the next hears 421; 0: what the descriptor limit allows.",
     LYCHGATE_FIELD(limits.per_shard)},
    {"limits.held", Type::kInteger, "clients", within(0, kHeldMax), "0",
     "Clients the whole host holds, the next hears 421; 0: no limit.", LYCHGATE_FIELD(limits.held)},

    {"access.file", Type::kPath, "", kPathBytes, "\"\"",
     "Access list in Postfix CIDR syntax (permit, reject, dunno); empty: none.",
     LYCHGATE_FIELD(access.file)},
    {"access.reject", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client the access list rejects.", LYCHGATE_FIELD(access.reject)},

    {"greet.banner", Type::kBanner, "", kBannerBytes, "\"$hostname ESMTP\"",
     "Text of the `220-` teaser line; $hostname is this host's name; empty: no teaser.",
     LYCHGATE_FIELD(greet.banner)},
    {"greet.wait", Type::kDuration, "", within(0, kMinute), "\"6s\"",
     "How long an unknown client must stay silent; 0s: no wait and no pregreet test.",
     LYCHGATE_FIELD(greet.wait)},
    {"greet.early_look", Type::kDuration, "", within(0, kMinute), "\"1s\"",
     "An additional look for early talkers after this time, shorter than the wait; 0s: none. "
     "The default gives way to a wait of 1s or less.",
     LYCHGATE_FIELD(greet.early_look)},
    {"greet.hold", Type::kHold, "", kNoRange, "\"gate\"",
     "Who keeps silent clients waiting: `\"gate\"`, or `\"kernel\"`, for 1, 3, 7, 15 or 31 s (the "
     "wait rounded up) and at a tenth of the memory, without banner and early look; see "
     "[operating.md](operating.md#the-kernels-waiting-room).",
     LYCHGATE_FIELD(greet.hold)},
    {"greet.syn_feed", Type::kInteger, "addresses", within(0, 1'000'000), "20000",
     "With `hold = \"kernel\"`: addresses a second about which one shard asks DNS lists as soon as "
     "their SYN has come. A SYN is easily forged, so this bounds what a flood of them costs; 0: "
     "lists are asked when a client comes out of the waiting room.",
     LYCHGATE_FIELD(greet.syn_feed)},
    {"greet.pregreet", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client that speaks before the greeting.", LYCHGATE_FIELD(greet.pregreet)},
    {"greet.life", Type::kDuration, "", within(0, kYear), "\"1d\"",
     "How long it is remembered that a client served the wait in silence; 0s: not at all.",
     LYCHGATE_FIELD(greet.life)},

    {"dialogue.pipelining.enable", Type::kBoolean, "", kNoRange, "true",
     "Whether a client must wait for the reply to a command before it sends the next one.",
     LYCHGATE_FIELD(dialogue.pipelining.enable)},
    {"dialogue.pipelining.action", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client that fails.", LYCHGATE_FIELD(dialogue.pipelining.action)},
    {"dialogue.pipelining.life", Type::kDuration, "", within(0, kYear), "\"30d\"",
     "How long it is remembered that a client has passed; 0s: not at all.",
     LYCHGATE_FIELD(dialogue.pipelining.life)},
    {"dialogue.non_smtp_command.enable", Type::kBoolean, "", kNoRange, "true",
     "Whether CONNECT, GET, POST and words that begin with no letter fail a client.",
     LYCHGATE_FIELD(dialogue.non_smtp_command.enable)},
    {"dialogue.non_smtp_command.action", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client that fails.", LYCHGATE_FIELD(dialogue.non_smtp_command.action)},
    {"dialogue.non_smtp_command.life", Type::kDuration, "", within(0, kYear), "\"30d\"",
     "How long it is remembered that a client has passed; 0s: not at all.",
     LYCHGATE_FIELD(dialogue.non_smtp_command.life)},
    {"dialogue.bare_newline.enable", Type::kBoolean, "", kNoRange, "true",
     "Whether each line must end in CR LF, not in LF alone.",
     LYCHGATE_FIELD(dialogue.bare_newline.enable)},
    {"dialogue.bare_newline.action", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client that fails.", LYCHGATE_FIELD(dialogue.bare_newline.action)},
    {"dialogue.bare_newline.life", Type::kDuration, "", within(0, kYear), "\"30d\"",
     "How long it is remembered that a client has passed; 0s: not at all.",
     LYCHGATE_FIELD(dialogue.bare_newline.life)},
    {"dialogue.command_time_limit", Type::kDuration, "", within(kSecond, kHour), "\"5m\"",
     "How long a client may take for one whole command.",
     LYCHGATE_FIELD(dialogue.command_time_limit)},
    {"dialogue.command_count_limit", Type::kInteger, "commands", within(1, 1000), "20",
     "Commands of one session that the gate answers itself.",
     LYCHGATE_FIELD(dialogue.command_count_limit)},
    {"dialogue.error_limit", Type::kInteger, "commands", within(1, 1000), "20",
     "Of these, commands answered with an error; refused recipients do not count.",
     LYCHGATE_FIELD(dialogue.error_limit)},
    {"dialogue.helo_required", Type::kBoolean, "", kNoRange, "false",
     "Whether MAIL and ETRN need a HELO or EHLO before them.",
     LYCHGATE_FIELD(dialogue.helo_required)},
    {"dialogue.disable_vrfy", Type::kBoolean, "", kNoRange, "false",
     "Whether VRFY is answered with 502.", LYCHGATE_FIELD(dialogue.disable_vrfy)},
    {"dialogue.hide", Type::kWords, "", kWordEntries, "(none)",
     "EHLO keywords that are not announced though the backends know them. `PIPELINING`, `XCLIENT` "
     "and `XFORWARD` never are.",
     LYCHGATE_FIELD(dialogue.hide)},
    {"dialogue.exempt", Type::kWords, "", kWordEntries, "(none)",
     "Local parts such as `postmaster` and `abuse`: a client that failed an enforced test is "
     "handed "
     "over all the same when it names one of these as a recipient. What it does then is up to the "
     "backend.",
     LYCHGATE_FIELD(dialogue.exempt)},
    {"dialogue.reject_footer", Type::kReplyText, "", kFooterBytes, "\"\"",
     "Text behind each 4xx and 5xx reply of the dialogue, such as a telephone number; empty: none.",
     LYCHGATE_FIELD(dialogue.reject_footer)},

    {"greylist.delay", Type::kDuration, "", within(0, kDay), "\"1m\"",
     "A network (/24, /64) that comes back sooner is deferred again.",
     LYCHGATE_FIELD(greylist.delay)},
    {"greylist.window", Type::kDuration, "", within(kMinute, kYear), "\"2d\"",
     "A network that comes back later is deferred anew.", LYCHGATE_FIELD(greylist.window)},
    {"greylist.life", Type::kDuration, "", within(kMinute, kYear), "\"30d\"",
     "How long a network that has come back is let on.", LYCHGATE_FIELD(greylist.life)},

    {"tarpit.interval", Type::kDuration, "", within(100, 10 * kMinute), "\"30s\"",
     "Between two bytes of a reply.", LYCHGATE_FIELD(tarpit.interval)},
    {"tarpit.clients", Type::kInteger, "clients", within(0, kClientsPerShardMax), "0",
     "Clients in the tarpit of one shard: one more, and the oldest is let go; 0: half of "
     "`limits.per_shard`.",
     LYCHGATE_FIELD(tarpit.clients)},
    {"tarpit.time", Type::kDuration, "", within(0, 24 * kHour), "\"0s\"",
     "After this a client is let go; 0s: when others need its place.", LYCHGATE_FIELD(tarpit.time)},

    {"overload.busy_at", Type::kInteger, "percent", within(1, 100), "70",
     "How full the fullest of clients, backends, waits for them and memory must be for this level.",
     LYCHGATE_FIELD(overload.busy_at)},
    {"overload.stress_at", Type::kInteger, "percent", within(1, 100), "90",
     "How full the fullest of clients, backends, waits for them and memory must be for this level.",
     LYCHGATE_FIELD(overload.stress_at)},
    {"overload.emergency_at", Type::kInteger, "percent", within(1, 100), "97",
     "How full the fullest of clients, backends, waits for them and memory must be for this level.",
     LYCHGATE_FIELD(overload.emergency_at)},
    {"overload.relief", Type::kInteger, "points", within(0, 100), "20",
     "So far below its beginning a level ends.", LYCHGATE_FIELD(overload.relief)},
    {"overload.calm", Type::kDuration, "", within(0, kDay), "\"1000s\"",
     "How long it must have been calm before a level is left.", LYCHGATE_FIELD(overload.calm)},
    {"overload.busy.greet_wait", Type::kDuration, "", within(0, kMinute), "(as at other times)",
     "`greet.wait` at this level, if that is shorter.", LYCHGATE_FIELD(overload.busy.greet_wait)},
    {"overload.busy.command_time_limit", Type::kDuration, "", within(kSecond, kHour),
     "(as at other times)", "`dialogue.command_time_limit` likewise.",
     LYCHGATE_FIELD(overload.busy.command_time_limit)},
    {"overload.busy.dns_timeout", Type::kDuration, "", within(100, 30 * kSecond),
     "(as at other times)", "`dns.timeout` likewise.", LYCHGATE_FIELD(overload.busy.dns_timeout)},
    {"overload.busy.per_address", Type::kInteger, "clients", within(1, 65000),
     "(as at other times)", "`limits.per_address`, if that is smaller.",
     LYCHGATE_FIELD(overload.busy.per_address)},
    {"overload.busy.tarpit_clients", Type::kInteger, "clients", within(0, kClientsPerShardMax),
     "(as at other times)", "`tarpit.clients` likewise; 0: nobody is held, `hold` is `drop`.",
     LYCHGATE_FIELD(overload.busy.tarpit_clients)},
    {"overload.stress.greet_wait", Type::kDuration, "", within(0, kMinute), "\"2s\"",
     "`greet.wait` at this level, if that is shorter.", LYCHGATE_FIELD(overload.stress.greet_wait)},
    {"overload.stress.command_time_limit", Type::kDuration, "", within(kSecond, kHour), "\"10s\"",
     "`dialogue.command_time_limit` likewise.", LYCHGATE_FIELD(overload.stress.command_time_limit)},
    {"overload.stress.dns_timeout", Type::kDuration, "", within(100, 30 * kSecond),
     "(as at other times)", "`dns.timeout` likewise.", LYCHGATE_FIELD(overload.stress.dns_timeout)},
    {"overload.stress.per_address", Type::kInteger, "clients", within(1, 65000),
     "(as at other times)", "`limits.per_address`, if that is smaller.",
     LYCHGATE_FIELD(overload.stress.per_address)},
    {"overload.stress.tarpit_clients", Type::kInteger, "clients", within(0, kClientsPerShardMax),
     "(as at other times)", "`tarpit.clients` likewise; 0: nobody is held, `hold` is `drop`.",
     LYCHGATE_FIELD(overload.stress.tarpit_clients)},
    {"overload.emergency.greet_wait", Type::kDuration, "", within(0, kMinute), "\"2s\"",
     "`greet.wait` at this level, if that is shorter.",
     LYCHGATE_FIELD(overload.emergency.greet_wait)},
    {"overload.emergency.command_time_limit", Type::kDuration, "", within(kSecond, kHour),
     "\"10s\"", "`dialogue.command_time_limit` likewise.",
     LYCHGATE_FIELD(overload.emergency.command_time_limit)},
    {"overload.emergency.dns_timeout", Type::kDuration, "", within(100, 30 * kSecond),
     "(as at other times)", "`dns.timeout` likewise.",
     LYCHGATE_FIELD(overload.emergency.dns_timeout)},
    {"overload.emergency.per_address", Type::kInteger, "clients", within(1, 65000),
     "(as at other times)", "`limits.per_address`, if that is smaller.",
     LYCHGATE_FIELD(overload.emergency.per_address)},
    {"overload.emergency.tarpit_clients", Type::kInteger, "clients", within(0, kClientsPerShardMax),
     "0", "`tarpit.clients` likewise; 0: nobody is held, `hold` is `drop`.",
     LYCHGATE_FIELD(overload.emergency.tarpit_clients)},

    {"dns.servers", Type::kServers, "", kServerEntries, "(those of `/etc/resolv.conf`)",
     "Resolvers to ask; a port other than 53 is written behind.", LYCHGATE_FIELD(dns.servers)},
    {"dns.timeout", Type::kDuration, "", within(100, 30 * kSecond), "\"2s\"",
     "How long one question may take, retries included.", LYCHGATE_FIELD(dns.timeout)},
    {"dns.in_flight", Type::kInteger, "questions", within(100, 1'000'000), "100000",
     "Questions of one shard, asked or queued; one more and the oldest is given up.",
     LYCHGATE_FIELD(dns.in_flight)},
    {"dns.sockets", Type::kInteger, "sockets", within(1, kDnsSocketsPerServerMax), "4",
     "UDP sockets to each server: each has a port of its own, which a forger must guess.",
     LYCHGATE_FIELD(dns.sockets)},
    {"dns.cache", Type::kInteger, "addresses", within(0, 10'000'000), "65536",
     "Addresses whose answers one shard keeps after the client has gone.",
     LYCHGATE_FIELD(dns.cache)},
    {"dns.mix_case", Type::kBoolean, "", kNoRange, "false",
     "Random upper and lower case in questions: a forger must guess it too. Not every server "
     "repeats it as it should.",
     LYCHGATE_FIELD(dns.mix_case)},

    {"dnsl.sites", Type::kSites, "", kSiteEntries, "(none)",
     "The lists to ask about each unknown client; none: no lookups.", LYCHGATE_FIELD(dnsl.sites)},
    {"dnsl.threshold", Type::kInteger, "points", within(1, kScoreMax), "8",
     "A client with a score of this or more fails.", LYCHGATE_FIELD(dnsl.threshold)},
    {"dnsl.allow_threshold", Type::kInteger, "points", within(-kScoreMax, 0), "-4",
     "A client with a score of this or less skips the rest of the wait; 0: nobody does.",
     LYCHGATE_FIELD(dnsl.allow_threshold)},
    {"dnsl.action", Type::kAction, "", kNoRange, "\"enforce\"",
     "What happens to a client that fails.", LYCHGATE_FIELD(dnsl.action)},
    {"dnsl.life_min", Type::kDuration, "", within(kSecond, kDay), "\"1m\"",
     "A client that the lists let on is remembered for the shortest TTL of their answers, and for "
     "this at the least, or if some answer was not needed.",
     LYCHGATE_FIELD(dnsl.life_min)},
    {"dnsl.life_max", Type::kDuration, "", within(kSecond, 30 * kDay), "\"1h\"",
     "The longest that such a client is remembered; `life_min` counts if it is longer.",
     LYCHGATE_FIELD(dnsl.life_max)},
    {"dnsl.reason", Type::kBoolean, "", kNoRange, "false",
     "Ask the list for its reason (a TXT record) and tell it to the refused client.",
     LYCHGATE_FIELD(dnsl.reason)},
    {"dnsl.catalogue", Type::kPath, "", kPathBytes, "\"\"",
     "A file in place of the built-in catalogue of lists; empty: the built-in one. Either way "
     "`catalogue.d/*.toml` next to the configuration file replaces or adds single lists.",
     LYCHGATE_FIELD(dnsl.catalogue)},
    {"dnsl.probe_interval", Type::kDuration, "", within(kSecond, kHour), "\"1m\"",
     "How often each list is tried with its test points.", LYCHGATE_FIELD(dnsl.probe_interval)},
    {"dnsl.stop_over_budget", Type::kBoolean, "", kNoRange, "false",
     "Whether a list is asked no more, until 00:00 UTC, once the catalogue's daily budget for it "
     "is "
     "used up. Lookups count that a resolver's cache answers, so the default only warns.",
     LYCHGATE_FIELD(dnsl.stop_over_budget)},

    {"secret[].name", Type::kSecretName, "", kSecretNameBytes, "(required)",
     "What sites call this key: a label `$name`.", LYCHGATE_FIELD(secrets[i].name)},
    {"secret[].file", Type::kPath, "", kPathBytes, "\"\"", "The file that holds the key.",
     LYCHGATE_FIELD(secrets[i].file)},
    {"secret[].credential", Type::kCredential, "", kCredentialBytes, "\"\"",
     "Instead of a file: the name of a systemd credential (`LoadCredential=`) that holds the key.",
     LYCHGATE_FIELD(secrets[i].credential)},

    {"pool[].name", Type::kName, "", kNameBytes, "(required)",
     "What routes, fallbacks, logs and `status` call this pool.", LYCHGATE_FIELD(pools[i].name)},
    {"pool[].backends", Type::kBackends, "", within(1, kBackendsPerPoolMax), "(required)",
     "Where its clients go: by least connections, in proportion to the weights.",
     LYCHGATE_FIELD(pools[i].backends)},
    {"pool[].proxy_protocol", Type::kProxyHeader, "", kNoRange, "\"v2\"",
     "The PROXY header that tells tcp: and unix: backends who the client is.",
     LYCHGATE_FIELD(pools[i].proxy)},
    {"pool[].connections", Type::kInteger, "connections", within(1, 65535), "100",
     "Limit for each backend: open relays, or passed clients not yet taken.",
     LYCHGATE_FIELD(pools[i].connections)},
    {"pool[].connect_timeout", Type::kDuration, "", within(10, kMinute), "\"3s\"",
     "How long connecting to a backend may take.", LYCHGATE_FIELD(pools[i].connect_timeout)},
    {"pool[].greeting_timeout", Type::kDuration, "", within(100, 10 * kMinute), "\"30s\"",
     "How long a tcp: or unix: backend may take for the first byte of its greeting.",
     LYCHGATE_FIELD(pools[i].greeting_timeout)},
    {"pool[].take_timeout", Type::kDuration, "", within(kSecond, kHour), "\"100s\"",
     "How long a pass: backend may take until it picks up a passed client.",
     LYCHGATE_FIELD(pools[i].take_timeout)},
    {"pool[].wait", Type::kDuration, "", within(0, 10 * kMinute), "\"5s\"",
     "How long a client waits for a free backend, once every one was tried, before it hears 421.",
     LYCHGATE_FIELD(pools[i].wait)},
    {"pool[].check_interval", Type::kDuration, "", within(0, kHour), "\"1m\"",
     "How often each backend is asked (EHLO, QUIT) whether it is well and what it can; 0s: never, "
     "and then EHLO announces nothing.",
     LYCHGATE_FIELD(pools[i].check_interval)},
    {"pool[].fallback", Type::kName, "", kOptionalNameBytes, "\"\"",
     "The pool that takes clients this one cannot; empty: none.",
     LYCHGATE_FIELD(pools[i].fallback)},

    {"route[].pool", Type::kName, "", kNameBytes, "(required)", "The pool of clients that match.",
     LYCHGATE_FIELD(routes[i].pool)},
    {"route[].when.allowlisted", Type::kBoolean, "", kNoRange, "(none)",
     "Whether the access list permits the client.", LYCHGATE_FIELD(routes[i].when.allowlisted)},
    {"route[].when.networks", Type::kNetworks, "", kNetworkEntries, "(none)",
     "The client's address is in one of these networks.", LYCHGATE_FIELD(routes[i].when.networks)},
    {"route[].when.listener", Type::kListener, "", kNameBytes, "(none)",
     "The client came in through the listener of this name.",
     LYCHGATE_FIELD(routes[i].when.listener)},
    {"route[].when.max_score", Type::kInteger, "points", within(-kScoreMax, kScoreMax), "(none)",
     "The client's score from DNS lists is this or less.",
     LYCHGATE_FIELD(routes[i].when.max_score)},
    {"route[].when.known", Type::kBoolean, "", kNoRange, "(none)",
     "Whether the client is let on for what it passed on earlier visits, without a test.",
     LYCHGATE_FIELD(routes[i].when.known)},
    {"route[].when.min_passes", Type::kInteger, "visits", within(1, 1'000'000), "(none)",
     "The client was let on at so many earlier visits; needs `store.file`.",
     LYCHGATE_FIELD(routes[i].when.min_passes)},
    {"route[].when.seen_for", Type::kDuration, "", within(kSecond, 10 * kYear), "(none)",
     "The client was first seen this long ago; needs `store.file`.",
     LYCHGATE_FIELD(routes[i].when.seen_for)},
    {"route[].when.overload", Type::kLevel, "", kNoRange, "(none)",
     "The host is at this level of overload or a worse one.",
     LYCHGATE_FIELD(routes[i].when.overload)},

    {"store.file", Type::kPath, "", kPathBytes, "\"\"",
     "Where clients are remembered; two more files are beside it. Empty: `clients.mdb` in the "
     "state directory of the systemd unit (`StateDirectory=`), and without one clients are not "
     "remembered.",
     LYCHGATE_FIELD(store.file)},
    {"store.size_max", Type::kInteger, "MiB", within(1, 1 << 20), "4096",
     "How large the file may become. A client takes some 150 bytes; address space of this size is "
     "taken at the start, memory and disk as they are needed.",
     LYCHGATE_FIELD(store.size_max)},
    {"store.sync", Type::kSync, "", kNoRange, "\"interval\"",
     "When what is learned reaches the disk: `\"commit\"`, with every batch; `\"interval\"`, "
     "within "
     "a second; `\"none\"`, when the kernel likes, so that a power failure may ruin the file. A "
     "killed process ruins nothing.",
     LYCHGATE_FIELD(store.sync)},
    {"store.ipv4_prefix", Type::kInteger, "bits", within(8, 32), "32",
     "IPv4 clients of one network of this length are one client.",
     LYCHGATE_FIELD(store.ipv4_prefix)},
    {"store.ipv6_prefix", Type::kInteger, "bits", within(16, 128), "64",
     "IPv6 clients of one network of this length are one client.",
     LYCHGATE_FIELD(store.ipv6_prefix)},
    {"store.retention", Type::kDuration, "", within(0, 10 * kYear), "\"7d\"",
     "How long a client is remembered after the last of its passes has expired: for routes by "
     "`min_passes` and `seen_for`.",
     LYCHGATE_FIELD(store.retention)},
    {"store.failures", Type::kDuration, "", within(0, 30 * kDay), "\"10m\"",
     "How long a client that failed a test is refused at once, where the test's action is "
     "`enforce` or `drop`; 0s: it is tested again.",
     LYCHGATE_FIELD(store.failures)},

    {"relay.idle_timeout", Type::kDuration, "", within(kSecond, 24 * kHour), "\"15m\"",
     "A relay in which no byte moved for this long, in either direction, is ended.",
     LYCHGATE_FIELD(relay.idle_timeout)},

    {"log.target", Type::kLogTarget, "", kNoRange, "\"stderr\"",
     "Where log lines go: stderr, syslog, journal or file:/path.", LYCHGATE_FIELD(log)},
    {"log.ident", Type::kName, "", kNameBytes, "\"lychgate/gate\"",
     "The program name in log lines.", LYCHGATE_FIELD(log.ident)},

    {"control.socket", Type::kPath, "", kSocketPathBytes,
     "(`/run/lychgate/control.sock` for root, else `$XDG_RUNTIME_DIR/lychgate.sock` or "
     "`/tmp/lychgate-UID.sock`)",
     "Path of the socket for `status` and all other commands that ask the running gate; empty: "
     "none.",
     LYCHGATE_FIELD(control.socket)},

    {"metrics.address", Type::kMetricsAddress, "", kNoRange, "(none)",
     "Address and port on which Prometheus may scrape `/metrics`. Whoever reaches it may read it: "
     "take a loopback or internal address. Bound after root is given up.",
     LYCHGATE_FIELD(metrics.address)},
};
#undef LYCHGATE_FIELD

const Section kSections[] = {
    {"listen[]", "Where clients come in. With none there is one listener on 127.0.0.1:2525.",
     [](const Config& c) { return c.listens.size(); }, [](Config& c) { c.listens.emplace_back(); }},
    {"limits", "How many clients at once; one too many hears 421."},
    {"access", "Clients that are known to be good or bad by their address."},
    {"greet", "The silent wait before the greeting."},
    {"dialogue", "What the gate says itself: see `docs/dialogue.md`."},
    {"greylist", "The action `defer`."},
    {"tarpit", "The action `hold`."},
    {"overload", "What changes when the host is nearly full: see `docs/overload.md`."},
    {"dns", "How the DNS servers are asked."},
    {"dnsl", "DNS lists: see `docs/dnsl.md`."},
    {"secret[]",
     "Keys of paid lists. They are read at start and never printed; exactly one of `file` and "
     "`credential` says where from.",
     [](const Config& c) { return c.secrets.size(); }, [](Config& c) { c.secrets.emplace_back(); }},
    {"pool[]", "Mail servers that are alike; without any, approved clients hear 421.",
     [](const Config& c) { return c.pools.size(); }, [](Config& c) { c.pools.emplace_back(); }},
    {"route[]",
     "Which pool gets an approved client: the first route whose conditions all hold. With one "
     "pool and no route, everyone goes to that pool.",
     [](const Config& c) { return c.routes.size(); }, [](Config& c) { c.routes.emplace_back(); }},
    {"store", "Clients that are remembered: see `docs/operating.md`."},
    {"relay", "Sessions whose bytes pass through the gate (tcp: and unix: backends)."},
    {"log", "Log lines, in postscreen's words."},
    {"control", "The way in for commands that ask the running gate."},
    {"metrics", "Numbers for Prometheus: see `docs/metrics.md`."},
};

struct TypeWords {
  Type type;
  std::string_view name;
  std::string_view example;
};
constexpr TypeWords kTypeWords[] = {
    {Type::kInteger, "integer", "an integer such as 50"},
    {Type::kDuration, "duration", "a duration with its unit such as \"6s\""},
    {Type::kBoolean, "boolean", "true or false"},
    {Type::kAction, "action", "\"ignore\", \"enforce\", \"defer\", \"drop\" or \"hold\""},
    {Type::kHold, "waiting room", "\"gate\" or \"kernel\""},
    {Type::kSync, "sync policy", "\"commit\", \"interval\" or \"none\""},
    {Type::kProxyHeader, "PROXY header", "\"v2\", \"v1\" or \"none\""},
    {Type::kLogTarget, "log target", "\"stderr\", \"syslog\", \"journal\" or \"file:/path\""},
    {Type::kAddress, "address and port", "an address and port such as \"0.0.0.0:25\""},
    {Type::kMetricsAddress, "address and port", "an address and port such as \"127.0.0.1:9125\""},
    {Type::kName, "name", "a name in quotes"},
    {Type::kPath, "path", "an absolute path in quotes"},
    {Type::kBanner, "text", "a line of text in quotes"},
    {Type::kBackends, "list of backends", "a list of backends such as [\"pass:/path\"]"},
    {Type::kNetworks, "list of networks", "a list of networks such as [\"192.0.2.0/24\"]"},
    {Type::kListener, "listener's name", "the name of a listener in quotes"},
    {Type::kServers, "list of addresses",
     "a list of addresses such as [\"192.0.2.53\", \"[2001:db8::53]:5353\"]"},
    {Type::kSites, "list of sites", "a list of sites such as [\"bl.spamcop.net*3\"]"},
    {Type::kSecretName, "name of a secret", "letters, digits, \"_\" and \"-\" in quotes"},
    {Type::kCredential, "file name", "a file name in quotes"},
    {Type::kWords, "list of words", "a list of words such as [\"postmaster\", \"abuse\"]"},
    {Type::kReplyText, "text", "a line of text in quotes"},
    {Type::kLevel, "level of overload", "\"busy\", \"stress\" or \"emergency\""},
};
static_assert(std::size(kTypeWords) == static_cast<size_t>(Type::kLevel) + 1);

std::string_view after_last_dot(std::string_view name) {
  return name.substr(name.rfind('.') + 1);
}

}  // namespace

std::string_view Key::section() const {
  const size_t dot = name.find('.');
  return dot == std::string_view::npos ? "" : name.substr(0, dot);
}

std::string_view Key::leaf() const {
  return section().empty() ? name : name.substr(section().size() + 1);
}

std::span<const Key> keys() {
  return kKeys;
}
std::span<const Section> sections() {
  return kSections;
}

const Key* find_key(std::string_view name) {
  const auto row = std::find_if(std::begin(kKeys), std::end(kKeys),
                                [&](const Key& key) { return key.name == name; });
  return row == std::end(kKeys) ? nullptr : row;
}

const Section* find_section(std::string_view name) {
  const auto row = std::find_if(std::begin(kSections), std::end(kSections),
                                [&](const Section& section) { return section.name == name; });
  return row == std::end(kSections) ? nullptr : row;
}

bool is_table(std::string_view name) {
  return std::any_of(std::begin(kKeys), std::end(kKeys), [&](const Key& key) {
    return key.name.size() > name.size() && key.name.starts_with(name) &&
           key.name[name.size()] == '.';
  });
}

std::string nearest_name(std::string_view name) {
  std::string_view best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  const auto consider = [&](std::string_view candidate) {
    // A right word in the wrong table is nearer than its whole path makes it look.
    const size_t in_place = edit_distance(name, candidate);
    const size_t moved = edit_distance(after_last_dot(name), after_last_dot(candidate)) + 1;
    if (std::min(in_place, moved) >= best_distance) return;
    best_distance = std::min(in_place, moved);
    best = candidate;
  };
  for (const Key& key : kKeys) consider(key.name);
  for (const Section& section : kSections) consider(section.name);
  return std::string(best);
}

std::string_view type_name(Type type) {
  return kTypeWords[static_cast<size_t>(type)].name;
}
std::string_view type_example(Type type) {
  return kTypeWords[static_cast<size_t>(type)].example;
}

std::string range_text(const Key& key) {
  if (!key.range.is_given()) return "";
  if (key.type == Type::kDuration) {
    return fmt::format("{} to {}", duration_text(milliseconds(key.range.min)),
                       duration_text(milliseconds(key.range.max)));
  }
  std::string_view unit = key.unit;
  const bool is_list = key.type == Type::kBackends || key.type == Type::kNetworks ||
                       key.type == Type::kServers || key.type == Type::kSites ||
                       key.type == Type::kWords;
  if (is_list) unit = "entries";
  if (key.type != Type::kInteger && unit.empty()) unit = "bytes";
  return fmt::format("{} to {} {}", key.range.min, key.range.max, unit);
}

}  // namespace lychgate::config
