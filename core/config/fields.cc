// One small function per kind of field, chosen by the type the row's accessor points to.

#include "core/config/fields.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/config/values.h"

namespace lychgate::config {
namespace {

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// Reads one value: a set of overloads, one per type of field.
struct FieldReader {
  const Key& key;
  const Node& node;
  const Config& config;  // for names that are looked up
  std::vector<Complaint> complaints;

  void complain(const Node& where, std::string_view what) {
    complaints.push_back({where.at, fmt::format("{}: {}", key.name, what)});
  }

  std::string shown(std::string text) const {
    return key.may_hold_key() ? hide_keys(text) : std::move(text);
  }

  bool is(NodeKind kind) {
    if (node.kind == kind) return true;
    complain(node,
             fmt::format("found {}, expected {}", shown(describe(node)), type_example(key.type)));
    return false;
  }

  bool in_range(int64_t value, std::string_view shown) {
    if (!key.range.is_given() || (key.range.min <= value && value <= key.range.max)) return true;
    complain(node, fmt::format("{}, expected {}", shown, range_text(key)));
    return false;
  }

  // A string in the language of `parse`; `item` is the node itself or an entry of its list.
  template <typename T>
  std::optional<T> value(const Node& item, Parsed<T> (*parse)(std::string_view)) {
    if (item.kind != NodeKind::kString) {
      complain(item, fmt::format("found {}, expected a string: {}", shown(describe(item)),
                                 type_example(key.type)));
      return std::nullopt;
    }
    if (has_control_character(item.text)) {
      complain(item, fmt::format("{} has a control character", shown(toml_quoted(item.text))));
      return std::nullopt;
    }
    Parsed<T> parsed = parse(item.text);
    if (parsed) return std::move(*parsed);
    complain(item, fmt::format("{}: {}", shown(toml_quoted(item.text)), parsed.error()));
    return std::nullopt;
  }

  template <typename T>
  void scalar(T& field, Parsed<T> (*parse)(std::string_view)) {
    if (!is(NodeKind::kString)) return;
    if (auto parsed = value(node, parse)) field = *parsed;
  }

  template <typename T>
  void list(std::vector<T>& field, Parsed<T> (*parse)(std::string_view)) {
    field.clear();
    if (!is(NodeKind::kList)) return;
    const auto entries = static_cast<int64_t>(node.children.size());
    in_range(entries, fmt::format("has {} entries", entries));
    for (const Node& item : node.children) {
      if (auto parsed = value(item, parse)) field.push_back(std::move(*parsed));
    }
  }

  template <typename T>
  void integer(T& field) {
    if (!is(NodeKind::kInteger)) return;
    if (in_range(node.integer, fmt::format("is {}", node.integer))) {
      field = static_cast<T>(node.integer);
    }
  }

  void operator()(uint32_t& field) { integer(field); }
  void operator()(int32_t& field) { integer(field); }
  void operator()(std::optional<int32_t>& field) { integer(field.emplace()); }

  void operator()(std::optional<milliseconds>& field) { (*this)(field.emplace()); }
  void operator()(milliseconds& field) {
    if (node.kind == NodeKind::kInteger) {
      complain(node, fmt::format("found the integer {}, write a unit: \"{}ms\", \"{}s\", m, h or d",
                                 node.integer, node.integer, node.integer));
      return;
    }
    if (!is(NodeKind::kString)) return;
    const auto parsed = value(node, parse_duration);
    if (parsed && in_range(parsed->count(), "is " + node.text)) field = *parsed;
  }

  void operator()(bool& field) {
    if (is(NodeKind::kBoolean)) field = node.boolean;
  }
  void operator()(std::optional<bool>& field) {
    if (is(NodeKind::kBoolean)) field = node.boolean;
  }

  void operator()(Action& field) { scalar(field, parse_action); }
  void operator()(std::optional<OverloadLevel>& field) { scalar(field.emplace(), parse_level); }
  void operator()(std::vector<std::string>& field) { list(field, parse_word); }
  void operator()(Hold& field) { scalar(field, parse_hold); }
  void operator()(Sync& field) { scalar(field, parse_sync); }
  void operator()(ProxyHeader& field) { scalar(field, parse_proxy_header); }
  void operator()(Endpoint& field) { scalar(field, parse_listen_address); }
  void operator()(std::optional<Endpoint>& field) { (*this)(field.emplace()); }
  void operator()(std::vector<Backend>& field) { list(field, parse_backend); }
  void operator()(std::vector<Network>& field) { list(field, parse_network); }
  void operator()(std::vector<Endpoint>& field) { list(field, parse_dns_server); }
  void operator()(std::vector<Site>& field) { list(field, parse_site_entry); }

  void operator()(Log& field) {
    Log parsed;
    const size_t before = complaints.size();
    scalar(parsed, parse_log_target);
    if (complaints.size() != before) return;
    field.target = parsed.target;
    field.file = parsed.file;
  }

  void operator()(std::string& field) {
    if (!is(NodeKind::kString)) return;
    field = node.text;
    const auto bytes = static_cast<int64_t>(field.size());
    if (!in_range(bytes, field.empty() ? "is empty" : fmt::format("is {} bytes long", bytes))) {
      return;
    }
    if (field.empty()) return;
    if (const auto objection = object_to(field)) {
      complain(node, fmt::format("{}: {}", shown(toml_quoted(field)), *objection));
    }
  }

  Objection object_to(std::string_view text) const {
    if (key.type == Type::kBanner || key.type == Type::kReplyText) return object_to_banner(text);
    if (key.type == Type::kPath) return object_to_path(text);
    if (key.type == Type::kSecretName) return object_to_secret_name(text);
    if (key.type == Type::kCredential) return object_to_credential(text);
    return object_to_name(text);
  }

  // A listener by its name.
  void operator()(std::optional<uint32_t>& field) {
    if (!is(NodeKind::kString)) return;
    const auto named = [&](const Listen& listen) { return listen.name == node.text; };
    const auto& all = config.listens;
    const auto first = std::find_if(all.begin(), all.end(), named);
    if (first == all.end()) {
      std::vector<std::string> names;
      names.reserve(all.size());
      for (const Listen& listen : all) names.push_back(toml_quoted(listen.name));
      complain(node, fmt::format("no listener is called {}, expected {}", toml_quoted(node.text),
                                 fmt::join(names, " or ")));
      return;
    }
    if (std::find_if(first + 1, all.end(), named) != all.end()) {
      complain(node, fmt::format("more than one listener is called {}, give them names",
                                 toml_quoted(node.text)));
    }
    field = static_cast<uint32_t>(first - all.begin());
  }
};

// Prints one value; the counterpart of FieldReader.
struct FieldPrinter {
  const Config& config;

  template <typename T, typename Print>
  static std::string list(const std::vector<T>& entries, Print print) {
    if (entries.empty()) return "";
    std::vector<std::string> texts;
    texts.reserve(entries.size());
    for (const T& entry : entries) texts.push_back(toml_quoted(print(entry)));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  }

  std::string operator()(uint32_t field) const { return fmt::format("{}", field); }
  std::string operator()(int32_t field) const { return fmt::format("{}", field); }
  std::string operator()(std::optional<int32_t> field) const {
    return field ? fmt::format("{}", *field) : "";
  }
  std::string operator()(milliseconds field) const { return toml_quoted(duration_text(field)); }
  std::string operator()(std::optional<milliseconds> field) const {
    return field ? toml_quoted(duration_text(*field)) : "";
  }
  std::string operator()(bool field) const { return fmt::format("{}", field); }
  std::string operator()(std::optional<bool> field) const {
    return field ? fmt::format("{}", *field) : "";
  }
  std::string operator()(Action field) const { return toml_quoted(action_text(field)); }
  std::string operator()(std::optional<OverloadLevel> field) const {
    return field ? toml_quoted(level_text(*field)) : "";
  }
  std::string operator()(const std::vector<std::string>& field) const {
    return list(field, [](const std::string& word) { return word; });
  }
  std::string operator()(Hold field) const { return toml_quoted(hold_text(field)); }
  std::string operator()(Sync field) const { return toml_quoted(sync_text(field)); }
  std::string operator()(ProxyHeader field) const { return toml_quoted(proxy_header_text(field)); }
  std::string operator()(const Log& field) const { return toml_quoted(log_target_text(field)); }
  std::string operator()(const Endpoint& field) const { return toml_quoted(endpoint_text(field)); }
  std::string operator()(const std::optional<Endpoint>& field) const {
    return field ? toml_quoted(endpoint_text(*field)) : "";
  }
  std::string operator()(const std::string& field) const { return toml_quoted(field); }
  std::string operator()(const std::vector<Backend>& field) const {
    return list(field, [](const Backend& backend) { return backend.text; });
  }
  std::string operator()(const std::vector<Network>& field) const {
    return list(field, [](const Network& network) { return network.text(); });
  }
  std::string operator()(const std::vector<Endpoint>& field) const {
    return list(field, endpoint_text);
  }
  std::string operator()(const std::vector<Site>& field) const {
    return list(field, [](const Site& site) { return site.text; });
  }
  std::string operator()(std::optional<uint32_t> field) const {
    return field ? toml_quoted(config.listens[*field].name) : "";
  }
};

}  // namespace

std::vector<Complaint> read_field(const Key& key, const Node& node, Config& config, size_t index) {
  FieldReader reader{key, node, config, {}};
  std::visit([&](auto access) { reader(access(config, index)); }, key.field);
  return std::move(reader.complaints);
}

std::string field_text(const Key& key, Config& config, size_t index) {
  const FieldPrinter print{config};
  return std::visit([&](auto access) { return print(access(config, index)); }, key.field);
}

}  // namespace lychgate::config
