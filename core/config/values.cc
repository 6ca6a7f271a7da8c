// Hand-written parsers for configuration strings; each error says what was found and expected.

#include "core/config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include <fmt/format.h>

namespace lychgate::config {
namespace {

constexpr uint32_t kWeightMax = 1000;

struct Unit {
  std::string_view name;
  int64_t factor;  // milliseconds
};
// Longest first, so that duration_text() finds the shortest exact form.
constexpr std::array<Unit, 5> kUnits = {
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

// A word of a fixed list and the value it stands for.
template <typename T>
struct Word {
  std::string_view text;
  T value;
};
constexpr std::array<Word<Action>, 5> kActions = {{{"ignore", Action::kIgnore},
                                                   {"enforce", Action::kEnforce},
                                                   {"defer", Action::kDefer},
                                                   {"drop", Action::kDrop},
                                                   {"hold", Action::kHold}}};
constexpr std::array<Word<OverloadLevel>, 4> kLevels = {{{"normal", OverloadLevel::kNormal},
                                                         {"busy", OverloadLevel::kBusy},
                                                         {"stress", OverloadLevel::kStress},
                                                         {"emergency", OverloadLevel::kEmergency}}};
constexpr std::array<Word<Hold>, 2> kHolds = {{{"gate", Hold::kGate}, {"kernel", Hold::kKernel}}};
constexpr std::array<Word<Sync>, 3> kSyncs = {
    {{"commit", Sync::kCommit}, {"interval", Sync::kInterval}, {"none", Sync::kNone}}};
constexpr std::array<Word<ProxyHeader>, 3> kProxyHeaders = {
    {{"v2", ProxyHeader::kV2}, {"v1", ProxyHeader::kV1}, {"none", ProxyHeader::kNone}}};
constexpr std::array<Word<LogTarget>, 3> kLogTargets = {{{"stderr", LogTarget::kStderr},
                                                         {"syslog", LogTarget::kSyslog},
                                                         {"journal", LogTarget::kJournal}}};

template <typename Words>
auto find_word(const Words& words, std::string_view text) {
  return std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.text == text; });
}

template <typename Words, typename T>
std::string_view word_for(const Words& words, T value) {
  return std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.value == value; })
      ->text;
}

tl::unexpected<std::string> wrong(std::string text) {
  return tl::unexpected<std::string>(std::move(text));
}

// A decimal number that fills the whole text.
std::optional<uint32_t> whole_number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

Parsed<Backend> parse_unix_backend(Backend backend, std::string_view path) {
  if (const auto objection = object_to_path(path)) return wrong(*objection);
  const auto address = SocketAddress::unix_path(path);
  if (!address) return wrong("socket path longer than 107 bytes, which is all the kernel takes");
  backend.address = *address;
  return backend;
}

Parsed<Backend> parse_tcp_backend(Backend backend, std::string_view place) {
  const auto endpoint = Endpoint::parse(place);
  if (!endpoint) {
    return wrong(
        "expected tcp:ADDRESS:PORT or tcp:[IPv6]:PORT with a literal address; "
        "names are not looked up in DNS");
  }
  if (endpoint->port == 0) return wrong("port 0 cannot be connected to, expected 1 to 65535");
  if (endpoint->address.is_unspecified()) {
    return wrong("the unspecified address cannot be connected to, expected a host's address");
  }
  backend.address = SocketAddress::from(*endpoint);
  return backend;
}

}  // namespace

Parsed<milliseconds> parse_duration(std::string_view text) {
  constexpr std::string_view kExpected = "expected a whole number with its unit: ms, s, m, h or d";
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0) return wrong(std::string(kExpected));
  if (digits == text.size()) {
    return wrong(fmt::format("has no unit, write one: \"{}ms\", \"{}s\", m, h or d", text, text));
  }
  const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                 [&](const Unit& u) { return u.name == text.substr(digits); });
  // 32 bits of days are under 2^63 ms, so the product below cannot overflow.
  const auto count = whole_number(text.substr(0, digits));
  if (unit == kUnits.end() || !count) return wrong(std::string(kExpected));
  return milliseconds(*count * unit->factor);
}

std::string duration_text(milliseconds span) {
  if (span.count() == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (span.count() % unit.factor == 0) {
      return fmt::format("{}{}", span.count() / unit.factor, unit.name);
    }
  }
  return fmt::format("{}ms", span.count());
}

Parsed<Action> parse_action(std::string_view text) {
  const auto word = find_word(kActions, text);
  if (word != kActions.end()) return word->value;
  return wrong("expected \"ignore\", \"enforce\", \"defer\", \"drop\" or \"hold\"");
}

std::string_view action_text(Action action) {
  return word_for(kActions, action);
}

Parsed<OverloadLevel> parse_level(std::string_view text) {
  const auto word = find_word(kLevels, text);
  // At "normal" or worse the host always is: a condition that says nothing.
  if (word != kLevels.end() && word->value != OverloadLevel::kNormal) return word->value;
  return wrong("expected \"busy\", \"stress\" or \"emergency\"");
}

std::string_view level_text(OverloadLevel level) {
  return word_for(kLevels, level);
}

Parsed<std::string> parse_word(std::string_view text) {
  const auto fits = [](char c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return letter || (c >= '0' && c <= '9') ||
           std::string_view("-_.+").find(c) != std::string_view::npos;
  };
  if (!text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), fits)) {
    return std::string(text);
  }
  return wrong("expected 1 to 64 letters, digits or any of - _ . +");
}

Parsed<Hold> parse_hold(std::string_view text) {
  const auto word = find_word(kHolds, text);
  if (word == kHolds.end()) return wrong("expected \"gate\" or \"kernel\"");
  return word->value;
}

std::string_view hold_text(Hold hold) {
  return word_for(kHolds, hold);
}

Parsed<Sync> parse_sync(std::string_view text) {
  const auto word = find_word(kSyncs, text);
  if (word == kSyncs.end()) return wrong("expected \"commit\", \"interval\" or \"none\"");
  return word->value;
}

std::string_view sync_text(Sync sync) {
  return word_for(kSyncs, sync);
}

Parsed<ProxyHeader> parse_proxy_header(std::string_view text) {
  const auto word = find_word(kProxyHeaders, text);
  if (word == kProxyHeaders.end()) return wrong("expected \"v2\", \"v1\" or \"none\"");
  return word->value;
}

std::string_view proxy_header_text(ProxyHeader header) {
  return word_for(kProxyHeaders, header);
}

Parsed<Log> parse_log_target(std::string_view text) {
  constexpr std::string_view kFile = "file:";
  Log log;
  if (text.starts_with(kFile)) {
    const std::string_view path = text.substr(kFile.size());
    if (const auto objection = object_to_path(path)) return wrong(*objection);
    log.target = LogTarget::kFile;
    log.file = path;
    return log;
  }
  const auto word = find_word(kLogTargets, text);
  if (word == kLogTargets.end()) {
    return wrong("expected \"stderr\", \"syslog\", \"journal\" or \"file:/path\"");
  }
  log.target = word->value;
  return log;
}

std::string log_target_text(const Log& log) {
  if (log.target == LogTarget::kFile) return "file:" + log.file;
  return std::string(word_for(kLogTargets, log.target));
}

Parsed<Endpoint> parse_listen_address(std::string_view text) {
  if (const auto endpoint = Endpoint::parse(text)) return *endpoint;
  return wrong(
      "expected ADDRESS:PORT or [IPv6]:PORT with a literal address, such as \"0.0.0.0:25\" or "
      "\"[::]:25\"");
}

std::string endpoint_text(const Endpoint& endpoint) {
  const std::string address = endpoint.address.text();
  return endpoint.address.is_v4() ? fmt::format("{}:{}", address, endpoint.port)
                                  : fmt::format("[{}]:{}", address, endpoint.port);
}

Parsed<Endpoint> parse_dns_server(std::string_view text) {
  constexpr uint16_t kDnsPort = 53;
  std::optional<Endpoint> server = Endpoint::parse(text);
  if (const auto address = IpAddress::parse(text)) server = Endpoint{*address, kDnsPort};
  if (!server) {
    return wrong(
        "expected a literal address, with or without a port, such as \"192.0.2.53\" or "
        "\"[2001:db8::53]:5353\"");
  }
  if (server->port == 0) return wrong("port 0 cannot be asked, expected 1 to 65535");
  if (server->address.is_unspecified()) {
    return wrong("the unspecified address cannot be asked, expected a server's address");
  }
  return *server;
}

Parsed<Site> parse_site_entry(std::string_view text) {
  auto site = parse_site(text);
  if (site) return std::move(*site);
  return wrong(fmt::format("column {}: {}", site.error().column, site.error().text));
}

Parsed<Network> parse_network(std::string_view text) {
  if (const auto network = Network::parse(text)) return *network;
  return wrong(
      "expected an address or ADDRESS/PREFIX whose host bits are zero, such as "
      "\"192.0.2.0/24\" or \"2001:db8::/32\"");
}

Parsed<Backend> parse_backend(std::string_view text) {
  Backend backend;
  backend.text = text;
  const size_t star = text.rfind('*');
  if (star != std::string_view::npos) {
    const auto weight = whole_number(text.substr(star + 1));
    if (!weight || *weight < 1 || *weight > kWeightMax) {
      return wrong(fmt::format("expected a weight of 1 to {} after the \"*\"", kWeightMax));
    }
    backend.weight = *weight;
  }
  const std::string_view body = text.substr(0, star);
  const size_t colon = std::min(body.find(':'), body.size());
  const std::string_view scheme = body.substr(0, colon);
  const std::string_view place = body.substr(std::min(colon + 1, body.size()));
  if (scheme == "pass") backend.method = HandoffMethod::kPass;
  if (scheme == "pass" || scheme == "unix") return parse_unix_backend(std::move(backend), place);
  if (scheme == "tcp") return parse_tcp_backend(std::move(backend), place);
  return wrong("expected pass:/path, unix:/path or tcp:ADDRESS:PORT");
}

Objection object_to_name(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\';
  });
  if (plain) return std::nullopt;
  return "expected printable ASCII without spaces, quotes or backslashes";
}

Objection object_to_path(std::string_view text) {
  if (text.starts_with('/')) return std::nullopt;
  return "expected an absolute path, starting with \"/\"";
}

Objection object_to_credential(std::string_view text) {
  if (text.find('/') == std::string_view::npos && text != "." && text != "..") {
    return object_to_name(text);
  }
  return "expected the name of a credential, not a path (a path is the business of `file`)";
}

Objection object_to_banner(std::string_view text) {
  if (text.find_first_of("\r\n") != std::string_view::npos) {
    return "has a line break, expected one line: the gate writes the line end itself";
  }
  const bool printable =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (printable) return std::nullopt;
  return "expected printable ASCII only (RFC 5321 section 4.2)";
}

namespace {

// Bytes of the character that `text` begins with (RFC 3629); 0: it is none. REQUIRES: not empty.
size_t utf8_bytes(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t bytes = lead >= 0xc2 && lead <= 0xdf   ? 2
                       : (lead & 0xf0) == 0xe0        ? 3
                       : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                      : 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xed && byte(1) > 0x9f;
  const bool too_far = lead == 0xf4 && byte(1) > 0x8f;
  return overlong || surrogate || too_far ? 0 : bytes;
}

}  // namespace

std::string toml_quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const auto byte = static_cast<unsigned char>(rest[0]);
    const size_t bytes = utf8_bytes(rest);
    if (bytes == 0) {
      out += "\\ufffd";
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += rest[0];
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += rest.substr(0, bytes);
    }
    at += std::max<size_t>(bytes, 1);
  }
  return out + '"';
}

}  // namespace lychgate::config
