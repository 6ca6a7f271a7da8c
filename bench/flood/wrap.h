// Long text on lines that fit a terminal. Pure.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lychgate::flood {

inline constexpr size_t kReportColumns = 100;

// `label`, which ends in column `indent`, then the pieces with spaces between; what does not fit
// goes on below the first piece.
std::string wrapped(std::string label, size_t indent, const std::vector<std::string>& pieces);
// The same with the words of a sentence.
std::string wrapped_words(std::string label, size_t indent, std::string_view sentence);

}  // namespace lychgate::flood
