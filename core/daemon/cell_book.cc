// One rule for three kinds of names, and the book as lines of text.

#include "core/daemon/cell_book.h"

#include <bitset>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace lychgate::daemon {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr size_t kRowMax = 64;
static_assert(kPoolsMax <= kRowMax && kBackendsPerPoolMax <= kRowMax && kListsMax <= kRowMax);
// Longer than any name, path or address that a configuration may hold, escaped or not.
constexpr size_t kNameBytesMax = 4096;

// A row of cells that names are given: who has them, and which are those of somebody who runs.
struct Row {
  std::span<std::string> owners;
  std::bitset<kRowMax> running = {};
};

// Each name the cell it had; the others one that nobody ever had, else one that nobody who runs
// has. A name that comes twice has two cells. The error is the name for which there is none.
tl::expected<void, std::string> give(std::span<const std::string_view> names, const Row& row,
                                     std::span<uint8_t> cells, std::vector<uint8_t>& emptied) {
  std::bitset<kRowMax> given;
  std::vector<size_t> waiting;
  const auto find = [&](auto is_it) -> std::optional<size_t> {
    for (size_t cell = 0; cell < row.owners.size(); ++cell) {
      if (!given[cell] && is_it(cell)) return cell;
    }
    return std::nullopt;
  };
  const auto take = [&](size_t name, size_t cell) {
    given.set(cell);
    cells[name] = static_cast<uint8_t>(cell);
  };
  for (size_t i = 0; i < names.size(); ++i) {
    const auto cell = find([&](size_t at) { return row.owners[at] == names[i]; });
    if (cell) {
      take(i, *cell);
    } else {
      waiting.push_back(i);
    }
  }
  for (const size_t i : waiting) {
    auto cell = find([&](size_t at) { return row.owners[at].empty() && !row.running[at]; });
    if (!cell) cell = find([&](size_t at) { return !row.running[at]; });
    if (!cell) return tl::unexpected(std::string(names[i]));
    if (!row.owners[*cell].empty()) emptied.push_back(static_cast<uint8_t>(*cell));
    row.owners[*cell] = names[i];
    take(i, *cell);
  }
  return {};
}

tl::unexpected<Error> no_cell(std::string_view what, const std::string& name, const Row& row) {
  return fail(ExitCode::kUnavailable,
              fmt::format("there is no room to count {} \"{}\": {} of at most {} still run in "
                          "generations of shards that have not gone; try again when the one "
                          "before has gone, or change fewer names at once",
                          what, name, row.running.count(), row.owners.size()));
}

// One line, whatever is in the name.
std::string escaped(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == 0x7f || c == '%') {
      out += fmt::format("%{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool is_escape = text[0] == '%';
    uint8_t byte = static_cast<uint8_t>(text[0]);
    if (is_escape) {
      if (text.size() < 3) return std::nullopt;
      const auto end = std::from_chars(text.data() + 1, text.data() + 3, byte, 16);
      if (end.ec != std::errc() || end.ptr != text.data() + 3) return std::nullopt;
    }
    out += static_cast<char>(byte);
    text.remove_prefix(is_escape ? 3 : 1);
  }
  if (out.empty() || out.size() > kNameBytesMax) return std::nullopt;
  return out;
}

// A number below `limit` and the space behind it, taken from the front.
std::optional<size_t> take_cell(std::string_view& text, size_t limit) {
  size_t cell = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), cell);
  const auto used = static_cast<size_t>(end.ptr - text.data());
  if (end.ec != std::errc() || cell >= limit) return std::nullopt;
  if (used == text.size() || text[used] != ' ') return std::nullopt;
  text.remove_prefix(used + 1);
  return cell;
}

bool take_word(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

void clear(ListCounters& counters) {
  for (auto* cell : {&counters.queries, &counters.answered, &counters.listed, &counters.errors,
                     &counters.failed, &counters.timeouts, &counters.latency_ms}) {
    cell->store(0, kRelaxed);
  }
  for (auto& cell : counters.latency) cell.store(0, kRelaxed);
}

}  // namespace

Result<CellPlan> CellBook::assign(const Counted& next, std::span<const Counted> running) const {
  CellPlan plan{.cells = {}, .emptied = {}, .book = *this};
  Row pools{.owners = plan.book.pools_};
  std::array<Row, kPoolsMax> backends;
  for (size_t i = 0; i < kPoolsMax; ++i) backends[i].owners = plan.book.backends_[i];
  Row lists{.owners = plan.book.lists_};
  for (const Counted& one : running) {
    for (size_t p = 0; p < one.config.pools.size(); ++p) {
      const uint8_t cell = one.config.cells.pools[p];
      pools.running.set(cell);
      for (size_t b = 0; b < one.config.pools[p].backends.size(); ++b) {
        backends[cell].running.set(one.config.cells.backends[p][b]);
      }
    }
    for (size_t i = 0; i < one.lists.size(); ++i) lists.running.set(one.config.cells.lists[i]);
  }

  std::vector<std::string_view> names;
  for (const config::Pool& pool : next.config.pools) names.push_back(pool.name);
  auto given = give(names, pools, plan.cells.pools, plan.emptied.pools);
  if (!given) return no_cell("pool", given.error(), pools);
  for (const uint8_t cell : plan.emptied.pools) plan.book.backends_[cell].fill({});
  for (size_t p = 0; p < next.config.pools.size(); ++p) {
    const config::Pool& pool = next.config.pools[p];
    const uint8_t cell = plan.cells.pools[p];
    names.clear();
    for (const config::Backend& backend : pool.backends) names.push_back(backend.text);
    std::vector<uint8_t> emptied;
    given = give(names, backends[cell], plan.cells.backends[p], emptied);
    if (!given) {
      return no_cell(fmt::format("pool {}, backend", pool.name), given.error(), backends[cell]);
    }
    for (const uint8_t backend : emptied) plan.emptied.backends.push_back({cell, backend});
  }
  names.clear();
  for (const config::List& list : next.lists) names.push_back(list.name);
  given = give(names, lists, plan.cells.lists, plan.emptied.lists);
  if (!given) return no_cell("DNS list", given.error(), lists);
  return plan;
}

std::string CellBook::text() const {
  std::string out;
  for (size_t p = 0; p < kPoolsMax; ++p) {
    if (pools_[p].empty()) continue;
    out += fmt::format("pool {} {}\n", p, escaped(pools_[p]));
    for (size_t b = 0; b < kBackendsPerPoolMax; ++b) {
      const std::string& name = backends_[p][b];
      if (!name.empty()) out += fmt::format("backend {} {} {}\n", p, b, escaped(name));
    }
  }
  for (size_t i = 0; i < kListsMax; ++i) {
    if (!lists_[i].empty()) out += fmt::format("list {} {}\n", i, escaped(lists_[i]));
  }
  return out;
}

// False: text() writes no such line, or not there.
bool CellBook::read_line(std::string_view line) {
  std::string* owner = nullptr;
  if (take_word(line, "pool ")) {
    const auto cell = take_cell(line, kPoolsMax);
    if (cell) owner = &pools_[*cell];
  } else if (take_word(line, "backend ")) {
    const auto pool = take_cell(line, kPoolsMax);
    const auto cell = take_cell(line, kBackendsPerPoolMax);
    if (pool && cell && !pools_[*pool].empty()) owner = &backends_[*pool][*cell];
  } else if (take_word(line, "list ")) {
    const auto cell = take_cell(line, kListsMax);
    if (cell) owner = &lists_[*cell];
  }
  if (owner == nullptr || !owner->empty()) return false;
  auto name = unescaped(line);
  if (!name) return false;
  *owner = std::move(*name);
  return true;
}

Result<CellBook> CellBook::read(std::string_view text) {
  CellBook book;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos || !book.read_line(text.substr(0, end))) {
      return fail(ExitCode::kSoftware,
                  fmt::format("what the program before counts cannot be read (line {}); restart "
                              "the gate to count from zero",
                              number));
    }
    text.remove_prefix(end + 1);
  }
  return book;
}

void empty_cells(const Emptied& emptied, SharedCounters& counters) {
  for (ShardCounters& block : counters.shards()) {
    const auto empty_backend = [&block](size_t pool, size_t backend) {
      block.backend_open[pool][backend].store(0, kRelaxed);
      block.backend_use[pool][backend].store(static_cast<uint8_t>(BackendUse::kUp), kRelaxed);
    };
    for (const uint8_t pool : emptied.pools) {
      for (auto& cell : block.outcomes[pool]) cell.store(0, kRelaxed);
      block.pool_open[pool].store(0, kRelaxed);
      for (size_t b = 0; b < kBackendsPerPoolMax; ++b) empty_backend(pool, b);
    }
    for (const Emptied::Backend& one : emptied.backends) empty_backend(one.pool, one.backend);
    for (const uint8_t list : emptied.lists) clear(block.lists[list]);
  }
  for (const uint8_t list : emptied.lists) {
    ListBoard& board = counters.lists().boards[list];
    board.state.store(static_cast<uint8_t>(ListState::kUnproven), kRelaxed);
    board.fault.store(static_cast<uint8_t>(ListFault::kNone), kRelaxed);
    board.epoch.fetch_add(1, kRelaxed);  // what the list before has answered is not its
    board.since.store(0, kRelaxed);
    board.day_base.store(0, kRelaxed);
  }
  if (!emptied.lists.empty()) counters.lists().version.fetch_add(1, std::memory_order_release);
}

}  // namespace lychgate::daemon
