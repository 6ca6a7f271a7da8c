// Rows of cells as columns for people's eyes: as wide as the widest cell, two spaces between. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lychgate::daemon {

struct TableRow {
  std::vector<std::string> cells;  // as many as there are columns, or fewer
  std::string note;                // on a line of its own below the row; empty: none
};

// alignment: one letter a column, 'l' or 'r'. The first row is the heading.
std::string text_table(std::string_view alignment, const std::vector<TableRow>& rows);

}  // namespace lychgate::daemon
