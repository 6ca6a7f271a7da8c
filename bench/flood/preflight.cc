// One function a limit. Costs are measured: 64-bit Linux 6.18, objects counted in /proc/slabinfo.

#include "bench/flood/preflight.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/flood/address_pool.h"
#include "bench/flood/figures.h"
#include "bench/flood/planning.h"
#include "bench/flood/ring_set.h"
#include "core/base/limits.h"

namespace lychgate::flood {
namespace {

// Kernel memory of a client's socket; of both ends; and of a receive that waits for the server.
constexpr uint64_t kClientEndBytes = 4200;
constexpr uint64_t kBothEndsBytes = 7900;
constexpr uint64_t kReceiveBytes = 852;
// User memory of a client: its record and the entries that point to it.
constexpr uint64_t kRecordBytes = 64;
// The search for a free port grows with those taken: 17 us a connect at 4,000, 238 us at 18,000.
constexpr uint64_t kEasyPorts = 4000;

struct Load {
  const Machine& machine;
  const Plan& plan;
  bool both_ends;
  uint64_t open;      // at once
  uint64_t talkers;   // of these, those whose bytes may lie unread
  uint64_t would_do;  // what every limit together allows

  std::string advice() const {
    const char* option = plan.parallel < plan.count ? "--parallel" : "--count";
    if (would_do == 0) return "no count would do";
    return fmt::format("{} {} would do", option, would_do);
  }
};

uint64_t bytes_each(const Load& load) {
  return (load.both_ends ? kBothEndsBytes : kClientEndBytes) + kReceiveBytes + kRecordBytes;
}

uint64_t sockets_each(const Load& load) {
  return load.both_ends ? 2 : 1;
}

// A tenth is left to everything else.
uint64_t memory_budget(const Machine& machine) {
  return machine.memory_available / 10 * 9;
}

// How many different pairs of source and target come up before one comes up again. No addresses to
// take in turn: the kernel chooses one. Bounded so that products stay exact.
uint64_t address_pairs(const Plan& plan) {
  const uint64_t sources = std::max<uint64_t>(AddressPool(plan.sources).size(), 1);
  const uint64_t targets = std::max<uint64_t>(AddressPool(plan.targets).size(), 1);
  return sources >= kConnectionsMax / targets ? kConnectionsMax : sources * targets;
}

uint64_t slots_of_a_ring(const Machine& machine, const Plan& plan) {
  if (plan.per_ring > 0) return plan.per_ring;
  return machine.descriptors == 0 ? kSlotsPerRing
                                  : std::min<uint64_t>(machine.descriptors, kSlotsPerRing);
}

uint64_t rings_possible(const Machine& machine) {
  return machine.descriptors - std::min<uint64_t>(machine.descriptors, kOwnDescriptors);
}

uint64_t talking(const Plan& plan, uint64_t open) {
  uint64_t all = 0;
  uint64_t talkers = 0;
  for (const Manners& one : plan.mix) {
    all += one.weight;
    const bool talks = one.profile == Profile::kEarly || one.profile == Profile::kDrip ||
                       one.profile == Profile::kNeverReads;
    if (talks) talkers += one.weight;
  }
  return all == 0 ? 0 : open * talkers / all;
}

// The least of what each limit allows; a limit that is not known allows everything.
uint64_t most_at_once(const Load& load) {
  const Machine& machine = load.machine;
  uint64_t most = kParallelMax;
  if (machine.memory_available > 0) {
    most = std::min(most, memory_budget(machine) / bytes_each(load));
  }
  if (machine.files_max > 0 && !machine.above_files_max) {
    most = std::min(most, (machine.files_max - std::min(machine.files_max, machine.files_open)) /
                              sockets_each(load));
  }
  if (machine.ports > 0) {
    most = std::min(most, address_pairs(load.plan) * machine.ports);
  }
  if (machine.tcp_pages_max > 0 && load.talkers > 0) {
    most = std::min(most, static_cast<uint64_t>(static_cast<double>(machine.tcp_pages_max) *
                                                static_cast<double>(load.open) /
                                                static_cast<double>(load.talkers)));
  }
  if (machine.descriptors > 0) {
    most = std::min(most, rings_possible(machine) * slots_of_a_ring(machine, load.plan));
  }
  return most;
}

using Findings = std::vector<Finding>;

void check_uring(const Load& load, Findings& out) {
  if (load.machine.uring_refusal.empty()) return;
  out.push_back({Gravity::kFatal, "io_uring", "the flood works over io_uring alone",
                 load.machine.uring_refusal,
                 "run it on a machine, or in a container, that allows it"});
}

void check_core(const Load& load, Findings& out) {
  const auto& cores = load.machine.cores;
  if (!load.plan.cpu || cores.empty()) return;
  if (std::find(cores.begin(), cores.end(), *load.plan.cpu) != cores.end()) return;
  out.push_back({Gravity::kFatal, "cores", fmt::format("--cpu {}", *load.plan.cpu),
                 fmt::format("this process may run on {}", fmt::join(cores, ", ")),
                 fmt::format("--cpu {} would do", cores.back())});
}

void check_bound(const Load& load, Findings& out) {
  if (load.open <= kParallelMax) return;
  out.push_back({Gravity::kFatal, "clients at once",
                 fmt::format("{} at once are asked for", grouped(load.open)),
                 fmt::format("one flood is made for {}", grouped(kParallelMax)), load.advice()});
}

void check_memory(const Load& load, Findings& out) {
  const uint64_t each = bytes_each(load);
  const uint64_t available = load.machine.memory_available;
  if (available == 0 || load.open * each <= memory_budget(load.machine)) return;
  out.push_back(
      {Gravity::kFatal, "memory",
       fmt::format("{} clients at once need {} of memory, {} bytes each{}", grouped(load.open),
                   size_text(static_cast<double>(load.open * each)), grouped(each),
                   load.both_ends ? " (both ends are on this machine)" : ""),
       fmt::format("{} are available, of which a tenth is left to others",
                   size_text(static_cast<double>(available))),
       load.advice()});
}

void check_ring_size(const Load& load, Findings& out) {
  const uint64_t limit = std::min<uint64_t>(load.machine.descriptors, kTableSlotsMax);
  if (limit == 0 || load.plan.per_ring <= limit) return;
  out.push_back({Gravity::kFatal, "descriptors", fmt::format("--per-ring {}", load.plan.per_ring),
                 fmt::format("RLIMIT_NOFILE allows {} in one table", limit),
                 fmt::format("--per-ring {} would do, or ulimit -n {} (systemd: LimitNOFILE=)",
                             limit, load.plan.per_ring)});
}

void check_rings(const Load& load, uint64_t rings, Findings& out) {
  if (load.machine.descriptors == 0 || rings <= rings_possible(load.machine)) return;
  const uint64_t limit = load.machine.descriptors;
  const uint64_t slots = slots_of_a_ring(load.machine, load.plan);
  out.push_back(
      {Gravity::kFatal, "descriptors",
       fmt::format("{} clients at once need {} rings of {} sockets, and each ring a "
                   "descriptor",
                   grouped(load.open), grouped(rings), grouped(slots)),
       fmt::format("RLIMIT_NOFILE is {}, less {} for other things", limit, kOwnDescriptors),
       fmt::format("ulimit -n 20000 (systemd: LimitNOFILE=20000){}; {}",
                   load.plan.per_ring > 0 ? " and no --per-ring" : "", load.advice())});
}

// Sockets count even when no process has a descriptor of them. CAP_SYS_ADMIN is exempt, but others,
// such as the server, then find no room.
void check_files(const Load& load, Findings& out) {
  const Machine& machine = load.machine;
  const uint64_t needed = load.open * sockets_each(load) + machine.files_open;
  if (machine.files_max == 0 || needed <= machine.files_max) return;
  const bool exempt = machine.above_files_max;
  out.push_back({exempt ? Gravity::kWarning : Gravity::kFatal, "files of the machine",
                 fmt::format("{} clients at once are {} open files with what is open now",
                             grouped(load.open), grouped(needed)),
                 fmt::format("fs.file-max is {}{}", grouped(machine.files_max),
                             exempt ? "; it does not bind root, but a server without root" : ""),
                 fmt::format("sysctl -w fs.file-max={}{}", needed + needed / 10,
                             exempt ? "" : "; " + load.advice())});
}

void check_ports(const Load& load, Findings& out) {
  const uint64_t ports = load.machine.ports;
  if (ports == 0) return;
  const uint64_t pairs = address_pairs(load.plan);
  const std::string needed =
      fmt::format("{} clients at once over {} {} of source and target address", grouped(load.open),
                  grouped(pairs), pairs == 1 ? "pair" : "pairs");
  if (load.open > pairs * ports) {
    out.push_back(
        {Gravity::kFatal, "ports", needed,
         fmt::format("net.ipv4.ip_local_port_range gives {} to each pair", grouped(ports)),
         fmt::format("more --sources or targets (networks); or sysctl -w "
                     "net.ipv4.ip_local_port_range=\"1024 65535\"; {}",
                     load.advice())});
  } else if (load.open > pairs * kEasyPorts) {
    out.push_back({Gravity::kWarning, "ports", needed,
                   fmt::format("above {} a pair, finding a free port makes each connect slow",
                               grouped(kEasyPorts)),
                   "more --sources or targets (networks) make it fast"});
  }
}

void check_tcp_memory(const Load& load, Findings& out) {
  const Machine& machine = load.machine;
  if (machine.tcp_pages_pressure == 0 || load.talkers <= machine.tcp_pages_pressure) return;
  const bool fatal = load.talkers > machine.tcp_pages_max;
  out.push_back(
      {fatal ? Gravity::kFatal : Gravity::kWarning, "TCP memory",
       fmt::format("{} clients at once that talk before they are read, or never read, keep a page "
                   "each",
                   grouped(load.talkers)),
       fmt::format("net.ipv4.tcp_mem: pressure on all connections from {} pages, {} at most",
                   grouped(machine.tcp_pages_pressure), grouped(machine.tcp_pages_max)),
       fmt::format("sysctl -w net.ipv4.tcp_mem=\"{0} {1} {1}\"{2}", load.talkers,
                   load.talkers + load.talkers / 2, fatal ? "; " + load.advice() : "")});
}

// Only a server that runs here has this machine's queue.
void check_backlog(const Load& load, Findings& out) {
  const uint64_t queue = load.machine.somaxconn;
  if (!load.both_ends || queue == 0) return;
  const bool closed = load.plan.schedule.arrivals == Arrivals::kClosed;
  const auto burst =
      closed ? load.open
             : std::min(load.open, static_cast<uint64_t>(peak_rate(load.plan.schedule)));
  if (burst <= queue) return;
  out.push_back(
      {Gravity::kWarning, "accept queue",
       fmt::format("up to {} clients come {}", grouped(burst), closed ? "at once" : "in a second"),
       fmt::format("net.core.somaxconn is {}; connects that find a listener's queue full try again "
                   "after 1 s",
                   grouped(queue)),
       fmt::format("sysctl -w net.core.somaxconn={} and restart the server, or --rate", burst)});
}

void check_orphans(const Load& load, Findings& out) {
  const uint64_t most = load.machine.orphans_max;
  const auto& mix = load.plan.mix;
  const bool polite = std::any_of(
      mix.begin(), mix.end(), [](const Manners& one) { return one.profile != Profile::kReset; });
  if (most == 0 || !polite || load.open <= most) return;
  out.push_back({Gravity::kWarning, "closing sockets",
                 fmt::format("{} clients may close at nearly the same time", grouped(load.open)),
                 fmt::format("net.ipv4.tcp_max_orphans is {}; beyond it the kernel resets instead",
                             grouped(most)),
                 fmt::format("sysctl -w net.ipv4.tcp_max_orphans={}", load.open)});
}

// In a closed loop the hold bounds how many can have their turn before the duration is over.
void check_turns(const Load& load, Findings& out) {
  const Plan& plan = load.plan;
  if (plan.schedule.arrivals != Arrivals::kClosed || plan.count <= plan.parallel) return;
  if (plan.count == kConnectionsMax) return;  // the duration is what was asked for
  milliseconds shortest = milliseconds::max();
  for (const Manners& one : plan.mix) {
    const bool holds = one.profile == Profile::kZombie || one.profile == Profile::kDrip ||
                       one.profile == Profile::kNeverReads;
    shortest = std::min(shortest, holds ? one.hold : milliseconds(0));
  }
  if (shortest.count() == 0) return;
  const auto turns = static_cast<uint64_t>(plan.duration / shortest) + 1;
  if (turns * plan.parallel >= plan.count) return;
  out.push_back({Gravity::kWarning, "duration",
                 fmt::format("{} clients, {} at once, each for --hold", grouped(plan.count),
                             grouped(plan.parallel)),
                 fmt::format("about {} have their turn before --duration is over",
                             grouped(turns * plan.parallel)),
                 fmt::format("--parallel {}, a longer --duration or a shorter --hold",
                             plan.count / turns + 1)});
}

}  // namespace

std::string Finding::line() const {
  return fmt::format("{}: {}; {}; {}", limit, needed, is, remedy);
}

bool Preflight::can_start() const {
  return std::none_of(findings.begin(), findings.end(),
                      [](const Finding& finding) { return finding.gravity == Gravity::kFatal; });
}

Preflight check_machine(const Machine& machine, const Plan& plan, FarEnd far_end) {
  Load load{.machine = machine,
            .plan = plan,
            .both_ends = far_end == FarEnd::kHere,
            .open = std::min<uint64_t>(plan.parallel, plan.count),
            .talkers = 0,
            .would_do = 0};
  load.talkers = talking(plan, load.open);
  load.would_do = rounded_down(most_at_once(load));
  Preflight out;
  const uint64_t slots = slots_of_a_ring(machine, plan);
  const uint64_t rings = (load.open + slots - 1) / slots;
  out.rings = static_cast<uint32_t>(rings);
  out.open_most = load.open;
  out.memory_bytes = load.open * bytes_each(load);
  out.would_do = load.would_do;
  for (const auto& check :
       {check_uring, check_core, check_bound, check_memory, check_ring_size, check_files,
        check_ports, check_tcp_memory, check_backlog, check_orphans, check_turns}) {
    check(load, out.findings);
  }
  check_rings(load, rings, out.findings);
  std::stable_sort(out.findings.begin(), out.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.gravity > b.gravity; });
  return out;
}

}  // namespace lychgate::flood
