// The table of keys: one row per setting. Parser, range errors, `show` and the manual follow from
// it, so a new setting is a field in config.h and a row in keys.cc. Parses nothing itself.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/address.h"
#include "core/base/time.h"
#include "core/config/config.h"

namespace lychgate::config {

// What a key's value looks like to the operator.
enum class Type : uint8_t {
  kInteger,
  kDuration,
  kBoolean,
  kAction,
  kHold,
  kSync,
  kProxyHeader,
  kLogTarget,
  kAddress,
  kMetricsAddress,
  kName,
  kPath,
  kBanner,
  kBackends,
  kNetworks,
  kListener,
  kServers,
  kSites,
  kSecretName,
  kCredential,
  kWords,
  kReplyText,
  kLevel,
};

// Inclusive. Integers as they are, durations in ms, strings in bytes, lists in entries.
struct Range {
  int64_t min = 0;
  int64_t max = 0;

  // Both 0: the type alone says what is allowed.
  bool is_given() const { return min != 0 || max != 0; }
};

// Names the field; the index chooses the entry of an array of tables and is ignored elsewhere.
template <typename T>
using FieldOf = T& (*)(Config&, size_t index);
using Field = std::variant<
    FieldOf<uint32_t>, FieldOf<int32_t>, FieldOf<std::optional<int32_t>>, FieldOf<milliseconds>,
    FieldOf<bool>, FieldOf<std::optional<bool>>, FieldOf<std::optional<milliseconds>>,
    FieldOf<Action>, FieldOf<Hold>, FieldOf<Sync>, FieldOf<ProxyHeader>, FieldOf<Log>,
    FieldOf<Endpoint>, FieldOf<std::optional<Endpoint>>, FieldOf<std::string>,
    FieldOf<std::vector<Backend>>, FieldOf<std::vector<Network>>, FieldOf<std::vector<Endpoint>>,
    FieldOf<std::vector<Site>>, FieldOf<std::optional<uint32_t>>, FieldOf<std::vector<std::string>>,
    FieldOf<std::optional<OverloadLevel>>>;

struct Key {
  std::string_view name;  // dotted; "pool[].wait" is `wait` of each [[pool]]
  Type type;
  std::string_view unit;  // of integers: what is counted
  Range range;
  std::string_view standard;  // the default as TOML text, or words in parentheses
  std::string_view sentence;
  Field field;

  bool required() const { return standard == "(required)"; }
  bool has_standard() const { return !standard.starts_with('('); }
  // True where an operator may write a key of a list by mistake: what is wrong there is told with
  // such a key hidden.
  bool may_hold_key() const { return name.starts_with("dnsl.") || name.starts_with("secret[]"); }
  // "greet", "pool[]", or empty for a key at the top of the file.
  std::string_view section() const;
  // What follows the section: "wait", "when.networks".
  std::string_view leaf() const;
};

// A [table], or an [[array of tables]] whose entries can be counted and added.
struct Section {
  std::string_view name;
  std::string_view sentence;
  size_t (*count)(const Config&) = nullptr;  // nullptr: a plain table
  void (*append)(Config&) = nullptr;
};

// In the order of `show` and the manual; the keys of a section stand together.
std::span<const Key> keys();
std::span<const Section> sections();

const Key* find_key(std::string_view name);
const Section* find_section(std::string_view name);
// True for "greet" and "route[].when": some key lies below it.
bool is_table(std::string_view name);
// The key or section spelled most like the name.
std::string nearest_name(std::string_view name);

// "duration", "list of backends", ... for the manual.
std::string_view type_name(Type type);
// "a duration such as \"6s\"", ... for errors.
std::string_view type_example(Type type);
// "0s to 1m", "1 to 64 entries", ...; empty when the row has no range.
std::string range_text(const Key& key);

}  // namespace lychgate::config
