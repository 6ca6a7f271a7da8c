// The table after a run, and the plan before a dry one: for people, at most 100 columns wide. Pure.

#pragma once

#include <string>
#include <string_view>

#include "bench/flood/outcome.h"

namespace lychgate::flood {

// What marks headings and trouble: escape sequences on a terminal, nothing elsewhere.
struct Ink {
  std::string_view bold;
  std::string_view alarm;
  std::string_view plain;

  static Ink none() { return {}; }
  static Ink terminal() { return {"\x1b[1m", "\x1b[1;31m", "\x1b[0m"}; }
};

std::string plan_text(const Outcome& outcome, const Ink& ink);
std::string result_text(const Outcome& outcome, const Ink& ink);
// A line each, without fatal or without the others.
std::string findings_text(const Preflight& preflight, const Ink& ink);

}  // namespace lychgate::flood
