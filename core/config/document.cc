// The only includer of toml++: slow to compile, and never asked to throw.

#include "core/config/document.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

// toml++ 3.3 takes `[[[` and `[[=` for a key: that breaks a precondition of its own, which aborts a
// debug build and is undefined in one with NDEBUG. With the check doing nothing in both, the
// parser goes on to its own error for such a key.
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "core/config/values.h"

namespace lychgate::config {
namespace {

// The deepest thing we know is route, its table, when, networks, a network. What lies deeper is
// reported at one of these levels, so it need not be copied (and cannot exhaust the stack).
constexpr int kDepthMax = 8;
// toml++ recurses once for each part of a dotted key and bounds everything but that: a line of
// 200 kB overflows its stack. Nothing an operator writes by hand is longer than this.
constexpr size_t kLineBytesMax = 16384;

Position position(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

std::string other_kind(toml::node_type type) {
  switch (type) {
    case toml::node_type::floating_point:
      return "a floating-point number";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time of day";
    case toml::node_type::date_time:
      return "a date and time";
    case toml::node_type::none:
    case toml::node_type::table:
    case toml::node_type::array:
    case toml::node_type::string:
    case toml::node_type::integer:
    case toml::node_type::boolean:
      break;
  }
  return "another kind of value";
}

Node convert(const toml::node& from, int depth) {
  Node node;
  node.at = node.key_at = position(from.source());
  if (const auto* table = from.as_table()) {
    node.kind = NodeKind::kTable;
    if (depth == kDepthMax) return node;
    for (const auto& [key, value] : *table) {
      Node& child = node.children.emplace_back(convert(value, depth + 1));
      child.key = key.str();
      child.key_at = position(key.source());
    }
  } else if (const auto* list = from.as_array()) {
    node.kind = NodeKind::kList;
    if (depth == kDepthMax) return node;
    for (const auto& value : *list) node.children.push_back(convert(value, depth + 1));
  } else if (const auto* text = from.as_string()) {
    node.kind = NodeKind::kString;
    node.text = text->get();
  } else if (const auto* integer = from.as_integer()) {
    node.kind = NodeKind::kInteger;
    node.integer = integer->get();
  } else if (const auto* boolean = from.as_boolean()) {
    node.kind = NodeKind::kBoolean;
    node.boolean = boolean->get();
  } else {
    node.kind = NodeKind::kOther;
    node.text = other_kind(from.type());
  }
  return node;
}

// The first line that is too long, if any.
std::optional<uint32_t> overlong_line(std::string_view text) {
  for (uint32_t line = 1; !text.empty(); ++line) {
    const size_t length = std::min(text.find('\n'), text.size());
    if (length > kLineBytesMax) return line;
    text.remove_prefix(std::min(length + 1, text.size()));
  }
  return std::nullopt;
}

tl::unexpected<Complaint> refuse(Position at, std::string text) {
  return tl::unexpected<Complaint>(Complaint{at, std::move(text)});
}

}  // namespace

tl::expected<Node, Complaint> parse_document(std::string_view text) {
  if (const auto line = overlong_line(text)) {
    return refuse({*line, 1}, fmt::format("line longer than {} bytes, expected shorter ones: a "
                                          "list may go on in the next line",
                                          kLineBytesMax));
  }
  const toml::parse_result result = toml::parse(text);
  if (result) return convert(result.table(), 0);
  const toml::parse_error& error = result.error();
  return refuse(position(error.source()), fmt::format("not valid TOML: {}", error.description()));
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case NodeKind::kBoolean:
      return fmt::format("the boolean {}", node.boolean);
    case NodeKind::kInteger:
      return fmt::format("the integer {}", node.integer);
    case NodeKind::kString:
      return fmt::format("the string {}", toml_quoted(node.text));
    case NodeKind::kList:
      return "a list";
    case NodeKind::kTable:
      return "a table";
    case NodeKind::kOther:
      return node.text;
  }
  return "";
}

}  // namespace lychgate::config
