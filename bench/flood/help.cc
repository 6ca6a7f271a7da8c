// Every line at most 100 columns wide.

#include "bench/flood/help.h"

#include <fmt/format.h>

#include "bench/flood/wrap.h"

namespace lychgate::flood {
namespace {

constexpr size_t kNameColumns = 30;

}  // namespace

const char kAbout[] =
    "Floods an SMTP server with clients of many manners, and reports what became of each.\n"
    "Only loopback and addresses of this machine are flooded; others need --i-own.";

const char kMore[] =
    R"(TARGET is ADDRESS:PORT, [IPV6]:PORT or NETWORK:PORT, whose addresses are taken in turn.
TIME is 500ms, 30s, 5m or 2h; a bare number is seconds.

Profiles:
  zombie       connects, reads a line if one comes, says nothing for --hold
  early        talks before it was greeted
  bot          waits for the whole greeting, then sends a whole message in one piece
  drip         sends one byte of EHLO each second
  never-reads  talks and never reads a byte
  reset        connects and resets (RST)
  hangup       connects and closes (FIN)
  legit        a whole SMTP transaction, every reply checked

A mix file has a table for each profile that takes part:
  [zombie]
  weight = 8          # its part of the arrivals, required
  hold = "60s"        # and timeout, size: otherwise those of the command line
  [legit]
  weight = 1

Examples:
  lychgate-flood 127.0.0.1:2525                          # 1,000 zombies, each held for 10 s
  lychgate-flood --count 100000 --hold 60s 127.1.0.0/22:2525
  lychgate-flood --profile legit --count 500 --parallel 20 --to me@example.org 127.0.0.1:25
  lychgate-flood --rate 500 --storm 5000:20s:2s --duration 2m 127.0.0.1:2525
  lychgate-flood --mix monday.toml --rate 800 --json result.json --csv course.csv 127.0.0.1:2525

Exit codes:
  0         all as it should be
  1         a legit client was not served, or nobody could connect
  64        bad command line
  66, 78    the mix file cannot be read, is wrong
  69        this machine cannot carry the flood; which limit and what would do is told
  73        an output file cannot be made
  77        the target is not this machine's
  130, 143  stopped by SIGINT, SIGTERM; the report is printed all the same)";

std::string HelpFormatter::make_usage(const CLI::App* /*app*/, std::string /*name*/) const {
  return "Usage: lychgate-flood [OPTIONS] TARGET...\n";
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string name = is_positional ? "TARGET..." : option->get_name(false, true);
  if (!is_positional && !option->get_type_name().empty()) name += " " + option->get_type_name();
  name = fmt::format("  {:<{}}", name, kNameColumns - 2);
  if (name.size() > kNameColumns) name += "\n" + std::string(kNameColumns, ' ');
  return wrapped_words(name, kNameColumns, option->get_description());
}

}  // namespace lychgate::flood
