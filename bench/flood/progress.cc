// Numbers in columns that do not jump: each is at most six wide.

#include "bench/flood/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>

#include "bench/flood/figures.h"

namespace lychgate::flood {
namespace {

constexpr uint32_t kColumnsUnknown = 80;
constexpr uint32_t kColumnsMax = 100;

uint32_t columns_of(int fd) {
  winsize size{};
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kColumnsUnknown;
  return size.ws_col;
}

std::string short_count(uint64_t number) {
  return short_number(static_cast<double>(number));
}

}  // namespace

std::string live_line(const Sample& sample, uint32_t columns) {
  std::string line =
      fmt::format("{:7.1f} s {:>6} started {:>6} open {:>6} held {:>6}/s {:>6} greeted",
                  sample.elapsed_s, short_count(sample.started), short_count(sample.open),
                  short_count(sample.held), short_number(sample.rate), short_count(sample.greeted));
  // What should not happen is named when it does; a narrow terminal shows as many as fit.
  const auto add = [&](uint64_t number, const char* what) {
    if (number > 0) line += fmt::format("  {} {}", short_count(number), what);
  };
  add(sample.errors, "errors");
  add(sample.refused, "refused");
  add(sample.closed, "closed");
  line.resize(std::min<size_t>(line.size(), std::min(columns, kColumnsMax)));
  return line;
}

LiveLine::LiveLine(int fd, bool wanted) : fd_(fd), shows_(wanted && isatty(fd) == 1) {}

void LiveLine::show(const Sample& sample) {
  if (!shows_) return;
  // One column is left free: some terminals wrap when the last one is written.
  write("\r\x1b[K" + live_line(sample, columns_of(fd_) - 1));
  shown_ = true;
}

void LiveLine::clear() {
  if (shown_) write("\r\x1b[K");
  shown_ = false;
}

void LiveLine::write(const std::string& text) const {
  // A terminal that is gone is no reason to end the run.
  if (::write(fd_, text.data(), text.size()) < 0) return;
}

}  // namespace lychgate::flood
