// One pass, greedy; a piece wider than the line has a line of its own.

#include "bench/flood/wrap.h"

#include <algorithm>
#include <utility>

namespace lychgate::flood {

std::string wrapped(std::string label, size_t indent, const std::vector<std::string>& pieces) {
  std::string out = std::move(label);
  size_t column = indent;
  for (const std::string& piece : pieces) {
    if (column > indent && column + 1 + piece.size() > kReportColumns) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += piece;
    column += piece.size();
  }
  return out + '\n';
}

std::string wrapped_words(std::string label, size_t indent, std::string_view sentence) {
  std::vector<std::string> words;
  while (!sentence.empty()) {
    const std::string_view word = sentence.substr(0, sentence.find(' '));
    sentence.remove_prefix(std::min(sentence.size(), word.size() + 1));
    words.emplace_back(word);
  }
  return wrapped(std::move(label), indent, words);
}

}  // namespace lychgate::flood
