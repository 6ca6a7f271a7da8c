// Gives out the cells of the shared counters (core/base/cells.h) by name, so that two generations
// of shards count what they both name in one place: pools by name, backends by their text within
// the pool, DNS lists by their printable name. A book is a value: nothing changes in it, the next
// one comes with the cells. Knows no zones and no keys; only empty_cells() touches counters.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/cells.h"
#include "core/base/counters.h"
#include "core/base/result.h"
#include "core/config/config.h"
#include "core/config/lists.h"

namespace lychgate::daemon {

// A configuration, and the lists made of it. Of one that runs, config.cells are those it was given.
struct Counted {
  const config::Config& config;
  std::span<const config::List> lists;
};

// Cells that stood for another name before.
struct Emptied {
  struct Backend {
    uint8_t pool;
    uint8_t backend;
  };
  std::vector<uint8_t> pools = {};     // with all their backends
  std::vector<Backend> backends = {};  // of pools that keep their cell
  std::vector<uint8_t> lists = {};
};

struct CellPlan;

class CellBook {
 public:
  // The cells of the next generation, while those in `running` go on in theirs. The same name has
  // the cell it had before, gone in between or not, as long as nobody else needed it.
  // Errors: kUnavailable when what runs leaves no cell free.
  Result<CellPlan> assign(const Counted& next, std::span<const Counted> running) const;

  // Lines, for the program that takes over.
  std::string text() const;
  // Errors: kSoftware when text() did not make it.
  static Result<CellBook> read(std::string_view text);
  bool operator==(const CellBook&) const = default;

 private:
  bool read_line(std::string_view line);

  // Who has each cell; empty: it was never given out.
  std::array<std::string, kPoolsMax> pools_;
  std::array<std::array<std::string, kBackendsPerPoolMax>, kPoolsMax> backends_;
  std::array<std::string, kListsMax> lists_;
};

// What is to come into force once the next generation has started: the cells go into its
// configuration before, then empty_cells(), and the book in place of the one before.
struct CellPlan {
  Cells cells;
  Emptied emptied;
  CellBook book;
};

// Before the first shard counts in them: nobody who runs has one of these cells.
void empty_cells(const Emptied& emptied, SharedCounters& counters);

}  // namespace lychgate::daemon
