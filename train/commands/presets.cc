// normlab presets: everything that has a name in a config, one line each. Read first: nn/norm_presets.h,
// models/size_presets.h, models/init.h.
#include <cstdio>

#include "engine/base/json.h"
#include "engine/base/text.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "models/size_presets.h"
#include "nn/norm_presets.h"
#include "train/commands/cli.h"
#include "train/commands/cli_help.h"
#include "train/commands/commands.h"

namespace train {
namespace {

using engine::Json;

const Usage usage = {"normlab presets",
                     "placements, sizes and rules of initial values by name",
                     {{"norms|sizes|inits", "one of the three lists", Count::optional}},
                     {{"json", "", "one JSON object on stdout"}},
                     "norms: model.norms=NAME, docs/04-norms.md. sizes: model.preset=NAME. inits: init=NAME.\n"
                     "`normlab inspect SIZE --norms NAME --diagram text` draws one.\n"};

Json norms_json() {
  Json list = Json::array();
  for (const nn::NormPreset& p : nn::norm_presets())
    list.push_back({{"name", p.name},
                    {"aliases", p.aliases},
                    {"family", p.family},
                    {"text", p.text},
                    {"formula", p.formula},
                    {"citation", p.citation},
                    {"init", p.init}});
  return list;
}

Json sizes_json() {
  Json list = Json::array();
  for (const models::SizePreset& p : models::size_presets()) {
    const models::ModelConfig c = models::model_preset(p.name);
    list.push_back({{"name", p.name},
                    {"parameters", models::parameter_count(c)},
                    {"objective", models::objective_names[size_t(c.objective)]},
                    {"layers", c.layers},
                    {"width", c.width},
                    {"heads", c.heads},
                    {"context", c.context},
                    {"vocab_size", c.vocab_size},
                    {"norms", p.norms},
                    {"citation", p.citation}});
  }
  return list;
}

Json inits_json() {
  Json list = Json::array();
  for (const models::InitRule& rule : models::init_rules()) list.push_back({{"name", rule.name}, {"about", rule.about}});
  return list;
}

void print_lists(const Json& lists) {
  for (const auto& [kind, list] : lists.items()) {
    std::printf("%s\n", kind.c_str());
    std::vector<std::pair<std::string, std::string>> rows;
    for (const Json& entry : list) {
      const auto text = [&](const char* key) { return entry[key].get<std::string>(); };
      const auto count = [&](const char* key) { return engine::human_count(entry[key].get<double>()); };
      std::string line;
      if (kind == "norms") line = text("text") + "  (" + text("citation") + ")";
      if (kind == "sizes")
        line = count("parameters") + " parameters, " + std::to_string(entry["layers"].get<int64_t>()) + " x " +
               std::to_string(entry["width"].get<int64_t>()) + ", context " +
               std::to_string(entry["context"].get<int64_t>()) + ", " + text("objective") + ", " + text("norms");
      if (kind == "inits") line = text("about");
      rows.push_back({text("name"), line});
    }
    std::printf("%s\n", two_columns(rows).c_str());
  }
}

}  // namespace

int cmd_presets(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::string wanted = args.positional(0);
  Json lists = {{"norms", norms_json()}, {"sizes", sizes_json()}, {"inits", inits_json()}};
  if (!wanted.empty()) {
    engine::check(lists.contains(wanted), "\"", wanted, "\" is not norms, sizes or inits");
    lists = Json{{wanted, lists[wanted]}};
  }
  if (args.on("json"))
    std::printf("%s\n", engine::json_text(lists, 1).c_str());
  else
    print_lists(lists);
  return 0;
}

}  // namespace train
