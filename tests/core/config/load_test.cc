// The reader against a real folder: order of the drop-ins, files that are missing or unreadable,
// and the exit code each failure deserves.

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include <gtest/gtest.h>

#include "core/config/reader.h"
#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

namespace fs = std::filesystem;

class Load : public testing::Test {
 protected:
  Load() {
    std::string pattern = testing::TempDir() + "lychgate-config-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~Load() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }

  fs::path folder_;
};

TEST_F(Load, WithoutAPathTheDefaultsStand) {
  const auto loaded = load("", {});
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config->listens[0].name, "127.0.0.1:2525");
  EXPECT_TRUE(loaded->origins.empty());
}

TEST_F(Load, DropInsFollowTheFileInTheOrderOfTheirNames) {
  const std::string main = write("gate.toml", "shards = 1\ndrain = \"1s\"\nuser = \"main\"\n");
  write("conf.d/20-b.toml", "shards = 3\n");
  const std::string first = write("conf.d/10-a.toml", "shards = 2\ndrain = \"2s\"\n");
  write("conf.d/.#30-c.toml", "an editor's lock file\n");
  write("conf.d/40-d.toml~", "an editor's copy\n");
  const auto loaded = load(main, {});
  ASSERT_TRUE(loaded) << joined(loaded.error().problems);
  EXPECT_EQ(loaded->config->shards, 3u);
  EXPECT_EQ(loaded->config->drain, milliseconds(2000));
  EXPECT_EQ(loaded->origins.at("drain"), first + ":2");
  EXPECT_EQ(loaded->origins.at("user"), main + ":3");
}

TEST_F(Load, AFileAloneNeedsNoDropIns) {
  const auto loaded = load(write("gate.toml", "shards = 1\n"), {});
  ASSERT_TRUE(loaded) << joined(loaded.error().problems);
  EXPECT_EQ(loaded->config->shards, 1u);
}

TEST_F(Load, AWrongFileIsAConfigurationError) {
  const std::string main = write("gate.toml", "shards = 1\n");
  const std::string drop_in = write("conf.d/a.toml", "\nshards = -1\n");
  const auto loaded = load(main, {});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ExitCode::kConfig);
  EXPECT_EQ(joined(loaded.error().problems),
            drop_in + ":2:10: shards: is -1, expected 0 to 64 processes\n");
}

TEST_F(Load, WhatCannotBeReadIsNamedWithItsCause) {
  struct Row {
    const char* what;
    std::string path;
    const char* want;
  };
  // A dangling link stands for a file that cannot be opened: root may read whatever its mode.
  write("dangling/gate.toml", "");
  fs::create_directories(folder_ / "dangling/conf.d");
  fs::create_symlink("nowhere", folder_ / "dangling/conf.d/a.toml");
  write("loose/gate.toml", "");
  write("loose/conf.d", "a file");
  const Row rows[] = {
      {"a file that is not there", folder_ / "missing.toml", "No such file or directory"},
      {"a folder", folder_, "Is a directory"},
      {"a device without an end", "/dev/zero", "larger than 1 MiB"},
      {"a drop-in that leads nowhere", folder_ / "dangling/gate.toml", "No such file"},
      {"a conf.d that is no folder", folder_ / "loose/gate.toml", "Not a directory"},
  };
  for (const Row& row : rows) {
    const auto loaded = load(row.path, {});
    ASSERT_FALSE(loaded) << row.what;
    EXPECT_EQ(loaded.error().code, ExitCode::kNoInput) << row.what;
    const std::string got = joined(loaded.error().problems);
    EXPECT_NE(got.find(row.want), std::string::npos) << row.what << ": " << got;
    EXPECT_EQ(std::count(got.begin(), got.end(), '\n'), 1) << row.what << ": " << got;
  }
}

TEST(Config, EqualsOneThatBehavesTheSame) {
  const std::string gate =
      "shards = 2\n[access]\nfile = \"/a\"\n[dnsl]\nsites = [\"a.example=127.0.0.2*3\"]\n"
      "[[pool]]\nname = \"p\"\nbackends = [\"pass:/run/p\"]\n"
      "[[route]]\npool = \"p\"\nwhen.networks = [\"192.0.2.0/24\"]\n";
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = gate;
    return text.replace(text.find(from), from.size(), to);
  };
  const struct {
    const char* what;
    std::string text;
    bool equal;
  } rows[] = {
      {"the same text", gate, true},
      {"a comment more", gate + "# quiet\n", true},
      {"a default spelled out", gate + "[greet]\nwait = \"6s\"\n", true},
      {"a scalar", changed("shards = 2", "shards = 3"), false},
      {"a file's name", changed("/a", "/b"), false},
      {"the code that a site means", changed("127.0.0.2", "127.0.0.3"), false},
      {"where a backend is", changed("/run/p", "/run/q"), false},
      {"how a backend is reached", changed("pass:", "unix:"), false},
      {"a network of a condition", changed("/24", "/25"), false},
      {"a pool more", gate + "[[pool]]\nname = \"q\"\nbackends = [\"pass:/run/q\"]\n", false},
  };
  const auto first = parse_texts({gate});
  ASSERT_TRUE(first) << joined(first.error());
  for (const auto& row : rows) {
    const auto second = parse_texts({row.text});
    ASSERT_TRUE(second) << row.what << ": " << joined(second.error());
    EXPECT_EQ(*first->config == *second->config, row.equal) << row.what;
  }
}

}  // namespace
}  // namespace lychgate::config
