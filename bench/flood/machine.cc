// /proc, getrlimit(2), sched_getaffinity(2) and a throw-away ring.

#include "bench/flood/machine.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "ring/features.h"

namespace lychgate::flood {
namespace {

constexpr uint32_t kCapSysAdmin = 21;  // linux/capability.h

// The numbers at the start of a file such as those below /proc/sys; none when it cannot be read.
std::vector<uint64_t> numbers(const std::string& path) {
  std::ifstream file(path);
  std::vector<uint64_t> out;
  for (uint64_t number = 0; file >> number;) out.push_back(number);
  return out;
}

uint64_t number(const std::string& path, size_t index = 0) {
  const auto all = numbers(path);
  return index < all.size() ? all[index] : 0;
}

// The word after "NAME:" in a file such as /proc/meminfo.
std::string field(const std::string& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name + ":")) continue;
    std::istringstream rest(line.substr(name.size() + 1));
    std::string word;
    rest >> word;
    return word;
  }
  return "";
}

// Sockets are charged to the memory cgroup, and each of its parents may have a limit, too.
uint64_t cgroup_leaves(uint64_t available) {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("0::/")) continue;
    for (std::string path = line.substr(3); !path.empty(); path.resize(path.rfind('/'))) {
      const std::string folder = "/sys/fs/cgroup" + path;
      const uint64_t most = number(folder + "/memory.max");  // none for "max"
      const uint64_t used = number(folder + "/memory.current");
      if (most > 0) available = std::min(available, most - std::min(used, most));
    }
  }
  return available;
}

std::vector<uint32_t> allowed_cores() {
  std::vector<uint32_t> out;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return out;
  for (uint32_t core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) out.push_back(core);
  }
  return out;
}

}  // namespace

Machine read_machine() {
  Machine out;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) out.descriptors = limit.rlim_cur;
  out.files_max = number("/proc/sys/fs/file-max");
  out.files_open = number("/proc/sys/fs/file-nr");
  const uint64_t capabilities =
      std::strtoull(field("/proc/self/status", "CapEff").c_str(), nullptr, 16);
  out.above_files_max = (capabilities >> kCapSysAdmin & 1) != 0;
  out.memory_available = cgroup_leaves(
      std::strtoull(field("/proc/meminfo", "MemAvailable").c_str(), nullptr, 10) * 1024);
  const auto range = numbers("/proc/sys/net/ipv4/ip_local_port_range");
  if (range.size() == 2 && range[1] >= range[0]) {
    out.ports = static_cast<uint32_t>(range[1] - range[0] + 1);
  }
  out.page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  out.tcp_pages_pressure = number("/proc/sys/net/ipv4/tcp_mem", 1);
  out.tcp_pages_max = number("/proc/sys/net/ipv4/tcp_mem", 2);
  out.somaxconn = static_cast<uint32_t>(number("/proc/sys/net/core/somaxconn"));
  out.orphans_max = static_cast<uint32_t>(number("/proc/sys/net/ipv4/tcp_max_orphans"));
  const auto features = ring::probe_features();
  if (!features) {
    out.uring_refusal = features.error().text;
  } else if (!features->complete()) {
    out.uring_refusal = features->summary() + "; Linux 6.10 is the oldest that will do";
  }
  out.cores = allowed_cores();
  return out;
}

}  // namespace lychgate::flood
