// The table of replies. The words are postscreen's, because log readers and people know them.
// RFC 5321 4.3.2 wants the domain as the first word of a 421; with RFC 2034 codes every server we
// know of, postscreen among them, puts the enhanced code there instead, and so do we.

#include "core/smtp/replies.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"

namespace lychgate::smtp {
namespace {

// Indexed by ReplyId.
constexpr std::array<std::string_view, kReplyCount> kReplies = {
#define LYCHGATE_X(id, text) text "\r\n",
    LYCHGATE_REPLIES(LYCHGATE_X)
#undef LYCHGATE_X
};

constexpr std::string_view kHostnameMark = "$hostname";
constexpr std::string_view kTeaserCode = "220-";
// Postfix's: the footer goes on in the line of the reply.
constexpr std::string_view kSameLineMark = "\\c";
constexpr std::string_view kLineEnd = "\r\n";
constexpr size_t kReplyRoom = kReplyLineMax - kLineEnd.size();

char masked(char c) {
  return c == '\t' || (c >= 32 && c <= 126) ? c : '?';
}

// One line, masked and cut where the room ends or the limit is.
class LineWriter {
 public:
  explicit LineWriter(std::span<char> out)
      : out_(out), room_(std::min(out.size(), kReplyLineMax) - kLineEnd.size()) {}

  LineWriter& add(std::string_view text) {
    for (const char c : text.substr(0, room_ - size_)) out_[size_++] = masked(c);
    return *this;
  }
  std::string_view text() const { return {out_.data(), size_}; }
  // Gives the bytes of the whole line.
  size_t end() {
    std::ranges::copy(kLineEnd, out_.begin() + static_cast<ptrdiff_t>(size_));
    return size_ + kLineEnd.size();
  }

 private:
  std::span<char> out_;
  size_t room_;
  size_t size_ = 0;
};

// "5.7.1 " (RFC 3463 section 2) behind the code, if it is there.
std::string_view enhanced_code(std::string_view text) {
  text.remove_prefix(std::min(text.size(), kReplyCodeSize + 1));
  const std::string_view word = text.substr(0, text.find(' ') + 1);
  const bool is_code = std::ranges::count(word, '.') == 2 &&
                       word.find_first_not_of("0123456789. ") == std::string_view::npos;
  return is_code ? word : std::string_view();
}

}  // namespace

std::string_view reply_bytes(ReplyId id) {
  const auto index = static_cast<size_t>(id);
  LYCH_CHECK(index < kReplies.size());
  return kReplies[index];
}

std::string_view reply_text(ReplyId id) {
  std::string_view line = reply_bytes(id);
  line.remove_suffix(kLineEnd.size());
  return line;
}

std::string_view continued_reply(ReplyId id) {
  static const auto kContinued = [] {
    std::array<std::string, kReplyCount> lines;
    for (size_t i = 0; i < kReplyCount; ++i) {
      lines[i] = kReplies[i];
      lines[i][kReplyCodeSize] = '-';
    }
    return lines;
  }();
  const auto index = static_cast<size_t>(id);
  LYCH_CHECK(index < kContinued.size());
  return kContinued[index];
}

std::string teaser_line(const Teaser& teaser) {
  if (teaser.banner.empty()) return {};
  std::string line(kTeaserCode);
  const auto append = [&](std::string_view text) {
    for (const char c : text.substr(0, kReplyRoom - line.size())) line += masked(c);
  };
  std::string_view rest = teaser.banner;
  while (!rest.empty()) {
    const size_t mark = rest.find(kHostnameMark);
    append(rest.substr(0, mark));
    if (mark == std::string_view::npos) break;
    append(teaser.hostname);
    rest.remove_prefix(mark + kHostnameMark.size());
  }
  line += kLineEnd;
  return line;
}

size_t write_reply(const FootedReply& reply, std::span<char> out) {
  LYCH_CHECK(out.size() >= kReplyLineMax);
  const bool refuses = reply.text.starts_with('4') || reply.text.starts_with('5');
  const std::string_view footer = refuses ? reply.footer : std::string_view();
  const bool same_line = footer.starts_with(kSameLineMark);
  const bool two_lines = !footer.empty() && !same_line;
  LineWriter line(two_lines ? out.first(out.size() / 2) : out);
  line.add(reply.text);
  if (same_line) line.add(footer.substr(kSameLineMark.size()));
  const size_t size = line.end();
  if (!two_lines) return size;
  out[kReplyCodeSize] = '-';
  LineWriter second(out.subspan(size));
  second.add(reply.text.substr(0, kReplyCodeSize)).add(" ");
  second.add(enhanced_code(reply.text)).add(footer);
  return size + second.end();
}

size_t write_listed_reply(ReplyId id, const ListedReply& listed, std::span<char> out) {
  const bool refuses = id == ReplyId::kRefuseListed;
  if (!refuses && id != ReplyId::kDropListed) {
    return write_reply({.text = reply_text(id), .footer = listed.footer}, out);
  }
  std::array<char, kReplyLineMax> text;
  LineWriter line(text);
  line.add(refuses ? "550" : "521");
  line.add(" 5.7.1 Service unavailable; client [").add(listed.client.text());
  line.add("] blocked using ").add(listed.reply_name);
  if (!listed.reason.empty()) line.add("; ").add(listed.reason);
  return write_reply({.text = line.text(), .footer = listed.footer}, out);
}

}  // namespace lychgate::smtp
