// Read first: report.h.
#include "train/report/report.h"

#include <algorithm>
#include <cassert>
#include <set>

namespace train {

// From cmake/embed.cmake.
extern const std::string_view embedded_dygraph_min_js, embedded_dygraph_min_css, embedded_page_html,
    embedded_page_css, embedded_page_js;

namespace {

using engine::Json;

/// The file without its source map's comment: the map is not embedded.
std::string without_source_map(std::string_view text, std::string_view comment) {
  return std::string(text.substr(0, text.find(comment)));
}

std::string cell(const char* tag, const std::string& text, const std::string& attributes = "") {
  return std::string("<") + tag + attributes + ">" + escape_html(text) + "</" + tag + ">";
}

/// A run's name with the colour that its curves have (set by the page's script); `scope` is "row" or "col".
std::string run_label(const RunReport& run, size_t index, const char* scope, const std::string& below = "") {
  return std::string("<th scope=\"") + scope + "\"><i class=\"dot\" data-run=\"" + std::to_string(index) +
         "\"></i>" + escape_html(run.name) + (below.empty() ? "" : cell("code", below)) + "</th>";
}

/// Labels of all runs' numbers, in the order of the run that has most of them.
std::vector<std::string> number_labels(const std::vector<RunReport>& runs) {
  std::vector<std::string> labels;
  std::vector<const RunReport*> order;
  for (const RunReport& run : runs) order.push_back(&run);
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return a->numbers.size() > b->numbers.size(); });
  for (const RunReport* run : order)
    for (const auto& [label, text] : run->numbers)
      if (std::find(labels.begin(), labels.end(), label) == labels.end()) labels.push_back(label);
  return labels;
}

std::string numbers_table(const std::vector<RunReport>& runs) {
  const std::vector<std::string> labels = number_labels(runs);
  double best = runs.front().best_valid_loss;
  for (const RunReport& run : runs) best = std::min(best, run.best_valid_loss);
  std::string html = "<thead><tr><th scope=\"col\">run</th>";
  for (const std::string& label : labels) html += cell("th", label, " scope=\"col\"");
  html += "</tr></thead><tbody>";
  for (size_t i = 0; i < runs.size(); ++i) {
    html += "<tr>" + run_label(runs[i], i, "row", runs[i].norms);
    for (const std::string& label : labels) {
      const auto found = std::find_if(runs[i].numbers.begin(), runs[i].numbers.end(),
                                      [&](const auto& n) { return n.first == label; });
      const bool winner = runs.size() > 1 && label == "best valid loss" && runs[i].best_valid_loss == best;
      const std::string text = found == runs[i].numbers.end() ? "–" : found->second;
      html += cell("td", text, winner ? " class=\"best\"" : "");
    }
    html += "</tr>";
  }
  return html + "</tbody>";
}

/// Keys whose values are not the same in all runs (all keys of a single run).
std::string config_table(const std::vector<RunReport>& runs) {
  std::set<std::string> keys;
  for (const RunReport& run : runs)
    for (const auto& [key, value] : run.config) keys.insert(key);
  std::string head = "<thead><tr><th scope=\"col\">key</th>", rows;
  for (size_t i = 0; i < runs.size(); ++i) head += run_label(runs[i], i, "col");
  for (const std::string& key : keys) {
    std::set<std::string> different;
    std::string row = "<tr>" + cell("th", key, " scope=\"row\" class=\"key\"");
    for (const RunReport& run : runs) {
      const auto found = run.config.find(key);
      const std::string value = found == run.config.end() ? "–" : found->second;
      different.insert(value);
      row += cell("td", value, " class=\"text\"");
    }
    if (runs.size() == 1 || different.size() > 1) rows += row + "</tr>";
  }
  if (rows.empty()) return "";
  return head + "</tr></thead><tbody>" + rows + "</tbody>";
}

std::string samples(const std::vector<RunReport>& runs) {
  std::string html;
  for (size_t i = 0; i < runs.size(); ++i)
    if (!runs[i].sample.empty())
      html += "<figure><figcaption><i class=\"dot\" data-run=\"" + std::to_string(i) + "\"></i>" +
              escape_html(runs[i].name) + "</figcaption><pre>" + escape_html(runs[i].sample) +
              "</pre></figure>";
  return html.empty() ? "" : "<div class=\"grid\">" + html + "</div>";
}

/// Each placement once, with the runs that have it.
std::string placements(const std::vector<RunReport>& runs) {
  std::string html;
  std::set<std::string> drawn;
  for (const RunReport& run : runs) {
    if (run.placement.empty() || !drawn.insert(run.placement).second) continue;
    std::string names;
    for (size_t i = 0; i < runs.size(); ++i)
      if (runs[i].placement == run.placement)
        names += "<span class=\"who\"><i class=\"dot\" data-run=\"" + std::to_string(i) + "\"></i>" +
                 escape_html(runs[i].name) + "</span> ";
    html += "<figure class=\"placement\"><figcaption>" + names + cell("code", run.norms) + "</figcaption>" +
            run.placement + "</figure>";
  }
  return html.empty() ? "" : "<div class=\"grid\">" + html + "</div>";
}

std::string failures(const std::vector<RunReport>& runs) {
  std::string html;
  for (const RunReport& run : runs)
    if (!run.failure.empty())
      html += "<p class=\"failure\" role=\"alert\"><b>" + escape_html(run.name) + " ended early.</b> " +
              escape_html(run.failure) + "</p>";
  return html;
}

/// The settings that people compare runs by, for all runs, equal or not.
std::string hyperparameters(const std::vector<RunReport>& runs) {
  constexpr const char* keys[] = {"model.norms",     "model.layers",     "model.width",         "model.heads",
                                  "model.ffn_width", "model.vocab_size", "model.activation",    "model.positions",
                                  "init",            "data.context",     "data.batch",          "data.accumulate",
                                  "optim.name",      "optim.lr",         "optim.weight_decay",  "optim.clip",
                                  "schedule.name",   "schedule.warmup",  "dropout.residual",    "precision",
                                  "seed",            "from"};
  std::string head = "<thead><tr><th scope=\"col\">key</th>", rows;
  for (size_t i = 0; i < runs.size(); ++i) head += run_label(runs[i], i, "col");
  for (const std::string key : keys) {
    std::string row = "<tr>" + cell("th", key.substr(key.find('.') + 1), " scope=\"row\" class=\"key\"");
    bool any = false;
    for (const RunReport& run : runs) {
      const auto found = run.config.find(key);
      any = any || (found != run.config.end() && !found->second.empty());
      row += cell("td", found == run.config.end() ? "–" : found->second, " class=\"text\"");
    }
    if (any) rows += row + "</tr>";
  }
  if (rows.empty()) return "";
  return "<div class=\"scroll\"><table class=\"config\">" + head + "</tr></thead><tbody>" + rows +
         "</tbody></table></div>";
}

/// A section of the page, or nothing when there is nothing to show in it.
std::string section(const std::string& title, const std::string& note, const std::string& content) {
  if (content.empty()) return "";
  return "<section><h2>" + title + "</h2><p class=\"note\">" + note + "</p>" + content + "</section>";
}

}  // namespace

std::string report_html(const std::vector<RunReport>& runs, const std::string& first_section) {
  Json data = Json::array();
  std::string title = "NormLab";
  for (const RunReport& run : runs) {
    title += (data.empty() ? ": " : ", ") + run.name;
    Json entry = run.curves;
    entry["name"] = run.name;
    data.push_back(std::move(entry));
  }
  const std::string config = runs.empty() ? "" : config_table(runs);
  const std::string config_html =
      config.empty() ? "" : "<div class=\"scroll\"><table class=\"config\">" + config + "</table></div>";
  const bool one = runs.size() == 1;
  return fill_template(
      embedded_page_html,
      {{"TITLE", escape_html(title)},
       {"FIRST_SECTION", first_section},
       {"DYGRAPHS_CSS", without_source_map(embedded_dygraph_min_css, "/*# sourceMappingURL")},
       {"PAGE_CSS", std::string(embedded_page_css)},
       {"NUMBERS", runs.empty() ? "" : numbers_table(runs)},
       {"FAILURES", failures(runs)},
       {"PLACEMENTS", section("Placements", "Where the norms of each run stand; the stream runs down the left.",
                              placements(runs))},
       {"CONFIG", (one ? "" : section("Hyperparameters", "What people compare runs by.", hyperparameters(runs))) + section(one ? "Configuration" : "What differs between the configurations",
                          one ? "Every key of the resolved configuration."
                              : "Keys that are equal in all runs are left out.",
                          config_html)},
       {"SAMPLES", section("Samples", "Text that each model wrote at the end of its run.", samples(runs))},
       {"DATA", script_json(data)},
       {"DYGRAPHS_JS", without_source_map(embedded_dygraph_min_js, "//# sourceMappingURL")},
       {"PAGE_JS", std::string(embedded_page_js)}});
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += uint8_t(c) < 32 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

std::string script_json(const Json& json) {
  std::string out;
  // ASCII only, so that no line separator or broken UTF-8 is left; then nothing in it can end the element.
  for (char c : engine::ascii_json_text(json)) {
    if (c == '<')
      out += "\\u003c";
    else if (c == '>')
      out += "\\u003e";
    else if (c == '&')
      out += "\\u0026";
    else
      out += c;
  }
  return out;
}

std::string fill_template(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  for (size_t at = 0;;) {
    const size_t open = text.find("{{", at), close = text.find("}}", open);
    if (open == std::string_view::npos || close == std::string_view::npos) return out.append(text.substr(at));
    out += text.substr(at, open - at);
    const auto found = values.find(std::string(text.substr(open + 2, close - open - 2)));
    assert(found != values.end());
    if (found != values.end()) out += found->second;
    at = close + 2;
  }
}

}  // namespace train
