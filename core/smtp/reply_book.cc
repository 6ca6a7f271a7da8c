// The footer follows smtp_reply_footer(3) of Postfix without its macros
// and without "\n": one line is enough for a telephone number.

#include "core/smtp/reply_book.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/check.h"

namespace lychgate::smtp {
namespace {

std::string greeting(const ReplyTexts& texts) {
  const std::string_view banner = texts.banner.empty() ? "$hostname ESMTP" : texts.banner;
  std::string line = teaser_line({.banner = banner, .hostname = texts.hostname});
  line[kReplyCodeSize] = ' ';
  return line;
}

// No reply names the host twice.
std::string with_hostname(std::string_view text, std::string_view hostname) {
  constexpr std::string_view kMark = "$hostname";
  std::string out(text);
  const size_t at = out.find(kMark);
  return at == std::string::npos ? out : out.replace(at, kMark.size(), hostname);
}

bool has_keyword(std::string_view line, std::string_view keyword) {
  // "AUTH=PLAIN" is the form of servers of the nineties.
  return same_word(line.substr(0, line.find_first_of(" =")), keyword);
}

bool is_kept(std::string_view line, EhloFor whom) {
  if (line.empty()) return false;
  return whom == EhloFor::kEveryone ||
         !(has_keyword(line, "STARTTLS") || has_keyword(line, "AUTH"));
}

}  // namespace

ReplyBook::ReplyBook(const ReplyTexts& texts) : footer_(texts.footer) {
  for (size_t i = 0; i < kReplyCount; ++i) {
    const std::string text = with_hostname(reply_text(static_cast<ReplyId>(i)), texts.hostname);
    std::array<char, kFootedReplyMax> bytes;
    lines_[i].assign(bytes.data(), write_reply({.text = text, .footer = footer_}, bytes));
  }
  lines_[static_cast<size_t>(ReplyId::kGreeting)] = greeting(texts);
}

std::string_view ReplyBook::bytes(ReplyId id) const {
  const auto index = static_cast<size_t>(id);
  LYCH_CHECK(index < lines_.size());
  return lines_[index];
}

std::string ehlo_reply(const EhloTexts& texts, EhloFor whom) {
  std::string out;
  size_t last = 0;
  const auto add = [&](std::string_view text) {
    last = out.size();
    std::array<char, kReplyLineMax> line;
    const std::string whole = std::string("250-").append(text);
    out.append(line.data(), write_reply({.text = whole, .footer = {}}, line));
  };
  add(texts.hostname);
  for (std::string_view rest = texts.capabilities; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (is_kept(rest.substr(0, end), whom)) add(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out[last + kReplyCodeSize] = ' ';
  return out;
}

}  // namespace lychgate::smtp
