// What the tests of this folder share: parsing texts as if they were files, and their problems as
// one string, so that a row of a table can say everything it wants.

#pragma once

#include <string>
#include <vector>

#include "core/config/reader.h"

namespace lychgate::config {

// The texts become the files a, b, c, ...; the gate runs as user 1000 without a runtime folder.
inline tl::expected<Loaded, std::vector<Problem>> parse_texts(
    const std::vector<std::string>& texts) {
  std::vector<Source> sources;
  for (size_t i = 0; i < texts.size(); ++i) {
    sources.push_back({std::string(1, static_cast<char>('a' + i)), texts[i]});
  }
  return parse(sources, {.uid = 1000, .runtime_dir = ""});
}

inline std::string joined(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& problem : problems) out += problem.line() + "\n";
  return out;
}

// Every error, one a line; empty when the texts are a valid configuration.
inline std::string errors_of(const std::vector<std::string>& texts) {
  const auto loaded = parse_texts(texts);
  return loaded ? "" : joined(loaded.error());
}

}  // namespace lychgate::config
