// Tables of at most 80 columns, besides the one that `lychgate lists` prints.

#include "bench/demo/report.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <optional>

#include <fmt/format.h>

#include "bench/demo/list_server.h"

namespace lychgate::demo {
namespace {

using Span = Clock::duration;

constexpr uint32_t kFailuresShownMax = 12;
constexpr size_t kTailLines = 10;
constexpr size_t kColumns = 80;
constexpr size_t kProgressIndent = 12;

enum class Ink : uint8_t { kBold, kGreen, kRed };

std::string paint(Ink ink, std::string_view text) {
  static const bool coloured = isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr;
  if (!coloured) return std::string(text);
  constexpr const char* kCodes[] = {"1", "32", "1;31"};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(ink)], text);
}

std::string time_text(Span span) {
  const double ms = std::chrono::duration<double, std::milli>(span).count();
  if (ms < 10) return fmt::format("{:.2f} ms", ms);
  if (ms < 1000) return fmt::format("{:.0f} ms", ms);
  return fmt::format("{:.2f} s", ms / 1000);
}

// The nearest-rank percentile as text; "-" of nothing.
std::string percentile(std::vector<Span> spans, size_t percent) {
  if (spans.empty()) return "-";
  std::sort(spans.begin(), spans.end());
  const size_t rank = (spans.size() * percent + 99) / 100;
  return time_text(spans[std::max<size_t>(rank, 1) - 1]);
}

struct Row {
  uint32_t count = 0;
  uint32_t refused = 0;
  uint32_t friendly = 0;
  uint32_t hostile = 0;
  uint32_t mails = 0;
  std::vector<Span> held;
  std::vector<Span> greeted;
};

void add(Row& row, const Play& play, const Client& client) {
  ++row.count;
  if (client.was_refused()) ++row.refused;
  if (const auto span = client.held_for()) row.held.push_back(*span);
  if (const auto span = client.greeted_after()) row.greeted.push_back(*span);
  const Session* friendly = play.friendly.find(client.source());
  const Session* hostile = play.hostile.find(client.source());
  if (friendly != nullptr) ++row.friendly;
  if (hostile != nullptr) ++row.hostile;
  for (const Session* session : {friendly, hostile}) {
    if (session != nullptr) row.mails += session->dialogue().messages();
  }
}

Row row_of(const Play& play, const Kind& kind) {
  Row row;
  for (const auto& client : play.clients) {
    if (&client->kind() == &kind) add(row, play, *client);
  }
  return row;
}

std::string row_text(const Kind& kind, const Row& row) {
  const std::string held = kind.hold == Hold::kNone ? "not held" : percentile(row.held, 50);
  return fmt::format("  {:<14}{:>8}{:>10}{:>8}{:>9}{:>8}{:>6}{:>9}{:>9}", kind.name, row.count,
                     held, row.refused, row.friendly, row.hostile, row.mails,
                     percentile(row.greeted, 50), percentile(row.greeted, 99));
}

std::string listed_reply(const Client& client) {
  const IpAddress& address = client.source().address;
  return fmt::format("521 5.7.1 Service unavailable; client [{}] blocked using {}; {}",
                     address.text(), kNamedList.zone, reason_for(address));
}

// Empty when the client got what it should.
std::string complaint(const Play& play, const Client& client) {
  if (!client.has_finished()) return "was still waiting at the end";
  if (!client.problem().empty()) return client.problem();
  if (&client.kind() == &kListed && client.heard().back() != listed_reply(client)) {
    return "should have heard " + listed_reply(client);
  }
  const Destination wanted = client.kind().destination;
  for (const Smtpd* server : {&play.friendly, &play.hostile}) {
    const bool should =
        wanted == (server == &play.friendly ? Destination::kFriendly : Destination::kHostile);
    const Session* session = server->find(client.source());
    if ((session != nullptr) != should) {
      return fmt::format("{} seen by the {} server under its address", should ? "was not" : "was",
                         server->name());
    }
    if (session == nullptr || client.kind().manner != Manner::kPolite) continue;
    if (session->dialogue().messages() != 1) return "its message did not arrive once";
    if (session->dialogue().last_message() != client.message()) return "its message was changed";
  }
  return {};
}

std::string heard_text(const Client& client) {
  std::string out;
  for (const std::string& line : client.heard()) {
    out += fmt::format("{}\"{}\"", out.empty() ? "" : ", ", line);
  }
  return out.empty() ? "nothing" : out;
}

// What the clients lived to see, to compare with what the gate says it did.
struct Observed {
  uint64_t answered = 0;
  uint64_t greeted_at_once = 0;
  uint64_t greeted_later = 0;
  uint64_t vouched = 0;  // of these, before the wait was over
  uint64_t refused = 0;
  uint64_t listed = 0;  // of these, by the lists
};

Observed observe(const Clients& clients) {
  Observed out;
  for (const auto& client : clients) {
    if (!client->heard().empty()) ++out.answered;
    if (client->was_refused()) ++out.refused;
    if (client->was_refused() && client->heard().back().starts_with("521 5.7.1")) ++out.listed;
    if (!client->greeted_after()) continue;
    ++(client->was_teased() ? out.greeted_later : out.greeted_at_once);
    if (client->was_teased() && *client->greeted_after() < kGreetWait) ++out.vouched;
  }
  return out;
}

std::string kilobytes(uint64_t bytes) {
  return fmt::format("{} kB", bytes / 1024);
}

double microseconds(std::chrono::nanoseconds span) {
  return std::chrono::duration<double, std::micro>(span).count();
}

}  // namespace

// Not by fmt::print, which throws when nobody reads our output any more; the demo must clean up.
void print_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_line(std::string_view text) {
  print_text(std::string(text) + "\n");
}

void say_progress(Span since_start, std::string_view text) {
  print_line(
      fmt::format("  {:>4.1f} s  {}", std::chrono::duration<double>(since_start).count(), text));
}

void print_wrapped(std::string_view text) {
  const std::string indent(kProgressIndent, ' ');
  while (indent.size() + text.size() > kColumns) {
    const size_t space = text.rfind(' ', kColumns - indent.size());
    if (space == std::string_view::npos) break;
    print_line(indent + std::string(text.substr(0, space)));
    text.remove_prefix(space + 1);
  }
  print_line(indent + std::string(text));
}

void print_introduction(const Smtpd& friendly, const Smtpd& hostile) {
  print_line(
      paint(Ink::kBold, "lychgate-demo: one gate, two mail servers, four DNS lists, many clients"));
  print_line("");
  print_line("The gate stands in front of two small mail servers on this machine. Clients");
  print_line(fmt::format("of 127.{}.x.x are on its access list and go straight to the friendly",
                         kPermittedNetwork));
  print_line(
      fmt::format("server. All others must keep silent for {} s, then talk to the gate, which",
                  kGreetWait.count() / 1000));
  print_line("hands them over to the hostile server at their MAIL; meanwhile four DNS lists are");
  print_line("asked about each. Whoever has 8 points or more is dropped as soon as that is");
  print_line("certain, and -4 or less opens the friendly door.");
  print_line("");
  print_line("  friendly  gets the client's own connection, as a Postfix `pass` service would");
  print_line("            " + friendly.backend());
  print_line("  hostile   talks through the gate, and learns the client from a PROXY header");
  print_line("            " + hostile.backend());
  print_line("");
  for (const DemoList& list : kLists) {
    print_line(fmt::format("  {:<48}{}", list.site, list.says));
  }
  print_line("");
}

void print_table(const Play& play) {
  print_line("");
  print_line(paint(Ink::kBold, "What became of them"));
  print_line("                          held for            sent to             220 heard after");
  print_line("                 clients  (median) refused friendly hostile mails   median      99%");
  for (const Kind& kind : kCast) print_line(row_text(kind, row_of(play, kind)));
}

bool print_lists(const Play& play, const ListsSeen& seen) {
  const Row listed = row_of(play, kListed);
  const Row vouched = row_of(play, kVouched);
  const Row coded = row_of(play, kErrorCoded);
  print_line("");
  print_line(paint(Ink::kBold, "What the DNS lists did"));
  print_line(fmt::format("  {} of {} {} (5 + 3 points) were refused after {}:", listed.refused,
                         listed.count, kListed.plural, percentile(listed.held, 50)));
  for (const auto& client : play.clients) {
    if (&client->kind() != &kListed || client->heard().empty()) continue;
    print_wrapped(client->heard().back());
    break;
  }
  print_line(fmt::format("  {} of {} {} (-5 points) were let through after {}.", vouched.friendly,
                         vouched.count, kVouched.plural, percentile(vouched.held, 50)));
  print_line(fmt::format("  {} answered {} questions about the {} {}", kQuotaList.zone, seen.errors,
                         coded.count, kErrorCoded.plural));
  print_line("  with 127.255.255.254. Its pattern takes that, but an error code never counts:");
  print_line(fmt::format("  {} of them were refused.", coded.refused));
  print_line(fmt::format("  {} questions reached the server of the lists.", seen.questions));
  print_line(
      fmt::format("  `lychgate lists` at the time when {} was disabled:\n", kQuotaList.zone));
  print_text(seen.table);
  const bool good = seen.disabled && seen.back && seen.errors > 0 && !seen.table.empty();
  if (!seen.disabled) print_line(paint(Ink::kRed, "  it was not disabled"));
  if (!seen.back) print_line(paint(Ink::kRed, "  it has not come back"));
  if (seen.errors == 0) print_line(paint(Ink::kRed, "  no error code was given"));
  if (seen.table.empty()) print_line(paint(Ink::kRed, "  `lychgate lists` did not answer"));
  return good;
}

void print_cost(const Holding& holding, const Usage& before, const Usage& after) {
  const auto grown = static_cast<int64_t>(holding.at_all.memory_bytes) -
                     static_cast<int64_t>(holding.at_first.memory_bytes);
  const int64_t more = int64_t{holding.all} - holding.first;
  const auto quiet = holding.after_pause.cpu - holding.at_all.cpu;
  const auto whole = after.cpu - before.cpu;
  print_line("");
  print_line(paint(Ink::kBold, "What it cost the gate"));
  print_line(fmt::format("  memory   both shards: {} with {} silent clients held, {} with {}",
                         kilobytes(holding.at_first.memory_bytes), holding.first,
                         kilobytes(holding.at_all.memory_bytes), holding.all));
  print_line(
      fmt::format("           that is {} bytes more for each; its slot of 64 bytes was there",
                  more == 0 ? 0 : grown / more));
  print_line("           from the start; the kernel's own socket (some 4 kB) is not counted");
  print_line(fmt::format("  CPU      {:.0f} us in {} ms in which it held those {} clients",
                         microseconds(quiet), holding.pause.count(), holding.all));
  print_line(fmt::format("           {:.0f} us for each client of the whole play: accept, ask",
                         microseconds(whole) / kClients));
  print_line("           the lists, wait, look, log, hand-off, relay and close");
}

uint32_t print_agreement(const Play& play, const Status& status) {
  const Observed seen = observe(play.clients);
  const uint64_t friendly = play.friendly.sessions().size();
  const uint64_t hostile = play.hostile.sessions().size();
  const uint64_t passed = friendly + hostile - seen.greeted_at_once;
  struct Line {
    std::string_view what;
    std::string_view section;
    std::string_view name;
    uint64_t ours;
  };
  const Line lines[] = {
      {"clients accepted", "counters", "accepted", seen.answered},
      {"of these on the access list", "counters", "allowlisted", seen.greeted_at_once},
      {"spoke before the greeting", "counters", "pregreet", seen.refused - seen.listed},
      {"8 points or more in the lists", "counters", "dnsl_failed", seen.listed},
      {"-4 points or less", "counters", "dnsl_allow", seen.vouched},
      {"questions without an answer", "counters", "dns_timed_out", 0},
      {"dropped with 521", "counters", "dropped", seen.refused},
      {"greeted, and never said a word", "counters", "command_time_limit",
       seen.greeted_later - passed},
      {"passed every test", "counters", "pass_new", passed},
      {"taken by the friendly server", "friendly", "taken", friendly},
      {"taken by the hostile server", "hostile", "taken", hostile},
      {"handed over in their session", "counters", "handed_over", hostile},
      {"hung up while waiting", "counters", "hangup", 0},
      {"sent away without a server", "counters", "drop_no_backend", 0},
      {"still held at the end", "", "held", 0},
  };
  print_line("");
  print_line(paint(Ink::kBold, "Does `lychgate status` agree?"));
  print_line("                                   status   counted here");
  uint32_t differences = 0;
  for (const Line& line : lines) {
    const uint64_t theirs = status.total(line.section, line.name);
    const bool same = theirs == line.ours;
    differences += same ? 0 : 1;
    print_line(fmt::format("  {:<30}{:>9}{:>15}   {}", line.what, theirs, line.ours,
                           same ? paint(Ink::kGreen, "ok") : paint(Ink::kRed, "DIFFERS")));
  }
  return differences;
}

uint32_t print_failures(const Play& play) {
  uint32_t count = 0;
  for (const auto& client : play.clients) {
    const std::string wrong = complaint(play, *client);
    if (wrong.empty() || ++count > kFailuresShownMax) continue;
    if (count == 1) print_line("\n" + paint(Ink::kRed, "Who did not get what it should"));
    print_line(
        fmt::format("  {} {}: {}", client->kind().name, client->source().bracketed(), wrong));
    print_line("    heard " + heard_text(*client));
  }
  if (count > kFailuresShownMax) {
    print_line(fmt::format("  and {} more", count - kFailuresShownMax));
  }
  return count;
}

void print_tail(const std::string& path) {
  std::deque<std::string> last;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    last.push_back(line);
    if (last.size() > kTailLines) last.pop_front();
  }
  print_line("\n" + paint(Ink::kBold, "The gate's last log lines"));
  for (const std::string& line : last) print_line("  " + line);
}

void print_verdict(bool good, Span took) {
  const double seconds = std::chrono::duration<double>(took).count();
  print_line("");
  print_line(
      good ? paint(Ink::kGreen, fmt::format("All {} clients got what they should", kClients)) +
                 fmt::format(" ({:.1f} s).", seconds)
           : paint(Ink::kRed, "FAILED") + fmt::format(" after {:.1f} s.", seconds));
}

}  // namespace lychgate::demo
