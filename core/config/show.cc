// Both printers walk the rows in their order and add no knowledge of single keys.

#include "core/config/show.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/config/fields.h"
#include "core/config/keys.h"

namespace lychgate::config {
namespace {

constexpr std::string_view kManualTop =
    R"(<!-- Generated from core/config/keys.cc: LYCHGATE_UPDATE_DOCS=1 core_config_test -->
# Configuration

One TOML file, `/etc/lychgate/lychgate.toml` unless `--config` names another, then the files
`conf.d/*.toml` next to it in the order of their names. A later file overrides single values;
`[[listen]]`, `[[secret]]`, `[[pool]]` and `[[route]]` entries add up. With no file at all the gate
listens on 127.0.0.1:2525 with the defaults below. `lychgate check` reports all errors at once,
`lychgate show` prints the effective configuration and where each value comes from.

- A *duration* is a string with its unit: `"500ms"`, `"6s"`, `"5m"`, `"1h"`, `"1d"`.
- A *backend* is `"pass:/path"` (a Postfix `pass` service), `"unix:/path"` or `"tcp:ADDRESS:PORT"`
  (`"tcp:[IPv6]:PORT"`), each with an optional weight of 1 to 1000: `"tcp:192.0.2.7:25*3"`.
  Addresses are literals; names are not looked up.
- A *site* is `"DOMAIN=PATTERN*WEIGHT"` as in postscreen, pattern and weight optional:
  `"zen.spamhaus.org=127.0.0.[2..11]*8"`; see [dnsl.md](dnsl.md#sites).
- An *action* is `"ignore"` (counted and logged, the client goes on), `"enforce"` (refused with 550
  at RCPT), `"defer"` (the same with 450, and let on when it comes back later), `"drop"` (521 and
  closed) or `"hold"` (the tarpit).
)";

class Show {
 public:
  Show(const Config& config, const Origins& origins) : config_(config), origins_(origins) {}

  std::string run() {
    entry("", "", 0);
    for (const Section& section : sections()) {
      if (section.count == nullptr) {
        out_ += fmt::format("\n[{}]\n", section.name);
        entry(section.name, section.name, 0);
        continue;
      }
      const std::string_view name = section.name.substr(0, section.name.size() - 2);
      for (size_t i = 0; i < section.count(config_); ++i) {
        const std::string path = fmt::format("{}[{}]", name, i);
        out_ += '\n';
        line(fmt::format("[[{}]]", name), path);
        entry(section.name, path, i);
      }
    }
    return std::move(out_);
  }

 private:
  // The lines of one table, or of one entry of an array of tables.
  void entry(std::string_view section, std::string_view path, size_t index) {
    for (const Key& key : keys()) {
      if (key.section() != section) continue;
      const std::string value = field_text(key, config_, index);
      if (value.empty()) continue;
      line(fmt::format("{} = {}", key.leaf(), value),
           section.empty() ? std::string(key.name) : fmt::format("{}.{}", path, key.leaf()));
    }
  }

  void line(std::string_view text, const std::string& path) {
    const auto origin = origins_.find(path);
    out_ +=
        fmt::format("{:<40} # {}\n", text, origin == origins_.end() ? "default" : origin->second);
  }

  Config config_;  // a copy, because the rows' accessors hand out references
  const Origins& origins_;
  std::string out_;
};

std::string manual_default(const Key& key) {
  if (key.required()) return "required";
  if (key.has_standard()) return fmt::format("default: `{}`", key.standard);
  return fmt::format("default: {}", key.standard.substr(1, key.standard.size() - 2));
}

void manual_entries(std::string& out, std::string_view section) {
  for (const Key& key : keys()) {
    if (key.section() != section) continue;
    const std::string range = range_text(key);
    out += fmt::format("\n### `{}`\n\n{}{}{}; {}\n\n{}\n", key.name, type_name(key.type),
                       range.empty() ? "" : ", ", range, manual_default(key), key.sentence);
  }
}

}  // namespace

std::string render(const Config& config, const Origins& origins) {
  return Show(config, origins).run();
}

std::string render_manual() {
  std::string out(kManualTop);
  out += "\n## Top of the file\n";
  manual_entries(out, "");
  for (const Section& section : sections()) {
    const std::string_view name = section.name.substr(0, section.name.find('['));
    out += section.count ? fmt::format("\n## `[[{}]]`", name) : fmt::format("\n## `[{}]`", name);
    out += fmt::format("\n\n{}\n", section.sentence);
    manual_entries(out, section.name);
  }
  return out;
}

}  // namespace lychgate::config
