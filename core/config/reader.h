// Reads a configuration whole: the main file, then conf.d/*.toml in name order. Reports all errors
// at once, each with its place. Changes nothing in the world and never gives half a configuration.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "core/base/result.h"
#include "core/config/config.h"

namespace lychgate::config {

struct Problem {
  std::string place;  // file:line:column; the file alone, or empty, when no line is to blame
  std::string text;   // what is wrong, what was expected

  // "place: text".
  std::string line() const { return place.empty() ? text : place + ": " + text; }
};

// One file's content.
struct Source {
  std::string name;
  std::string text;
};

// What the defaults depend on; passed in, so that tests can be anybody.
struct Defaults {
  uint32_t uid = 0;         // who the gate runs as
  std::string runtime_dir;  // $XDG_RUNTIME_DIR; empty: not set
  bool state_dir = false;   // $STATE_DIRECTORY is set, where a store has its place

  static Defaults of_this_process();
};

// "file:line" of each key that was given, by its path: "greet.wait", "pool[0]", "pool[0].name".
using Origins = std::map<std::string, std::string, std::less<>>;

struct Loaded {
  std::unique_ptr<const Config> config;
  Origins origins;
  std::vector<Problem> warnings;
};

// A later source overrides single values of an earlier one; [[listen]], [[secret]], [[pool]] and
// [[route]] add up. The errors are in reading order; there is at least one.
tl::expected<Loaded, std::vector<Problem>> parse(std::span<const Source> sources,
                                                 const Defaults& defaults);

struct LoadFailure {
  ExitCode code = ExitCode::kConfig;  // kNoInput: a file cannot be read
  std::vector<Problem> problems;
};

// The file and the conf.d next to it, which may be missing. An empty path: built-in defaults only.
tl::expected<Loaded, LoadFailure> load(const std::string& path, const Defaults& defaults);

}  // namespace lychgate::config
