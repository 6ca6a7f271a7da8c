// What `lychgate top` shows: two snapshots of figures become lines of text, no wider and no more
// than the screen. Pure; core/daemon/top_screen.h owns the terminal.

#pragma once

#include <string>
#include <vector>

#include "core/daemon/figures.h"

namespace lychgate::daemon {

struct ScreenSize {
  size_t columns = 80;
  size_t rows = 24;
};

struct TopLine {
  std::string text;
  bool is_heading = false;
};

struct TopView {
  Figures before = {};
  Figures now = {};
  double seconds = 1;        // between the two
  std::string trouble = {};  // why there are no new figures; empty: there are
};

std::vector<TopLine> draw_top(const TopView& view, ScreenSize size);

}  // namespace lychgate::daemon
