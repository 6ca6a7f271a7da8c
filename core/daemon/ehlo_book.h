// What clients were told in answer to EHLO, by number: a hand-over must find a backend that can do
// all of it, though what is announced may have changed since. Grows with each new text, never
// shrinks.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/smtp/reply_book.h"

namespace lychgate::daemon {

// Texts kept; they change when a backend is given other capabilities, so seldom.
inline constexpr uint16_t kEhloTextsMax = 256;

struct EhloText {
  std::string capabilities;  // keywords with their parameters, '\n' between them
  std::string for_everyone;  // the whole reply
  std::string for_failed;
};

class EhloBook {
 public:
  // The first text is that of nothing announced.
  explicit EhloBook(std::string_view hostname) : hostname_(hostname) {
    texts_.reserve(kEhloTextsMax);
    number_of("");
  }

  // When the book is full the number of nothing: fewer capabilities are never wrong.
  uint16_t number_of(std::string_view capabilities) {
    for (uint16_t i = 0; i < texts_.size(); ++i) {
      if (texts_[i].capabilities == capabilities) return i;
    }
    if (texts_.size() == kEhloTextsMax) return 0;
    const smtp::EhloTexts words{.hostname = hostname_, .capabilities = capabilities};
    texts_.push_back({std::string(capabilities), ehlo_reply(words, smtp::EhloFor::kEveryone),
                      ehlo_reply(words, smtp::EhloFor::kFailed)});
    return static_cast<uint16_t>(texts_.size() - 1);
  }
  const EhloText& operator[](uint16_t number) const { return texts_[number]; }

 private:
  std::string hostname_;
  std::vector<EhloText> texts_;
};

}  // namespace lychgate::daemon
