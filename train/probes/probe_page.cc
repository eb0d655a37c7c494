// Read first: probe_page.h.
#include "train/probes/probe_page.h"

#include <tuple>

#include "engine/base/json.h"
#include "train/probes/gradient_run.h"
#include "train/report/report.h"

namespace train {

using engine::Json;

namespace {

// What tells a result from the others.
std::string label_of(const Json& result) {
  std::string out =
      result.contains("model") ? result["model"].get<std::string>() : result["placement"].get<std::string>();
  if (result.contains("seed")) out += " seed " + engine::json_text(result["seed"]);
  return out;
}

// A list over layers as points; numbers that do not exist are left out.
Json by_layer(const Json& list) {
  Json points = Json::array();
  for (size_t l = 0; l < list.size(); ++l)
    if (list[l].is_number()) points.push_back({l, list[l]});
  return points;
}

// The cards of a page, in order: {"title", "unit", "log", "x": what stands there, "series": [{"label",
// "points"}]}.
class Cards {
 public:
  Json& add(const std::string& title, const std::string& unit, bool log, const char* x) {
    cards_.push_back({{"title", title}, {"unit", unit}, {"log", log}, {"x", x}, {"series", Json::array()}});
    return cards_.back()["series"];
  }
  /// A card of one quantity by layer, a series for each result; `find` gives its list.
  template <class Find>
  void by_depth(const Json& results, const std::string& title, const std::string& unit, bool log,
                const Find& find) {
    Json& series = add(title, unit, log, "layer");
    for (const Json& r : results)
      if (const Json list = find(r); list.is_array())
        series.push_back({{"label", label_of(r)}, {"points", by_layer(list)}});
  }
  Json take() { return std::move(cards_); }

 private:
  Json cards_ = Json::array();
};

void gradient_cards(Cards& cards, const Json& results) {
  const bool trained = results[0].contains("window");
  const auto of = [trained](const char* key) {
    return [key, trained](const Json& r) { return trained ? r["window"][key] : r[key]; };
  };
  const std::string when = trained
                               ? ", mean over updates " + engine::json_text(results[0]["window"]["first"]) +
                                     " to " + engine::json_text(results[0]["window"]["last"])
                               : "";
  cards.by_depth(results, "Gradient of W₂", "mean |gradient| by layer" + when, true, of("w2_grad"));
  cards.by_depth(results, "Gradient norm", "all parameters of a layer" + when, true, of("grad_norm"));
  // The same updates for all: they are those that were asked for.
  for (size_t i = 0; trained && i < results[0]["at"].size(); ++i)
    for (const auto& [key, title] : {std::pair{"w2_grad", "Gradient of W₂"}, {"grad_norm", "Gradient norm"}})
      cards.by_depth(results, title, "by layer at update " + engine::json_text(results[0]["at"][i]["update"]),
                     true, [i, key = key](const Json& r) { return r["at"][i][key]; });
  for (const Json& r : results) {
    if (!r.contains("updates")) continue;
    Json& series = cards.add("Gradient of W₂ over updates", label_of(r), true, "update");
    for (const size_t layer : curve_layers(r["w2_grad"][0].size())) {
      Json points = Json::array();
      for (size_t i = 0; i < r["updates"].size(); ++i)
        if (r["w2_grad"][i][layer].is_number()) points.push_back({r["updates"][i], r["w2_grad"][i][layer]});
      series.push_back({{"label", "layer " + std::to_string(layer)}, {"points", points}});
    }
  }
  for (const Json& r : results) {
    if (!r.contains("relative")) continue;
    Json& series = cards.add("Relative to " + r["relative"]["baseline"].get<std::string>(),
                             label_of(r) + ": ratio of gradient norms by layer", true, "layer");
    for (const auto& [name, first] : r["relative"]["ratios"][0].items()) {
      if (!name.ends_with(".weight")) continue;
      Json list = Json::array();
      for (const Json& layer : r["relative"]["ratios"])
        list.push_back(layer.contains(name) ? layer[name] : Json());
      series.push_back({{"label", name}, {"points", by_layer(list)}});
    }
  }
}

// Figure 6 of NormFormer: scales of residuals over the layer's depth, so that models of other depths compare.
bool over_depth(const std::string& gain) { return gain.ends_with("res_scale"); }

void gain_cards(Cards& cards, const Json& results) {
  for (const auto& [name, means] : results[0]["means"].items()) {
    const auto find = [&name = name](const Json& r) {
      return r["means"].contains(name) ? r["means"][name] : Json();
    };
    if (!over_depth(name)) {
      cards.by_depth(results, name, "mean by layer", false, find);
      continue;
    }
    Json& series = cards.add(name, "mean by layer / layers", false, "depth");
    for (const Json& r : results) {
      Json points = by_layer(find(r));
      for (Json& point : points) point[0] = r["depth"][point[0].get<size_t>()];
      series.push_back({{"label", label_of(r)}, {"points", points}});
    }
  }
}

void attention_cards(Cards& cards, const Json& results) {
  for (const auto& [key, title, unit, log] :
       {std::tuple{"entropy", "Entropy of attention", "nats, by layer", false},
        std::tuple{"relative", "Relative entropy", "over ln n: 1 is attention that does not look", false},
        std::tuple{"logit_max", "Largest score", "by layer", true}})
    cards.by_depth(results, title, unit, log, [key = key](const Json& r) { return r[key]; });
  for (const char* side : {"attn", "ffn"})
    cards.by_depth(results, std::string("Residual stream behind ") + side, "root mean square by layer", false,
                   [side](const Json& r) {
                     Json list = Json::array();
                     for (const Json& layer : r["residual_rms"]) list.push_back(layer[side]);
                     return list;
                   });
}

void stability_cards(Cards& cards, const Json& results) {
  Json& series = cards.add("Learning rate at which training breaks", "by seed", true, "seed");
  for (const Json& r : results) {
    Json points = Json::array();
    for (const Json& run : r["runs"])
      if (run["lr"].is_number()) points.push_back({run["seed"], run["lr"]});
    series.push_back({{"label", label_of(r)}, {"points", points}});
  }
}

}  // namespace

std::string probe_page(const std::string& command, const Json& results) {
  Cards cards;
  if (!results.empty()) {
    if (command == "gradients") gradient_cards(cards, results);
    if (command == "gains") gain_cards(cards, results);
    if (command == "attention") attention_cards(cards, results);
    if (command == "stability") stability_cards(cards, results);
  }
  return report_html({}, "<section><h2>Probe: " + escape_html(command) +
                             "</h2><div class=\"grid\" id=\"cards\"></div></section>"
                             "<script type=\"application/json\" id=\"cards-data\">" +
                             script_json(cards.take()) + "</script>");
}

}  // namespace train
