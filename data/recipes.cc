// Read first: recipes.h.
#include "data/recipes.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "data/clean_text.h"
#include "data/kjv_text.h"
#include "data/packages.h"
#include "data/r_data.h"
#include "engine/base/check.h"
#include "engine/base/file.h"
#include "engine/base/folder.h"
#include "engine/base/text.h"

namespace data {
namespace {

using Visit = std::function<void(Document&&)>;
namespace fs = std::filesystem;

/// "CHAPTER" + a roman or decimal number, and nothing else on the line.
bool is_heading(std::string_view line, std::string_view word) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; };
  if (line.size() < word.size() + 2 || line[word.size()] != ' ') return false;
  for (size_t i = 0; i < word.size(); ++i)
    if (lower(line[i]) != word[i]) return false;
  std::string_view number = line.substr(word.size() + 1);
  while (number.ends_with(' ') || number.ends_with('.')) number.remove_suffix(1);
  return !number.empty() && number.find_first_not_of("0123456789IVXLC") == std::string_view::npos;
}

void read_janeausten(const std::string& root, const Visit& visit) {
  for (const auto& novel : read_r_database(root + "/usr/lib/R/site-library/janeaustenr/data/Rdata")) {
    int number = 0;
    for (auto& chapter : split_chapters(novel.values))
      visit({unwrap_paragraphs(chapter), novel.name + ", part " + std::to_string(++number)});
  }
}

/// One document a chapter: its name ("Genesis 1"), then one verse a line.
void read_kjv(const std::string& root, const Visit& visit) {
  const std::string path = root + "/usr/lib/bible.data";
  std::istringstream lines(unpack_kjv(engine::read_file(path, size_t(64) << 20), path));
  std::string line, name;
  std::getline(lines, line);  // the edition
  Document chapter;
  while (std::getline(lines, line)) {
    const size_t colon = line.find(':'), space = line.find(' ');
    const size_t number = line.find_last_not_of("0123456789", colon == line.npos ? colon : colon - 1) + 1;
    const std::string book = kjv_book(line.substr(0, number));
    engine::check(space != line.npos && colon < space && number > 0 && number < colon && !book.empty(), path,
                  ": expected a verse such as \"Ge1:1 In the beginning\", got \"", line, "\"");
    const std::string next = book + " " + line.substr(number, colon - number);
    if (next != name) {
      if (!name.empty()) visit(std::move(chapter));
      name = next;
      chapter = {name + "\n\n", "kjv, " + name};
    }
    chapter.text += line.substr(space + 1) + "\n";
  }
  if (!name.empty()) visit(std::move(chapter));
}

/// Every HTML page below `folder` but indexes and search pages.
void read_pages(const std::string& folder, const Visit& visit) {
  constexpr std::string_view kSkipped[] = {"genindex", "search",    "py-modindex", "contents",
                                           "index",    "bookindex", "opensearch",  "download"};
  for (const auto& file : files_below(folder)) {
    const std::string name = fs::path(file).stem().string();
    const bool skip = std::any_of(std::begin(kSkipped), std::end(kSkipped), [&](std::string_view s) {
      return name == s || name.starts_with(std::string(s) + "-");
    });
    if (file.ends_with(".html") && !skip && file.find("/_") == std::string::npos)
      read_documents(file, {}, visit);
  }
}

/// The one folder below `root`/usr/share/doc that has `html` in it: its name carries a version.
std::string html_folder(const std::string& root) {
  const std::string documents = root + "/usr/share/doc/";
  for (const std::string& name : engine::list_folder(documents)) {
    const std::string html = documents + name + "/html";
    if (engine::is_directory(html) && !engine::is_link(html)) return html;
  }
  engine::fail(root, ": no folder usr/share/doc/*/html in the package");
}

void read_html_package(const std::string& root, const Visit& visit) { read_pages(html_folder(root), visit); }

}  // namespace

const std::vector<Recipe>& recipes() {
  static const std::vector<Recipe> table = {{"janeausten",
                                             "Jane Austen's six novels (4.0 MB, a document a chapter)",
                                             "the novels are in the public domain; the package is MIT",
                                             {"r-cran-janeaustenr"},
                                             read_janeausten},
                                            {"kjv",
                                             "the King James Bible (4.2 MB, a document a chapter)",
                                             "the text is in the public domain (but for a Crown patent in "
                                             "the United Kingdom)",
                                             {"bible-kjv-text"},
                                             read_kjv},
                                            {"postgresql-doc",
                                             "the PostgreSQL manual (6.6 MB, a document a page)",
                                             "PostgreSQL licence",
                                             {"newest:postgresql-doc"},
                                             read_html_package},
                                            {"python-doc",
                                             "the Python manual (9.3 MB, a document a page)",
                                             "PSF licence version 2",
                                             {"newest:python3-doc"},
                                             read_html_package}};
  return table;
}

const Recipe* find_recipe(const std::string& name) {
  for (const auto& recipe : recipes())
    if (recipe.name == name) return &recipe;
  return nullptr;
}

std::vector<std::string> split_chapters(const std::vector<std::string>& lines) {
  std::vector<std::string> out(1);
  bool only_volume = false;  // does the newest document hold no more than a volume's heading?
  for (const auto& line : lines) {
    const bool volume = is_heading(line, "volume"), chapter = is_heading(line, "chapter");
    if ((volume || chapter) && !only_volume && !out.back().empty()) out.emplace_back();
    only_volume = volume || (only_volume && line.empty());
    out.back() += line + "\n";
  }
  return out;
}

CorpusSource read_recipe(const Recipe& recipe, const std::string& cache, const Visit& visit) {
  const UnpackedPackages packages = fetch_packages(recipe.packages, recipe.name, cache);
  recipe.read(packages.root, visit);
  return {recipe.name, recipe.licence, {{"debian_packages", packages.versions}}};
}

}  // namespace data
