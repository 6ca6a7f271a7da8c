// What --help prints around the options, and how wide. Text alone.

#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace lychgate::flood {

extern const char kAbout[];
extern const char kMore[];

// Options with the name of their value, their sentences wrapped; CLI11's own form prints sentences
// of any length on one line, and types and ranges that the sentences name better.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

}  // namespace lychgate::flood
