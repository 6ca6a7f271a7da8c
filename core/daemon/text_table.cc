// Two walks: how wide, then the text.

#include "core/daemon/text_table.h"

#include <algorithm>

#include <fmt/format.h>

#include "core/base/check.h"

namespace lychgate::daemon {
namespace {

constexpr size_t kNoteIndent = 4;

std::string without_end_spaces(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

std::string text_table(std::string_view alignment, const std::vector<TableRow>& rows) {
  std::vector<size_t> widths(alignment.size(), 0);
  for (const TableRow& row : rows) {
    LYCH_CHECK(row.cells.size() <= widths.size());
    for (size_t i = 0; i < row.cells.size(); ++i) {
      widths[i] = std::max(widths[i], row.cells[i].size());
    }
  }
  std::string out;
  for (const TableRow& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.cells.size(); ++i) {
      if (i > 0) line += "  ";
      line += alignment[i] == 'r' ? fmt::format("{:>{}}", row.cells[i], widths[i])
                                  : fmt::format("{:<{}}", row.cells[i], widths[i]);
    }
    out += without_end_spaces(std::move(line)) + '\n';
    if (!row.note.empty()) out += std::string(kNoteIndent, ' ') + row.note + '\n';
  }
  return out;
}

}  // namespace lychgate::daemon
