// Can this machine carry this flood? A pure function from numbers to findings, told before anything
// starts: which limit, what it is, what is needed, and the setting or count that would do.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/flood/machine.h"
#include "bench/flood/plan.h"

namespace lychgate::flood {

enum class Gravity : uint8_t {
  kWarning,  // the flood works, but not as meant
  kFatal,    // it would fail half-way
};

struct Finding {
  Gravity gravity = Gravity::kWarning;
  std::string limit;   // its name
  std::string needed;  // by this plan
  std::string is;      // here
  std::string remedy;

  // "memory: NEEDED; IS; REMEDY".
  std::string line() const;
};

// Where the other end of each connection is.
enum class FarEnd : uint8_t { kHere, kElsewhere };

struct Preflight {
  std::vector<Finding> findings;  // fatal ones first
  uint32_t rings = 1;
  uint64_t open_most = 0;     // clients that will be open at once
  uint64_t memory_bytes = 0;  // of the kernel, for them
  uint64_t would_do = 0;      // the most that this machine can carry at once, rounded down

  bool can_start() const;
};

Preflight check_machine(const Machine& machine, const Plan& plan, FarEnd far_end);

}  // namespace lychgate::flood
