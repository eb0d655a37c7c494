// Read first: diagram_book.h.
#include "models/diagram/diagram_book.h"

#include "engine/base/check.h"
#include "models/diagram/diagram.h"
#include "models/size_presets.h"
#include "nn/norm_presets.h"

namespace models {
namespace {

const std::string begin_mark = "<!-- begin: normlab inspect --diagram-book -->\n";
const std::string end_mark = "<!-- end: normlab inspect --diagram-book -->\n";

// GitHub and MkDocs number equal headings differently, so links go to ids of our own.
std::string anchor(const nn::NormPreset& preset) {
  std::string id = "preset-";
  for (char c : preset.name) id += c == '*' ? "-star" : c == '+' ? "-plus-" : std::string(1, c);
  return id;
}

std::string entry(const nn::NormPreset& preset) {
  ModelConfig config = find_size_preset("gpt-125m").config;
  set_norms(config, preset.name);
  config = checked(config);
  std::string text = "<a id=\"" + anchor(preset) + "\"></a>\n\n### `" + preset.name + "`\n\n";
  text += "* " + preset.citation + "\n* `" + preset.formula + "`\n";
  for (const std::string& alias : preset.aliases) text += "* also `" + alias + "`\n";
  if (!preset.init.empty()) text += "* its paper's init: `" + preset.init + "`\n";
  if (!preset.activation.empty()) text += "* activation: `" + preset.activation + "`\n";
  return text + "\n```\n" + print(config.norms) + "\n```\n\n```\n" + diagram_text(make_picture(config)) +
         "```\n\n";
}

}  // namespace

std::string diagram_book() {
  std::vector<std::string> families;
  for (const nn::NormPreset& preset : nn::norm_presets()) {
    bool known = false;
    for (const std::string& family : families) known = known || family == preset.family;
    if (!known) families.push_back(preset.family);
  }
  std::string book = "## Index\n\n";
  for (const std::string& family : families) {
    book += "**" + family + "**\n\n";
    for (const nn::NormPreset& preset : nn::norm_presets())
      if (preset.family == family)
        book += "* [`" + preset.name + "`](#" + anchor(preset) + "): `" + preset.formula + "`\n";
    book += "\n";
  }
  for (const std::string& family : families) {
    book += "## " + family + "\n\n";
    for (const nn::NormPreset& preset : nn::norm_presets())
      if (preset.family == family) book += entry(preset);
  }
  return book;
}

std::string with_diagram_book(const std::string& page) {
  const size_t begin = page.find(begin_mark), end = page.find(end_mark);
  engine::check(begin != std::string::npos && end != std::string::npos && begin < end,
                "diagram book: the page needs the two lines ", begin_mark.substr(0, begin_mark.size() - 1),
                " and ", end_mark.substr(0, end_mark.size() - 1));
  return page.substr(0, begin + begin_mark.size()) + "\n" + diagram_book() + page.substr(end);
}

}  // namespace models
