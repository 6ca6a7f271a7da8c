// Facts to evidence, evidence to the verdict that judge() gives, all of it to words.

#include "core/daemon/why_report.h"

#include <array>
#include <span>

#include <fmt/format.h>

#include "core/config/values.h"
#include "core/daemon/text_table.h"
#include "core/smtp/replies.h"

namespace lychgate::daemon {
namespace {

using admission::AccessResult;
using admission::Decision;
using admission::Reason;
using admission::Standing;
using admission::Verdict;
using config::Meaning;
using dns::AnswerState;

struct Said {
  std::string answer;   // one word or two
  std::string meaning;  // the rest, in words
  bool coded = false;   // there is a record behind it
};

const char* fault_words(ListFault fault) {
  return kListFaultWords[static_cast<size_t>(fault)];
}

std::string text_of(const config::List& list, uint32_t code) {
  for (const config::CodeRow& row : list.codes) {
    if (row.codes.matches(code)) return row.text;
  }
  return "";
}

// An answer that has come: the catalogue's words, and why it counts for nothing if it does.
Said said_by_record(const WhyList& of) {
  if (of.answer.code == 0) return {"not listed", "", false};
  const uint32_t code = of.answer.code;
  const Meaning meaning = admission::score_answer(*of.list, std::span(&code, 1)).meaning;
  Said said{config::kMeaningNames[static_cast<size_t>(meaning)], text_of(*of.list, code), true};
  if (!said.meaning.empty()) return said;
  if (of.answer.state == AnswerState::kFailed) {
    said.meaning = "never counts: a refusal (127.255.255.0/24), or not in 127.0.0.0/8";
  } else {
    said.meaning = meaning == Meaning::kNeutral
                       ? "known to no catalogue and no pattern of dnsl.sites"
                       : "by its pattern in dnsl.sites";
  }
  return said;
}

Said said_by(const WhyList& of, const IpAddress& address) {
  if (!of.list->serves(address)) {
    return {"not asked",
            address.is_v4() ? "it lists no IPv4 addresses" : "it lists no IPv6 addresses", false};
  }
  if (of.state == ListState::kDisabled) return {"disabled", fault_words(of.fault), false};
  switch (of.answer.state) {
    case AnswerState::kNone:
      return {"not asked", "", false};
    case AnswerState::kAsked:
      return {"no answer", "nothing has come yet", false};
    case AnswerState::kFailed:
      if (of.answer.code != 0) return said_by_record(of);
      return {"failed", fault_words(of.fault), false};
    case AnswerState::kAnswered:
      break;
  }
  Said said = said_by_record(of);
  if (of.state == ListState::kUnproven && of.answer.weight != 0) {
    said.meaning += said.meaning.empty() ? "" : "; ";
    said.meaning += "not counted: its test points have not answered";
  }
  return said;
}

bool counts(const WhyList& of, const IpAddress& address) {
  return of.state == ListState::kUp && of.answer.state == AnswerState::kAnswered &&
         of.list->serves(address);
}

const char* access_word(const std::optional<AccessResult>& access) {
  if (!access) return "none configured";
  switch (*access) {
    case AccessResult::kDunno:
      return "dunno";
    case AccessResult::kPermit:
      return "permit";
    case AccessResult::kReject:
      return "reject";
  }
  return "";
}

// Only these three can come of facts without behaviour and limits.
const char* decision_word(const Verdict& verdict) {
  if (verdict.decision == Decision::kPass) return "pass";
  return verdict.decision == Decision::kDrop ? "drop" : "refuse";
}

// The lists are asked only during the wait, and of nobody whom the access list has settled.
bool lists_asked(const WhyParts& parts) {
  return parts.config.greet.wait > milliseconds{0} && parts.access != AccessResult::kPermit;
}

uint16_t evidence_of(const WhyParts& parts) {
  uint16_t evidence = 0;
  if (parts.access == AccessResult::kPermit) evidence |= kAllowlisted;
  if (parts.access == AccessResult::kReject) evidence |= kDenylisted;
  if (!lists_asked(parts)) return evidence;
  const Standing standing = admission::standing({.score = parts.score}, parts.config.dnsl);
  if (standing == Standing::kFailed) evidence |= kListsFailed;
  if (standing == Standing::kAllowed) evidence |= kListsAllow;
  return evidence;
}

std::string reply_of(const WhyParts& parts, const Verdict& verdict) {
  if (!verdict.reply) return "";
  const smtp::ReplyId id = *verdict.reply;
  const bool listed = id == smtp::ReplyId::kRefuseListed || id == smtp::ReplyId::kDropListed;
  if (!listed || parts.named == nullptr) return std::string(smtp::reply_text(id));
  std::array<char, smtp::kReplyLineMax> line;
  const size_t size = smtp::write_listed_reply(
      id, {.client = parts.address, .reply_name = parts.named->reply_name, .reason = parts.reason},
      line);
  return {line.data(), size - 2};  // without CRLF
}

std::string verdict_words(const WhyParts& parts, const Verdict& verdict) {
  if (verdict.decision != Decision::kPass) {
    const char* what = verdict.decision == Decision::kDrop ? "dropped" : "refused";
    const bool lists = verdict.reason == Reason::kListsFailed;
    return fmt::format("{}: {}", what,
                       lists ? "the score is too high" : "the access list rejects it");
  }
  if (verdict.reason == Reason::kAllowlisted) return "passes at once: the access list permits it";
  if (verdict.reason == Reason::kListsAllow) {
    return "passes without the rest of the wait: the DNS lists vouch for it";
  }
  const uint16_t evidence = evidence_of(parts);
  if ((evidence & kListsFailed) != 0) {
    return "passes: the score is too high, but dnsl.action is \"ignore\"";
  }
  if ((evidence & kDenylisted) != 0) {
    return "passes: the access list rejects it, but access.reject is \"ignore\"";
  }
  if (!lists_asked(parts)) return "passes: greet.wait is 0, so no list is asked";
  return "passes, if it waits for the greeting";
}

std::string limits_text(const config::Dnsl& dnsl) {
  const std::string allow = dnsl.allow_threshold < 0
                                ? fmt::format(", vouched for at {} or less", dnsl.allow_threshold)
                                : "";
  return fmt::format("too high at {} or more{}", dnsl.threshold, allow);
}

}  // namespace

std::string why_text(const WhyParts& parts) {
  std::vector<TableRow> rows{{{"list", "answer", "record", "weight", "ttl", "meaning"}, ""}};
  for (const WhyList& of : parts.lists) {
    const Said said = said_by(of, parts.address);
    const bool answered = of.answer.state == AnswerState::kAnswered && counts(of, parts.address);
    rows.push_back(
        {{of.list->name, said.answer, said.coded ? IpAddress::from_v4(of.answer.code).text() : "",
          said.coded && answered ? fmt::format("{}", of.answer.weight) : "",
          answered ? fmt::format("{}", of.ttl) : "", said.meaning},
         ""});
  }
  const Verdict verdict = admission::judge({.evidence = evidence_of(parts)}, parts.config);
  const std::string reply = reply_of(parts, verdict);
  std::string out = fmt::format("client       {}\naccess list  {}\n\n", parts.address.text(),
                                access_word(parts.access));
  out += parts.lists.empty() ? "no DNS lists are configured (dnsl.sites)\n"
                             : text_table("lllrrl", rows);
  out += fmt::format("\nscore        {} ({})\n", parts.score, limits_text(parts.config.dnsl));
  out += fmt::format("verdict      {}\n", verdict_words(parts, verdict));
  if (!reply.empty()) out += fmt::format("reply        {}\n", reply);
  return out + parts.remembered;
}

std::string why_json(const WhyParts& parts) {
  using config::toml_quoted;  // a TOML basic string is a JSON string, too
  std::string lists;
  for (const WhyList& of : parts.lists) {
    const Said said = said_by(of, parts.address);
    lists += fmt::format(
        "{}{{\"list\":{},\"state\":\"{}\",\"answer\":\"{}\",\"record\":{},\"meaning\":{},"
        "\"weight\":{},\"ttl\":{}}}",
        lists.empty() ? "" : ",", toml_quoted(of.list->name),
        kListStateNames[static_cast<size_t>(of.state)], said.answer,
        said.coded ? toml_quoted(IpAddress::from_v4(of.answer.code).text()) : "null",
        toml_quoted(said.meaning), counts(of, parts.address) ? of.answer.weight : 0,
        counts(of, parts.address) ? fmt::format("{}", of.ttl) : "null");
  }
  const Verdict verdict = admission::judge({.evidence = evidence_of(parts)}, parts.config);
  const std::string reply = reply_of(parts, verdict);
  return fmt::format(
      "{{\"address\":\"{}\",\"access\":{},\"lists\":[{}],\"score\":{},\"threshold\":{},"
      "\"allow_threshold\":{},\"decision\":\"{}\",\"verdict\":{},\"reply\":{},"
      "\"remembered\":{}}}\n",
      parts.address.text(), parts.access ? toml_quoted(access_word(parts.access)) : "null", lists,
      parts.score, parts.config.dnsl.threshold, parts.config.dnsl.allow_threshold,
      decision_word(verdict), toml_quoted(verdict_words(parts, verdict)),
      reply.empty() ? "null" : toml_quoted(reply),
      parts.remembered.empty() ? "null" : parts.remembered);
}

}  // namespace lychgate::daemon
