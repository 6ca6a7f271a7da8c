// Sums over the profiles; a rate needs two samples.

#include "bench/flood/csv_report.h"

#include <fmt/format.h>

namespace lychgate::flood {

Sample sample_of(const Tally& tally, double elapsed_s, const Sample& before) {
  const Counts sum = tally.sum();
  const auto ended = [&](Ending ending) { return sum.endings[static_cast<size_t>(ending)]; };
  const double span = elapsed_s - before.elapsed_s;
  const uint64_t more = sum.started - before.started;
  return {.elapsed_s = elapsed_s,
          .started = sum.started,
          .connected = sum.connected,
          .open = tally.open,
          .held = tally.held,
          .greeted = sum.greeted,
          .delivered = sum.delivered,
          .refused = ended(Ending::kRefused),
          .closed = ended(Ending::kClosed),
          .errors = ended(Ending::kReset) + ended(Ending::kTimedOut) + ended(Ending::kBroken) +
                    ended(Ending::kUnconnected) + ended(Ending::kUnstarted),
          .rate = span > 0 ? static_cast<double>(more) / span : 0};
}

std::string csv_header() {
  return "elapsed_s,started,connected,open,held,greeted,delivered,refused,closed,errors,rate\n";
}

std::string csv_row(const Sample& sample) {
  return fmt::format("{:.3f},{},{},{},{},{},{},{},{},{},{:.1f}\n", sample.elapsed_s, sample.started,
                     sample.connected, sample.open, sample.held, sample.greeted, sample.delivered,
                     sample.refused, sample.closed, sample.errors, sample.rate);
}

}  // namespace lychgate::flood
