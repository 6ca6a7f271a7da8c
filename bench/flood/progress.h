// The live line: what a run looks like now, on one line of a terminal that is written again and
// again. Not for pipes and files; those have the CSV.

#pragma once

#include <cstdint>
#include <string>

#include "bench/flood/csv_report.h"

namespace lychgate::flood {

// At most `columns` wide, without an end.
std::string live_line(const Sample& sample, uint32_t columns);

class LiveLine {
 public:
  // Shows nothing where `fd` is no terminal or `wanted` is false.
  LiveLine(int fd, bool wanted);
  ~LiveLine() { clear(); }
  LiveLine(const LiveLine&) = delete;
  LiveLine& operator=(const LiveLine&) = delete;

  void show(const Sample& sample);
  // Takes the line away, for what is printed next.
  void clear();

 private:
  void write(const std::string& text) const;

  int fd_;
  bool shows_;
  bool shown_ = false;
};

}  // namespace lychgate::flood
