// Actions of the session step as short text, for the tables of its tests: counters and log lines by
// their names, replies by their code, timers by list and time.

#pragma once

#include <string>

#include <fmt/format.h>

#include "core/daemon/session.h"

namespace lychgate::daemon {

inline const char* name_of(ActionKind kind) {
  switch (kind) {
    case ActionKind::kTease:
      return "tease";
    case ActionKind::kLook:
      return "look";
    case ActionKind::kDiscard:
      return "discard";
    case ActionKind::kShut:
      return "shut";
    case ActionKind::kRoute:
      return "route";
    case ActionKind::kClose:
      return "close";
    case ActionKind::kAskLists:
      return "ask";
    case ActionKind::kDisarm:
      return "disarm";
    case ActionKind::kRemember:
      return "remember";
    case ActionKind::kConverse:
      return "converse";
    case ActionKind::kGreet:
      return "greet";
    case ActionKind::kListen:
      return "listen";
    case ActionKind::kHandOver:
      return "hand over";
    case ActionKind::kHold:
    case ActionKind::kLog:
    case ActionKind::kCount:
    case ActionKind::kArm:
    case ActionKind::kReply:
      break;
  }
  return "?";
}

inline const char* name_of(LogKind kind) {
  static constexpr const char* kNames[] = {
      "CONNECT",          "ALLOWLISTED",   "DENYLISTED",   "PASS NEW",
      "PREGREET",         "HANGUP",        "REJECT reply", "REJECT address",
      "REJECT screening", "REJECT server", "DISCONNECT",   "RANK",
      "LISTED",           "REJECT listed", "PASS OLD",     "HANGUP talking",
      "PIPELINING",       "NON-SMTP",      "BARE NEWLINE", "TIME LIMIT",
      "COUNT LIMIT",      "LENGTH LIMIT",  "DATA",         "BDAT",
      "REJECT rcpt",      "PROXY"};
  return kNames[static_cast<size_t>(kind)];
}

// The tests of the dialogue off: who has passed its wait is handed off.
inline void without_dialogue(config::Config& config) {
  config.dialogue.pipelining.enable = false;
  config.dialogue.non_smtp_command.enable = false;
  config.dialogue.bare_newline.enable = false;
}

// Timers count from `started`.
inline std::string text_of(const ActionList& actions, Tick started) {
  std::string out;
  for (const Action& action : actions) {
    if (!out.empty()) out += ", ";
    switch (action.kind) {
      case ActionKind::kLog:
        out += name_of(action.log);
        break;
      case ActionKind::kCount:
        out += fmt::format("+{}", kCounterInfo[static_cast<size_t>(action.counter)].name);
        break;
      case ActionKind::kArm: {
        const char* home = action.home == TimerHome::kEarlyLook   ? "early"
                           : action.home == TimerHome::kGreetWait ? "greet"
                           : action.home == TimerHome::kWheel     ? "wheel"
                                                                  : "linger";
        out += fmt::format("{} at {}", home, action.deadline - started);
        break;
      }
      case ActionKind::kHold:
        out += fmt::format("hold {}", smtp::reply_text(action.reply).substr(0, 9));
        break;
      case ActionKind::kReply:
        out += fmt::format("say {}", smtp::reply_text(action.reply).substr(0, 9));
        break;
      case ActionKind::kRemember:
        out += "remember";
        if (action.visit == VisitEnd::kTalked) out += " talk";
        if (action.visit == VisitEnd::kLeft) out += " leaving";
        break;
      default:
        out += name_of(action.kind);
    }
  }
  return out;
}

}  // namespace lychgate::daemon
