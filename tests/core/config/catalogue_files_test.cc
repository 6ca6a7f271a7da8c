// Where the catalogue comes from, against a real folder.

#include "core/config/catalogue_files.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "tests/core/config/support.h"

namespace lychgate::config {
namespace {

namespace fs = std::filesystem;

std::string list(const std::string& zone, const std::string& reply_name) {
  return "[[list]]\nzone = \"" + zone + "\"\nreply_name = \"" + reply_name +
         "\"\ncodes = [{code = \"127.0.0.2\", is = \"listed\", weight = 3}]\n";
}
const std::string kBuiltin = list("a.example", "builtin") + list("b.example", "builtin");

class CatalogueFiles : public testing::Test {
 protected:
  CatalogueFiles() {
    std::string pattern = testing::TempDir() + "lychgate-catalogue-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~CatalogueFiles() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
    return path;
  }
  std::string config() const { return folder_ / "gate.toml"; }

  fs::path folder_;
};

TEST_F(CatalogueFiles, TheBuiltInOneStandsAlone) {
  for (const std::string& path : {std::string(), config()}) {
    const auto catalogue = load_catalogue(kBuiltin, {}, path);
    ASSERT_TRUE(catalogue) << joined(catalogue.error().problems);
    EXPECT_EQ(catalogue->lists.size(), 2u);
  }
}

TEST_F(CatalogueFiles, DropInsReplaceAndAddInTheOrderOfTheirNames) {
  write("catalogue.d/20-b.toml", list("a.example", "later"));
  write("catalogue.d/10-a.toml", list("a.example", "earlier") + list("c.example", "added"));
  write("catalogue.d/30-c.toml~", "an editor's copy\n");
  const auto catalogue = load_catalogue(kBuiltin, {}, config());
  ASSERT_TRUE(catalogue) << joined(catalogue.error().problems);
  EXPECT_EQ(catalogue->find("a.example")->reply_name, "later");
  EXPECT_EQ(catalogue->find("b.example")->reply_name, "builtin");
  EXPECT_EQ(catalogue->find("c.example")->reply_name, "added");
}

TEST_F(CatalogueFiles, AFileStandsInPlaceOfTheBuiltInOne) {
  Dnsl dnsl;
  dnsl.catalogue = write("mine.toml", list("m.example", "mine"));
  write("catalogue.d/a.toml", list("c.example", "added"));
  const auto catalogue = load_catalogue(kBuiltin, dnsl, config());
  ASSERT_TRUE(catalogue) << joined(catalogue.error().problems);
  EXPECT_EQ(catalogue->find("a.example"), nullptr);
  EXPECT_NE(catalogue->find("m.example"), nullptr);
  EXPECT_NE(catalogue->find("c.example"), nullptr);
}

TEST_F(CatalogueFiles, WhatIsWrongNamesItsFile) {
  Dnsl dnsl;
  dnsl.catalogue = folder_ / "missing.toml";
  auto catalogue = load_catalogue(kBuiltin, dnsl, config());
  ASSERT_FALSE(catalogue);
  EXPECT_EQ(catalogue.error().code, ExitCode::kNoInput);
  EXPECT_EQ(catalogue.error().problems.at(0).place, dnsl.catalogue);

  const std::string wrong = write("catalogue.d/a.toml", "[[list]]\nzone = 1\n");
  catalogue = load_catalogue(kBuiltin, {}, config());
  ASSERT_FALSE(catalogue);
  EXPECT_EQ(catalogue.error().code, ExitCode::kConfig);
  EXPECT_EQ(joined(catalogue.error().problems),
            wrong + ":2:8: found the integer 1, expected zone: the name of a list\n");

  catalogue = load_catalogue("date = 1", {}, "");
  ASSERT_FALSE(catalogue);
  EXPECT_EQ(catalogue.error().problems.at(0).place, "built-in catalogue:1:8");
}

}  // namespace
}  // namespace lychgate::config
