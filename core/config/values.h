// The small languages inside configuration strings: durations, backends, log targets, names.
// Text in, value or one sentence for the operator out. No TOML, no files, no name resolution.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/config/config.h"

namespace lychgate::config {

// A value, or what is wrong with the text and what was expected.
template <typename T>
using Parsed = tl::expected<T, std::string>;

// "500ms", "6s", "5m", "1h" or "1d"; a whole number with its unit.
Parsed<milliseconds> parse_duration(std::string_view text);
// The shortest exact form of the same language: 90000 ms is "90s", 60000 ms is "1m".
std::string duration_text(milliseconds span);

// "ignore", "enforce", "defer", "drop" or "hold".
Parsed<Action> parse_action(std::string_view text);
std::string_view action_text(Action action);

// "busy", "stress" or "emergency".
Parsed<OverloadLevel> parse_level(std::string_view text);
std::string_view level_text(OverloadLevel level);

// "gate" or "kernel".
Parsed<Hold> parse_hold(std::string_view text);
std::string_view hold_text(Hold hold);

// "commit", "interval" or "none".
Parsed<Sync> parse_sync(std::string_view text);
std::string_view sync_text(Sync sync);

// "v2", "v1" or "none".
Parsed<ProxyHeader> parse_proxy_header(std::string_view text);
std::string_view proxy_header_text(ProxyHeader header);

// "stderr", "syslog", "journal" or "file:/path"; sets target and file of the answer.
Parsed<Log> parse_log_target(std::string_view text);
std::string log_target_text(const Log& log);

// "192.0.2.1:25" or "[2001:db8::1]:25"; port 0 lets the kernel pick.
Parsed<Endpoint> parse_listen_address(std::string_view text);
std::string endpoint_text(const Endpoint& endpoint);

// "192.0.2.53", "2001:db8::53", or either with a port as in parse_listen_address; without: 53.
Parsed<Endpoint> parse_dns_server(std::string_view text);

// One site, with the column of a mistake in front of it.
Parsed<Site> parse_site_entry(std::string_view text);

// "192.0.2.0/24" or a bare address.
Parsed<Network> parse_network(std::string_view text);

// "pass:/path", "unix:/path" or "tcp:address:port", each with an optional "*weight".
Parsed<Backend> parse_backend(std::string_view text);

// What is wrong with a text, if anything.
using Objection = std::optional<std::string>;
// Printable ASCII without space, quote or backslash: safe in a log line and on a command line.
Objection object_to_name(std::string_view text);
// Starts at the root: the gate may run in another directory than the operator's shell.
Objection object_to_path(std::string_view text);
// Octets that RFC 5321 section 4.2 allows in a reply, less the tab.
Objection object_to_banner(std::string_view text);

// One word of ASCII letters, digits and "-_.+", as EHLO keywords and local parts are.
Parsed<std::string> parse_word(std::string_view text);

// A name without a folder: what systemd takes for a credential.
Objection object_to_credential(std::string_view text);

// The text as a TOML basic string, which is JSON's, too; what is no UTF-8 becomes U+FFFD.
std::string toml_quoted(std::string_view text);

}  // namespace lychgate::config
