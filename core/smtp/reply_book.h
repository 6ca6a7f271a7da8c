// The replies of a dialogue, complete bytes: the table of replies.h with this host's name, the
// banner and the footer in it, built once; and the answer to EHLO, built when capabilities change.
// Owns its text. Decides nothing: which reply is due is the task of admission and of the engine.

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/smtp/replies.h"

namespace lychgate::smtp {

struct ReplyTexts {
  std::string_view hostname;
  std::string_view banner;  // as in Teaser; empty (no teaser): "$hostname ESMTP"
  std::string_view footer;  // dialogue.reject_footer; empty: none
};

class ReplyBook {
 public:
  explicit ReplyBook(const ReplyTexts& texts);

  // One or two whole lines. With a footer each 4xx and 5xx has it in a second line with the same
  // codes, or behind its text when the footer begins with "\c" (as postscreen_reject_footer).
  // Masked and cut like the teaser. Valid as long as the book is.
  std::string_view bytes(ReplyId id) const;
  // For write_listed_reply().
  std::string_view footer() const { return footer_; }

 private:
  std::string footer_;
  std::array<std::string, kReplyCount> lines_;
};

enum class EhloFor : uint8_t {
  kEveryone,
  kFailed,  // without STARTTLS and AUTH: the gate ends no TLS, and lets nobody in who has failed
};

struct EhloTexts {
  std::string_view hostname;
  std::string_view capabilities;  // keywords with their parameters, '\n' between them
};

// "250-hostname\r\n250-SIZE 10240000\r\n ... 250 DSN\r\n".
std::string ehlo_reply(const EhloTexts& texts, EhloFor whom);

}  // namespace lychgate::smtp
