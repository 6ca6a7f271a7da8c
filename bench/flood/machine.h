// What bounds a flood on this machine, read once as plain numbers: descriptors, memory, ports,
// queues, io_uring. Owns nothing, changes nothing, judges nothing (that is preflight.h).

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lychgate::flood {

// A number that could not be read is 0; what depends on it is then not judged.
struct Machine {
  uint64_t descriptors = 0;       // RLIMIT_NOFILE
  uint64_t files_max = 0;         // fs.file-max
  uint64_t files_open = 0;        // fs.file-nr
  bool above_files_max = false;   // CAP_SYS_ADMIN: fs.file-max does not bind us
  uint64_t memory_available = 0;  // bytes: MemAvailable, or what the memory cgroup leaves
  uint32_t ports = 0;             // of net.ipv4.ip_local_port_range
  uint64_t page_bytes = 4096;
  uint64_t tcp_pages_pressure = 0;  // net.ipv4.tcp_mem
  uint64_t tcp_pages_max = 0;
  uint32_t somaxconn = 0;
  uint32_t orphans_max = 0;     // net.ipv4.tcp_max_orphans
  std::string uring_refusal;    // why io_uring cannot be used; empty: it can
  std::vector<uint32_t> cores;  // those we may run on
};

Machine read_machine();

}  // namespace lychgate::flood
