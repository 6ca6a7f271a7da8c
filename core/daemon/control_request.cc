// One small function for each verb that takes words.

#include "core/daemon/control_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace lychgate::daemon {
namespace {

using config::Parsed;

using Words = std::vector<std::string_view>;

tl::unexpected<std::string> wrong(std::string what) {
  return tl::unexpected(std::move(what));
}

Words words_of(std::string_view line) {
  Words out;
  while (!line.empty()) {
    const size_t end = std::min(line.find(' '), line.size());
    if (end > 0) out.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return out;
}

std::optional<uint32_t> number_of(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "name=" taken off the front.
bool take_name(std::string_view& word, std::string_view name) {
  if (!word.starts_with(name) || word.size() == name.size() || word[name.size()] != '=') {
    return false;
  }
  word.remove_prefix(name.size() + 1);
  return true;
}

using Done = Parsed<void>;

Done read_phase(std::string_view name, ControlRequest& request) {
  for (size_t i = 1; i < kPhaseCount; ++i) {
    if (name != kPhaseNames[i] || static_cast<Phase>(i) == Phase::kBackend) continue;
    request.filter.phases = static_cast<uint16_t>(1U << i);
    return {};
  }
  std::vector<std::string_view> names(std::begin(kPhaseNames) + 1, std::end(kPhaseNames));
  std::erase(names, kPhaseNames[static_cast<size_t>(Phase::kBackend)]);
  return wrong(
      fmt::format("no state is called \"{}\", expected one of {}", name, fmt::join(names, ", ")));
}

Done read_network(std::string_view text, ControlRequest& request) {
  const auto network = Network::parse(text);
  if (!network) {
    return wrong(
        fmt::format("\"{}\" is no address or network; expected one such as 192.0.2.1 or "
                    "192.0.2.0/24, host bits 0",
                    text));
  }
  request.filter.network = *network;
  return {};
}

Done read_age(std::string_view text, ControlRequest& request) {
  const auto age = config::parse_duration(text);
  if (!age) return wrong(fmt::format("age \"{}\": {}", text, age.error()));
  // Ticks are compared by distance, and clients stay for hours at the most.
  constexpr milliseconds kAgeMax{24LL * 86400 * 1000};
  if (*age > kAgeMax) return wrong("age: expected at most 24d");
  request.filter.age_min = to_ticks(*age);
  return {};
}

Done read_id(std::string_view text, ControlRequest& request) {
  std::array<std::optional<uint32_t>, 3> numbers;
  for (size_t i = 0; i < numbers.size(); ++i) {
    const size_t end = i + 1 < numbers.size() ? std::min(text.find(':'), text.size()) : text.size();
    numbers[i] = number_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (!numbers[0] || !numbers[1] || !numbers[2]) {
    return wrong("an id is SHARD:SLOT:GENERATION, as `sessions` prints it");
  }
  request.shard = numbers[0];
  request.slot = *numbers[1];
  request.filter.generation = numbers[2];
  return {};
}

Done read_limit(std::string_view text, ControlRequest& request) {
  const auto limit = number_of(text);
  if (!limit || *limit > kSessionsToldMax) {
    return wrong(fmt::format("limit: expected 0 to {}", kSessionsToldMax));
  }
  request.limit = *limit;
  return {};
}

Done read_sessions(const Words& words, ControlRequest& request) {
  request.limit = kSessionsTold;
  for (std::string_view word : words) {
    Done done;
    if (word == "kill") {
      request.kill = true;
    } else if (take_name(word, "state")) {
      done = read_phase(word, request);
    } else if (take_name(word, "address")) {
      done = read_network(word, request);
    } else if (take_name(word, "age")) {
      done = read_age(word, request);
    } else if (take_name(word, "id")) {
      done = read_id(word, request);
    } else if (take_name(word, "limit")) {
      done = read_limit(word, request);
    } else {
      done =
          wrong(fmt::format("sessions: unknown word \"{}\"; expected state=, address=, age=, "
                            "id=, limit= or kill",
                            word));
    }
    if (!done) return done;
  }
  return {};
}

Done read_address(const Words& words, ControlRequest& request) {
  const auto address = words.empty() ? std::nullopt : IpAddress::parse(words[0]);
  if (!address) {
    return wrong(
        fmt::format("\"{}\" is not an IP address; expected one such as 192.0.2.1 or "
                    "2001:db8::1",
                    words.empty() ? "" : words[0]));
  }
  request.address = *address;
  if (words.size() == 1) return {};
  std::string_view rest = words[1];
  const bool takes_time = request.verb == ControlVerb::kAllow || request.verb == ControlVerb::kDeny;
  if (words.size() > 2 || !takes_time || !take_name(rest, "for")) {
    return wrong(fmt::format("unexpected word \"{}\" behind the address", words.back()));
  }
  const auto span = config::parse_duration(rest);
  if (!span) return wrong(fmt::format("for=\"{}\": {}", rest, span.error()));
  constexpr milliseconds kLongest{10LL * 365 * 86400 * 1000};
  if (*span < milliseconds{1000} || *span > kLongest) return wrong("for: expected 1s to 3650d");
  request.duration = *span;
  return {};
}

Done read_pools(const Words& words, ControlRequest& request) {
  if (words.empty()) return {};
  for (size_t i = 0; i < kBackendUseCount; ++i) {
    if (words[0] == kBackendUseNames[i]) request.use = static_cast<BackendUse>(i);
  }
  if (!request.use || words.size() < 2 || words.size() > 3) {
    return wrong(
        "pools: expected nothing, or drain, up or down with the name of a pool and, if only "
        "one backend is meant, the backend as configured or its number");
  }
  request.pool = words[1];
  if (words.size() == 3) request.backend = words[2];
  return {};
}

Done read_program(const Words& words, ControlRequest& request) {
  if (words.empty()) return {};
  if (words.size() > 1 || words[0][0] != '/') {
    return wrong("upgrade: expected nothing, or the absolute path of a program, without spaces");
  }
  request.program = words[0];
  return {};
}

struct VerbRow {
  std::string_view name;
  ControlVerb verb;
  Done (*read)(const Words& words, ControlRequest& request);  // nullptr: takes no words
};
constexpr VerbRow kVerbs[] = {
    {"status", ControlVerb::kStatus, nullptr},
    {"lists", ControlVerb::kLists, nullptr},
    {"figures", ControlVerb::kFigures, nullptr},
    {"sessions", ControlVerb::kSessions, read_sessions},
    {"remembered", ControlVerb::kRemembered, read_address},
    {"allow", ControlVerb::kAllow, read_address},
    {"deny", ControlVerb::kDeny, read_address},
    {"forget", ControlVerb::kForget, read_address},
    {"pools", ControlVerb::kPools, read_pools},
    {"reload", ControlVerb::kReload, nullptr},
    {"upgrade", ControlVerb::kUpgrade, read_program},
    {"stop", ControlVerb::kStop, nullptr},
};

Parsed<ControlRequest> unknown_verb(std::string_view word) {
  std::vector<std::string_view> names;
  for (const VerbRow& row : kVerbs) names.push_back(row.name);
  return wrong(
      fmt::format("unknown request \"{}\"; expected one of {}", word, fmt::join(names, ", ")));
}

}  // namespace

bool ControlRequest::changes() const {
  switch (verb) {
    case ControlVerb::kStatus:
    case ControlVerb::kLists:
    case ControlVerb::kFigures:
    case ControlVerb::kRemembered:
      return false;
    case ControlVerb::kSessions:
      return kill;
    case ControlVerb::kPools:
      return use.has_value();
    case ControlVerb::kAllow:
    case ControlVerb::kDeny:
    case ControlVerb::kForget:
    case ControlVerb::kReload:
    case ControlVerb::kUpgrade:
    case ControlVerb::kStop:
      return true;
  }
  return true;
}

Parsed<ControlRequest> parse_control_request(std::string_view line) {
  // So that an error may repeat what it is about.
  const bool printable = std::all_of(line.begin(), line.end(), [](char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  });
  if (!printable)
    return wrong("a request is a line of printable ASCII without quotes or backslash");
  Words words = words_of(line);
  if (words.empty()) return wrong("the request is empty");
  const auto row = std::find_if(std::begin(kVerbs), std::end(kVerbs),
                                [&](const VerbRow& one) { return one.name == words[0]; });
  if (row == std::end(kVerbs)) return unknown_verb(words[0]);
  ControlRequest request;
  request.verb = row->verb;
  words.erase(words.begin());
  if (!words.empty() && words[0] == "json") {
    request.json = true;
    words.erase(words.begin());
  }
  if (row->read == nullptr) {
    if (words.empty()) return request;
    return wrong(fmt::format("unexpected word \"{}\" behind {}", words[0], row->name));
  }
  if (auto done = row->read(words, request); !done) return tl::unexpected(std::move(done.error()));
  return request;
}

}  // namespace lychgate::daemon
