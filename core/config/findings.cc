// Sorting and naming of places.

#include "core/config/findings.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace lychgate::config {

std::vector<Problem> to_problems(std::vector<Finding> findings, std::span<const Source> sources) {
  std::stable_sort(findings.begin(), findings.end(),
                   [](const Finding& a, const Finding& b) { return a.spot < b.spot; });
  std::vector<Problem> problems;
  for (Finding& finding : findings) {
    const Spot& spot = finding.spot;
    std::string place;
    if (spot.source < sources.size()) place = sources[spot.source].name;
    if (spot.line != 0) place += fmt::format(":{}:{}", spot.line, spot.column);
    problems.push_back({std::move(place), std::move(finding.text)});
  }
  return problems;
}

}  // namespace lychgate::config
