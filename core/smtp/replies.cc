// The table of replies. The words are postscreen's, because log readers and people know them.
// RFC 5321 4.3.2 wants the domain as the first word of a 421; with RFC 2034 codes every server we
// know of, postscreen among them, puts the enhanced code there instead, and so do we.

#include "core/smtp/replies.h"

#include <array>

#include "core/base/check.h"

namespace lychgate::smtp {
namespace {

// Indexed by ReplyId.
constexpr std::array<std::string_view, kReplyCount> kReplies = {
    "421 4.7.0 Error: too many connections\r\n",
    "421 4.3.2 All server ports are busy\r\n",
    "421 4.3.2 All screening ports are busy\r\n",
    "421 4.3.2 Service shutting down\r\n",
    "550 5.5.1 Protocol error\r\n",
    "521 5.5.1 Protocol error\r\n",
    "550 5.3.2 Service currently unavailable\r\n",
    "521 5.3.2 Service currently unavailable\r\n",
};

constexpr std::string_view kHostnameMark = "$hostname";
constexpr std::string_view kTeaserCode = "220-";
constexpr std::string_view kLineEnd = "\r\n";

bool printable(char c) {
  return c == '\t' || (c >= 32 && c <= 126);
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

std::string teaser_line(const Teaser& teaser) {
  if (teaser.banner.empty()) return {};
  const size_t room = kReplyLineMax - kLineEnd.size();
  std::string line(kTeaserCode);
  const auto append = [&](std::string_view text) {
    for (const char c : text.substr(0, room - line.size())) line += printable(c) ? c : '?';
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

}  // namespace lychgate::smtp
