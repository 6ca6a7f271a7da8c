// The state as lines: a key, then its words. Lists have a line for each entry.

#include "core/daemon/gate_state.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/counters.h"
#include "core/config/values.h"

namespace lychgate::daemon {
namespace {

// The lines of a state by their key, in order. Remembers the first thing that is wrong, so that
// reading is a list of fields.
class Lines {
 public:
  explicit Lines(std::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      const size_t space = std::min(line.find(' '), line.size());
      rows_[line.substr(0, space)].push_back(line.substr(std::min(space + 1, line.size())));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  const std::vector<std::string_view>& rows(std::string_view key) { return rows_[key]; }
  std::string_view word(std::string_view key) {
    const auto& rows = rows_[key];
    if (rows.size() != 1) wrong(key);
    return rows.size() == 1 ? rows[0] : std::string_view();
  }
  template <typename T>
  void take(std::string_view key, T& into) {
    std::string_view rest = word(key);
    take_number(key, rest, into);
    if (!rest.empty()) wrong(key);
  }
  // The next word of a row, a number, and the space behind it.
  template <typename T>
  void take_number(std::string_view key, std::string_view& rest, T& into) {
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), into);
    if (error != std::errc()) wrong(key);
    rest.remove_prefix(static_cast<size_t>(end - rest.data()));
    if (rest.starts_with(' ')) rest.remove_prefix(1);
  }
  std::pair<int, int> pair(std::string_view key, std::string_view row) {
    std::pair<int, int> out{-1, -1};
    take_number(key, row, out.first);
    take_number(key, row, out.second);
    if (!row.empty()) wrong(key);
    return out;
  }
  void wrong(std::string_view key) {
    if (wrong_.empty()) wrong_ = key;
  }
  const std::string& first_wrong() const { return wrong_; }

 private:
  std::map<std::string_view, std::vector<std::string_view>> rows_;
  std::string wrong_;
};

std::string_view take_word(std::string_view& rest) {
  const size_t space = std::min(rest.find(' '), rest.size());
  const std::string_view word = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return word;
}

void read_listener(std::string_view row, Lines& in, GateState& out) {
  const auto configured = Endpoint::parse(take_word(row));
  const auto address = Endpoint::parse(take_word(row));
  if (!configured || !address) return in.wrong("listener");
  ListenerGroup group{
      .configured = *configured, .address = *address, .members = {}, .fresh = false};
  for (uint32_t i = 0; i < out.shards; ++i) {
    in.take_number("listener", row, group.members.emplace_back(-1));
  }
  out.listeners.push_back(std::move(group));
}

void read_lists(Lines& in, GateState& out) {
  for (const auto row : in.rows("listener")) read_listener(row, in, out);
  for (const auto row : in.rows("line")) {
    const auto [shard_end, steward_end] = in.pair("line", row);
    out.lines.push_back({shard_end, steward_end});
  }
  for (const auto row : in.rows("feed")) {
    const auto [ring_fd, lost_fd] = in.pair("feed", row);
    out.feeds.push_back({ring_fd, lost_fd});
  }
  for (const auto row : in.rows("shard")) {
    const auto [pid, control_fd] = in.pair("shard", row);
    out.shard_children.push_back({pid, control_fd});
  }
  for (const auto row : in.rows("cell")) out.cells += fmt::format("{}\n", row);
  if (out.listeners.empty() || out.listeners.size() > kListenersMax) in.wrong("listener");
  if (out.lines.size() != size_t{out.shards} * kGenerationsMax) in.wrong("line");
  if (!out.feeds.empty() && out.feeds.size() != out.shards) in.wrong("feed");
  if (out.shard_children.size() != out.shards) in.wrong("shard");
}

}  // namespace

std::string GateState::text() const {
  std::string out = fmt::format("version {}\n", kPeersVersion);
  const auto add = [&out](std::string_view key, const auto& value) {
    out += fmt::format("{} {}\n", key, value);
  };
  add("generation", generation);
  add("set", set);
  add("shards", shards);
  add("steward_asks", steward_asks ? 1 : 0);
  add("drain", drain);
  add("waits", waits);
  add("hold", hold);
  add("user", user);
  add("start_uid", start_uid);
  add("control_path", control_path);
  add("log_target", log_target);
  add("log_fd", log_fd);
  add("log_ident", log_ident);
  add("steward_fd", steward_fd);
  add("notify_fd", notify_fd);
  add("counters_fd", counters_fd);
  add("deferred_before", deferred_before);
  for (const ListenerGroup& group : listeners) {
    add("listener",
        fmt::format("{} {} {}", config::endpoint_text(group.configured),
                    config::endpoint_text(group.address), fmt::join(group.members, " ")));
  }
  for (const StewardLine& line : lines) {
    add("line", fmt::format("{} {}", line.shard_end, line.steward_end));
  }
  for (const SynFeedDoor& feed : feeds) {
    add("feed", fmt::format("{} {}", feed.ring_fd, feed.lost_fd));
  }
  add("steward", fmt::format("{} {}", steward.pid, steward.control_fd));
  for (const ChildState& child : shard_children) {
    add("shard", fmt::format("{} {}", child.pid, child.control_fd));
  }
  for (std::string_view rest = cells; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    add("cell", rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return out;
}

Result<GateState> GateState::parse(std::string_view text) {
  Lines in(text);
  int64_t version = 0;
  in.take("version", version);
  if (version != kPeersVersion) {
    return fail(ExitCode::kUnavailable,
                "the running gate is of a version that this one cannot take over from; restart it");
  }
  GateState out;
  in.take("generation", out.generation);
  in.take("set", out.set);
  in.take("shards", out.shards);
  if (out.set >= kGenerationsMax) in.wrong("set");
  if (out.shards < 1 || out.shards > kShardsMax) in.wrong("shards");
  int asks = 0;
  in.take("steward_asks", asks);
  out.steward_asks = asks != 0;
  in.take("drain", out.drain);
  in.take("waits", out.waits);
  in.take("hold", out.hold);
  out.user = in.word("user");
  in.take("start_uid", out.start_uid);
  out.control_path = in.word("control_path");
  in.take("log_target", out.log_target);
  in.take("log_fd", out.log_fd);
  out.log_ident = in.word("log_ident");
  in.take("steward_fd", out.steward_fd);
  in.take("notify_fd", out.notify_fd);
  in.take("counters_fd", out.counters_fd);
  in.take("deferred_before", out.deferred_before);
  const auto [pid, control_fd] = in.pair("steward", in.word("steward"));
  out.steward = {pid, control_fd};
  if (in.first_wrong().empty()) read_lists(in, out);
  if (in.first_wrong().empty()) return out;
  return fail(ExitCode::kSoftware,
              fmt::format("the running gate's state is unreadable: {}", in.first_wrong()));
}

std::vector<int> GateState::descriptors() const {
  std::vector<int> all{log_fd, steward_fd, notify_fd, counters_fd, steward.control_fd};
  for (const ListenerGroup& group : listeners) {
    all.insert(all.end(), group.members.begin(), group.members.end());
  }
  for (const StewardLine& line : lines) all.insert(all.end(), {line.shard_end, line.steward_end});
  for (const SynFeedDoor& feed : feeds) all.insert(all.end(), {feed.ring_fd, feed.lost_fd});
  for (const ChildState& child : shard_children) all.push_back(child.control_fd);
  // Those of standard input and output are nobody's to close.
  std::erase_if(all, [](int fd) { return fd <= STDERR_FILENO; });
  return all;
}

}  // namespace lychgate::daemon
