// How far two words are apart, for messages that name the nearest known one. Pure; not for the hot
// path (it allocates).

#pragma once

#include <cstddef>
#include <string_view>

namespace lychgate {

// Levenshtein's distance: letters to insert, delete or change.
size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace lychgate
