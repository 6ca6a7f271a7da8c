// Keyword lines are walked where they lie; nothing is parsed twice into a structure.

#include "handoff/capabilities.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "core/base/ascii.h"

namespace lychgate::handoff {
namespace {

// Of a server that the gate stands in front of, not of the gate: what is in flight when a client is
// handed over would reach the backend as commands, and the rest is not for clients.
constexpr std::string_view kNeverAnnounced[] = {"PIPELINING", "XCLIENT", "XFORWARD"};
constexpr std::string_view kSize = "SIZE";

// The first word; the rest is left in `text`.
std::string_view take_word(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

std::string_view take_line(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// RFC 5321 4.1.1.1: ehlo-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-").
bool is_keyword(std::string_view word) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '-';
  };
  return !word.empty() && word[0] != '-' && std::all_of(word.begin(), word.end(), fits);
}

// The line of a keyword, without the keyword; nullopt: there is none.
std::optional<std::string_view> find_line(std::string_view text, std::string_view keyword) {
  while (!text.empty()) {
    std::string_view line = take_line(text);
    if (same_word(take_word(line), keyword)) return line;
  }
  return std::nullopt;
}

bool has_word(std::string_view words, std::string_view wanted) {
  while (!words.empty()) {
    if (same_word(take_word(words), wanted)) return true;
  }
  return false;
}

// RFC 1870: 0, or no number, is no limit that one could keep to.
uint64_t size_of(std::string_view parameters) {
  const std::string_view word = take_word(parameters);
  uint64_t size = 0;
  std::from_chars(word.data(), word.data() + word.size(), size);
  return size;
}

bool is_left_out(std::string_view keyword, std::span<const std::string> hide) {
  const auto is_it = [keyword](std::string_view each) { return same_word(each, keyword); };
  return std::any_of(std::begin(kNeverAnnounced), std::end(kNeverAnnounced), is_it) ||
         std::any_of(hide.begin(), hide.end(), is_it);
}

std::string smallest_size(std::span<const std::string_view> backends) {
  uint64_t smallest = 0;
  for (const std::string_view text : backends) {
    const uint64_t size = size_of(find_line(text, kSize).value_or(""));
    if (size != 0 && (smallest == 0 || size < smallest)) smallest = size;
  }
  return smallest == 0 ? "" : " " + std::to_string(smallest);
}

// What all have of the parameters that the first has, each behind a blank; nullopt: the keyword is
// not everybody's, or its parameters have nothing in common.
std::optional<std::string> common_words(std::string_view keyword, std::string_view first,
                                        std::span<const std::string_view> backends) {
  bool with_parameters = false;
  for (const std::string_view text : backends) {
    auto line = find_line(text, keyword);
    if (!line) return std::nullopt;
    with_parameters = with_parameters || !take_word(*line).empty();
  }
  std::string common;
  for (std::string_view rest = first; !rest.empty();) {
    const std::string_view word = take_word(rest);
    const bool everywhere = std::all_of(
        backends.begin(), backends.end(),
        [&](std::string_view text) { return has_word(*find_line(text, keyword), word); });
    if (everywhere && !word.empty()) common.append(" ").append(word);
  }
  if (common.empty() && with_parameters) return std::nullopt;
  return common;
}

}  // namespace

void Capabilities::add(std::string_view line) {
  const auto fits = [](char c) { return c >= ' ' && c <= '~'; };
  if (!std::all_of(line.begin(), line.end(), fits)) return;
  line = line.substr(0, line.find_last_not_of(' ') + 1);
  std::string_view rest = line;
  const std::string_view keyword = take_word(rest);
  if (!is_keyword(keyword) || keyword.data() != line.data()) return;
  if (find_line(text(), keyword) || line.size() + 1 > text_.size() - size_) return;
  size_ += line.copy(text_.data() + size_, line.size());
  text_[size_++] = '\n';
}

std::string announced_for(std::span<const std::string_view> backends,
                          std::span<const std::string> hide) {
  std::string out;
  if (backends.empty()) return out;
  for (std::string_view text = backends.front(); !text.empty();) {
    std::string_view line = take_line(text);
    const std::string_view keyword = take_word(line);
    if (is_left_out(keyword, hide)) continue;
    auto words = common_words(keyword, line, backends);
    if (same_word(keyword, kSize)) {
      const bool everywhere =
          std::all_of(backends.begin(), backends.end(),
                      [](std::string_view each) { return find_line(each, kSize).has_value(); });
      words = everywhere ? std::optional(smallest_size(backends)) : std::nullopt;
    }
    if (words) out.append(keyword).append(*words).append("\n");
  }
  return out;
}

bool covers(std::string_view backend, std::string_view announced) {
  while (!announced.empty()) {
    std::string_view wanted = take_line(announced);
    const std::string_view keyword = take_word(wanted);
    const auto offered = find_line(backend, keyword);
    if (!offered) return false;
    if (same_word(keyword, kSize)) {
      const uint64_t limit = size_of(*offered);
      const uint64_t told = size_of(wanted);
      if (limit != 0 && (told == 0 || limit < told)) return false;
      continue;
    }
    while (!wanted.empty()) {
      const std::string_view word = take_word(wanted);
      if (!word.empty() && !has_word(*offered, word)) return false;
    }
  }
  return true;
}

}  // namespace lychgate::handoff
