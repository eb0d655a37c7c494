// Corpora by name: public text that Debian packages carry. A recipe fetches its packages once (packages.h)
// and turns their files into documents.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "data/corpus.h"

namespace data {

struct Recipe {
  std::string name, about, licence;
  std::vector<std::string> packages;
  /// Calls visit for each document found below `root`.
  void (*read)(const std::string& root, const std::function<void(Document&&)>& visit);
};

const std::vector<Recipe>& recipes();
/// Null when there is none of this name.
const Recipe* find_recipe(const std::string& name);

/// Splits a novel at its chapter headings ("CHAPTER IV", "Chapter 4", "VOLUME II" goes with the chapter after
/// it).
std::vector<std::string> split_chapters(const std::vector<std::string>& lines);

/// Fetches (or finds in the cache) and reads a recipe.
CorpusSource read_recipe(const Recipe& recipe, const std::string& cache,
                         const std::function<void(Document&&)>& visit);

}  // namespace data
