// One table of options per group, in the order of --help.

#include "bench/flood/options.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "bench/flood/help.h"
#include "core/base/result.h"

namespace lychgate::flood {
namespace {

// Checked first, so that the reader finds only what can be parsed.
template <typename Value, typename Place>
CLI::Option* add_word(CLI::App& app, const char* names, Place& place, const char* help,
                      Parsed<Value> (*parse)(std::string_view)) {
  return app
      .add_option_function<std::string>(
          names, [&place, parse](const std::string& text) { place = *parse(text); }, help)
      ->check([parse](const std::string& text) {
        const auto value = parse(text);
        return value ? std::string() : value.error();
      });
}

// It goes into an SMTP command as it is.
std::string object_to_mail_word(const std::string& text) {
  const bool plain = std::all_of(
      text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f && c != '<' && c != '>'; });
  if (plain && text.size() <= 254) return "";
  return "expected at most 254 printable ASCII characters without spaces and angle brackets";
}

std::string object_to_needed_word(const std::string& text) {
  return text.empty() ? "must not be empty" : object_to_mail_word(text);
}

template <typename Number>
CLI::Option* add_number(CLI::App& app, const char* names, Number& number, const char* help,
                        uint64_t most) {
  return app.add_option(names, number, help)
      ->check(CLI::Range(uint64_t{1}, most).description(""))
      ->type_name("N");
}

void add_who(CLI::App& app, Options& options) {
  app.add_option("TARGET", options.targets, "whom to flood; all with the same port")
      ->required()
      ->type_name("");
  const auto group = [](CLI::Option* option) { option->group("Who"); };
  auto* profile = add_word(app, "--profile", options.manners.profile,
                           "manners of all clients (default zombie)", parse_profile);
  profile->type_name("NAME");
  group(profile);
  group(app.add_option("--mix", options.mix_file, "manners by weight, from a TOML file")
            ->excludes(profile)
            ->type_name("FILE"));
  group(app.add_option("--sources", options.sources,
                       "each client from the next address of this network; may be repeated; none: "
                       "the kernel chooses (default for IPv4 loopback: 127.64.0.0/10)")
            ->allow_extra_args(false)
            ->type_name("NETWORK"));
  group(app.add_option("--i-own", options.owned,
                       "flood this TARGET although it is another machine's: I answer for it; the "
                       "same text as the TARGET; may be repeated")
            ->allow_extra_args(false)
            ->type_name("TARGET"));
}

void add_how_many(CLI::App& app, Options& options) {
  const auto group = [](CLI::Option* option) { option->group("How many, how fast"); };
  group(add_number(app, "-n,--count", options.count,
                   "clients in all (default 1000, or what --duration leaves room for)",
                   kConnectionsMax));
  // Larger numbers than the flood is made for are a matter of preflight, which has better advice.
  group(add_number(app, "-p,--parallel", options.parallel,
                   "clients open at once, at most (default: all that hold, else 1000)",
                   UINT32_MAX));
  auto* rate = add_word(app, "-r,--rate", options.rate,
                        "open loop: arrivals a second, however slow the server is (default: closed "
                        "loop, each client that ends is followed by the next)",
                        parse_rate);
  group(rate->type_name("R"));
  auto* ramp = add_word(app, "--ramp", options.ramp,
                        "open loop: the rate goes from FROM to TO in TIME, then stays", parse_ramp);
  group(ramp->type_name("FROM:TO:TIME")->excludes(rate));
  group(add_word(app, "--storm", options.storm,
                 "on top of --rate or --ramp: each EVERY the rate is RATE for FOR", parse_storm)
            ->type_name("RATE:EVERY:FOR"));
  group(add_word(app, "-d,--duration", options.duration,
                 "no client starts after this (default 60s, at most 24h)", parse_span)
            ->type_name("TIME"));
  group(add_word(app, "--grace", options.grace,
                 "whoever is still open this long after --duration is reset (default: the longest "
                 "hold or timeout and 5s, at least 30s)",
                 parse_span)
            ->type_name("TIME"));
}

void add_manners(CLI::App& app, Options& options) {
  const auto group = [](CLI::Option* option) { option->group("Manners"); };
  Manners& manners = options.manners;
  group(add_word(app, "--hold", manners.hold,
                 "zombie, early, drip and never-reads stay this long (default 10s)", parse_span)
            ->type_name("TIME"));
  group(add_word(app, "--timeout", manners.timeout,
                 "early, bot and legit wait this long for a reply (default 30s)", parse_span)
            ->type_name("TIME"));
  group(add_word(app, "--size", manners.message_bytes,
                 "bot and legit: size of the message (default 4k, at most 64M)", parse_size)
            ->type_name("BYTES[k|M]"));
  Plan& said = options.said;
  group(app.add_option("--from", said.mail_from,
                       "sender; \"\" is the null sender (default flood@example.org)")
            ->check(object_to_mail_word)
            ->type_name("ADDRESS"));
  group(app.add_option("--to", said.rcpt_to, "recipient (default postmaster@localhost)")
            ->check(object_to_needed_word)
            ->type_name("ADDRESS"));
  group(app.add_option("--ehlo,--helo", said.ehlo, "name given with EHLO (default flood.example)")
            ->check(object_to_needed_word)
            ->type_name("NAME"));
}

void add_machine(CLI::App& app, Options& options) {
  const auto group = [](CLI::Option* option) { option->group("Machine"); };
  Plan& said = options.said;
  group(add_number(app, "--per-ring", said.per_ring,
                   "sockets of each ring (default 20000, or the descriptor limit)", 1U << 20));
  group(app.add_option("--cpu", said.cpu, "run on this core alone")
            ->check(CLI::Range(0U, 65535U).description(""))
            ->type_name("N"));
  group(app.add_option("--seed", said.seed, "of the order in which a mix arrives (default 1)")
            ->type_name("N"));
  group(app.add_flag("--dry-run", options.dry_run,
                     "print the plan and what the machine can carry, start nothing"));
}

void add_output(CLI::App& app, Options& options) {
  const auto group = [](CLI::Option* option) { option->group("Output"); };
  Output& output = options.output;
  group(app.add_option("--json", output.json,
                       "write the result as one JSON object; -: standard "
                       "output (the table then goes to standard error)")
            ->type_name("FILE|-"));
  group(app.add_option("--csv", output.csv, "write the course of the run, one row each --interval")
            ->type_name("FILE|-"));
  group(add_word(app, "--interval", output.interval,
                 "of CSV rows and the live line (default 1s, at least 100ms)", parse_span)
            ->type_name("TIME"));
  group(app.add_flag("-q,--quiet", output.quiet, "no live line, no table"));
}

// What no single option can see.
std::string object_to_combination(const Options& options) {
  const bool open = options.rate || options.ramp;
  if (options.storm && !open) return "--storm needs --rate or --ramp";
  if (options.output.json == "-" && options.output.csv == "-") {
    return "--json and --csv cannot both go to standard output";
  }
  if (options.output.interval < milliseconds(100)) return "--interval: expected 100ms or more";
  const auto& sources = options.sources;
  if (sources.size() > 1 && std::count(sources.begin(), sources.end(), "none") > 0) {
    return "--sources none leaves no room for other --sources";
  }
  return "";
}

tl::unexpected<Farewell> bad_usage(const std::string& text) {
  return tl::unexpected(
      Farewell{static_cast<int>(ExitCode::kUsage), "",
               fmt::format("lychgate-flood: {}\nTry lychgate-flood --help\n", text)});
}

}  // namespace

tl::expected<Options, Farewell> parse_command_line(int argc, const char* const* argv) {
  Options options;
  CLI::App app(kAbout, "lychgate-flood");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("-h,--help", "print this and exit");
  app.set_version_flag("-V,--version", std::string("lychgate-flood ") + LYCHGATE_VERSION,
                       "print the version and exit");
  app.footer(kMore);
  add_who(app, options);
  add_how_many(app, options);
  add_manners(app, options);
  add_machine(app, options);
  add_output(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    // Help and version are no errors.
    if (app.exit(error, out, err) == 0) return tl::unexpected(Farewell{0, out.str(), ""});
    return bad_usage(error.what());
  }
  const std::string objection = object_to_combination(options);
  if (!objection.empty()) return bad_usage(objection);
  return options;
}

}  // namespace lychgate::flood
