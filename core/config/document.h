// A TOML text as a plain tree with positions, so that the rest of the folder (and its compile
// time) is free of the TOML library. Knows no key and judges no value.

#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace lychgate::config {

struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
  auto operator<=>(const Position&) const = default;
};

enum class NodeKind : uint8_t { kBoolean, kInteger, kString, kList, kTable, kOther };

struct Node {
  NodeKind kind = NodeKind::kTable;
  Position at;      // of the value
  Position key_at;  // of its key; same as `at` for list items and the root
  std::string key;  // empty for list items and the root
  bool boolean = false;
  int64_t integer = 0;
  std::string text;  // kString: its content; kOther: what it is, such as "a date"
  std::vector<Node> children;
};

// What is wrong at one place of one text.
struct Complaint {
  Position at;
  std::string text;
};

// The root table, or the first syntax error.
tl::expected<Node, Complaint> parse_document(std::string_view text);

// What an operator sees there: `the integer 6`, `the string "6"`, `a list`.
std::string describe(const Node& node);

}  // namespace lychgate::config
