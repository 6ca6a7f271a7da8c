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
constexpr size_t kCodeSize = 3;
constexpr std::string_view kLineEnd = "\r\n";
constexpr size_t kReplyRoom = kReplyLineMax - kLineEnd.size();

char masked(char c) {
  return c == '\t' || (c >= 32 && c <= 126) ? c : '?';
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
      lines[i][kCodeSize] = '-';
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

size_t write_listed_reply(ReplyId id, const ListedReply& listed, std::span<char> out) {
  LYCH_CHECK(id == ReplyId::kRefuseListed || id == ReplyId::kDropListed);
  LYCH_CHECK(out.size() >= kReplyLineMax);
  size_t size = 0;
  const auto append = [&](std::string_view text) {
    for (const char c : text.substr(0, kReplyRoom - size)) out[size++] = masked(c);
  };
  append(id == ReplyId::kRefuseListed ? "550" : "521");
  append(" 5.7.1 Service unavailable; client [");
  append(listed.client.text());
  append("] blocked using ");
  append(listed.reply_name);
  if (!listed.reason.empty()) {
    append("; ");
    append(listed.reason);
  }
  std::copy(kLineEnd.begin(), kLineEnd.end(), out.begin() + static_cast<ptrdiff_t>(size));
  return size + kLineEnd.size();
}

}  // namespace lychgate::smtp
