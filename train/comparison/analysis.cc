// Read first: analysis.h.
#include "train/comparison/analysis.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "models/init.h"
#include "models/parameter_list.h"
#include "train/commit.h"
#include "train/evaluation/json_numbers.h"
#include "train/evaluation/statistics.h"
#include "train/report/report.h"
#include "train/run_data.h"

namespace train {

using engine::Json;

std::string verdict_of(double mean_difference, std::optional<double> p_holm, int64_t seeds) {
  if (!p_holm || !(*p_holm < 0.05) || seeds < 3) return "no difference shown";
  return mean_difference < 0 ? "better" : "worse";
}

std::optional<double> first_reach(const std::vector<std::pair<int64_t, double>>& curve, double target) {
  for (size_t i = 0; i < curve.size(); ++i) {
    const auto [step, loss] = curve[i];
    if (loss > target) continue;
    if (i == 0 || loss == target) return double(step);
    const auto [before, higher] = curve[i - 1];
    return double(before) + double(step - before) * (higher - target) / (higher - loss);
  }
  return {};
}

namespace {

struct Group {
  std::vector<const FinishedRun*> runs;
  int64_t failed = 0;
  std::vector<double> losses;  // of all seeds, or empty: no mean over survivors

  explicit Group(const std::vector<FinishedRun>& claim, const std::string& placement) {
    for (const FinishedRun& f : claim)
      if (f.run.placement == placement) runs.push_back(&f);
    for (const FinishedRun* f : runs) {
      const bool done = f->result.status == RunStatus::done && f->result.loss;
      failed += !done;
      if (done) losses.push_back(*f->result.loss);
    }
    if (failed > 0) losses.clear();
  }

  /// Of training, of a run that came to its end.
  double mean_seconds() const {
    double seconds = 0, done = 0;
    for (const FinishedRun* f : runs)
      if (f->result.status == RunStatus::done) seconds += f->result.seconds, done += 1;
    return done > 0 ? seconds / done : NAN;
  }

  double seconds_per_update() const {
    double seconds = 0, updates = 0;
    for (const FinishedRun* f : runs) seconds += f->result.seconds, updates += double(f->result.updates);
    return updates > 0 ? seconds / updates : NAN;
  }

  /// Over the seeds, at the updates that all of them have.
  std::vector<std::pair<int64_t, Mean>> mean_curve() const {
    std::map<int64_t, std::vector<double>> losses;
    for (const FinishedRun* f : runs)
      for (const auto& [step, loss] : f->result.curve) losses[step].push_back(loss);
    std::vector<std::pair<int64_t, Mean>> out;
    for (const auto& [step, values] : losses)
      if (values.size() == runs.size()) out.emplace_back(step, mean_of(values));
    return out;
  }
};

Json difference_json(const PairedDifference& d, Number p_holm) {
  Json out = {{"values", d.values},
              {"mean", d.mean.mean},
              {"sd", number_or_null(d.mean.sd)},
              {"se", number_or_null(d.mean.se)}};
  out["ci95"] = d.ci_low ? Json({*d.ci_low, *d.ci_high}) : Json();
  out["t"] = number_or_null(d.t);
  out["df"] = d.mean.n - 1;
  out["p"] = number_or_null(d.p);
  out["p_holm"] = number_or_null(p_holm);
  out["sign_flip_p"] = number_or_null(d.sign_flip_p);
  out["welch_p"] = number_or_null(d.welch_p);
  return out;
}

Json runs_json(const Comparison& comparison, const Group& group) {
  Json out = Json::array();
  for (const FinishedRun* f : group.runs) {
    const bool done = f->result.status == RunStatus::done;
    const Number loss = done ? f->result.loss : Number();
    out.push_back({{"seed", f->run.seed},
                   {"status", status_name(f->result.status)},
                   {"loss", number_or_null(loss)},
                   {"ppl", loss ? number_or_null(std::exp(*loss)) : Json()},
                   {"updates", f->result.updates},
                   {"seconds", f->result.seconds},
                   {"path", comparison.path(f->run)}});
  }
  return out;
}

// Mean over the grid of min(loss, L0) less the least loss (Wortsman et al., arXiv 2309.14322): how much a
// wrong learning rate costs. The loss at a rate is the mean over the sweep's seeds. L0 is the loss before
// training, and that of a failed run; a stopped run has its last.
Json lr_sensitivity(const std::vector<FinishedRun>& sweep, const std::string& placement) {
  std::map<double, std::vector<double>> grid;
  for (const FinishedRun& f : sweep) {
    if (f.run.placement != placement) continue;
    if (!f.result.first_loss) return {};
    const double start = *f.result.first_loss;
    const bool failed = f.result.status == RunStatus::failed;
    grid[f.run.lr].push_back(failed ? start : std::min(f.result.loss.value_or(start), start));
  }
  if (grid.empty()) return {};
  double sum = 0, least = INFINITY;
  for (const auto& [lr, losses] : grid) {
    const double loss = mean_of(losses).mean;
    sum += loss, least = std::min(least, loss);
  }
  return std::max(0.0, sum / double(grid.size()) - least);
}

}  // namespace

Json comparison_json(const Comparison& comparison, int64_t threads, double seconds) {
  const CompareRequest& request = comparison.request();
  const bool tuned = !request.rates.empty();
  std::map<std::string, Group> groups;
  for (const std::string& placement : request.placements)
    groups.emplace(placement, Group(comparison.claim(), placement));
  const Group& baseline = groups.at(request.baseline);

  std::vector<Number> p;
  std::map<std::string, PairedDifference> differences;
  for (const std::string& placement : request.placements) {
    const Group& group = groups.at(placement);
    const bool compared = placement != request.baseline && !group.losses.empty() && !baseline.losses.empty();
    if (compared) differences[placement] = paired_difference(group.losses, baseline.losses);
    p.push_back(compared ? differences[placement].p : Number());
  }
  const std::vector<Number> adjusted = holm(p);

  Json seeds = Json::array(), placements = Json::array(), sensitivity = Json::object(), edge = Json::object();
  Json results = Json::array();
  for (int64_t seed = 1; seed <= request.seeds; ++seed) seeds.push_back(seed);
  for (size_t i = 0; i < request.placements.size(); ++i) {
    const std::string& placement = request.placements[i];
    const Group& group = groups.at(placement);
    const TrainConfig config = config_of(request, group.runs.front()->run);
    const models::ModelConfig model = resolve_model_config(config);
    std::string init = config.init.empty() ? models::init_rule(model) : config.init;
    if (init.empty()) init = models::default_init(model);
    Json row = {{"placement", placement},
                {"norms", nn::print(model.norms)},
                {"init", init},
                {"parameters", models::parameter_count(model)},
                {"lr", config.optim.lr},
                {"updates", group.runs.front()->run.steps},
                {"seconds_per_update", number_or_null(group.seconds_per_update())},
                {"runs", runs_json(comparison, group)},
                {"failed", group.failed}};
    const bool known = !group.losses.empty();
    const Mean mean = known ? mean_of(group.losses) : Mean();
    row["mean"] = known ? Json(mean.mean) : Json();
    row["sd"] = number_or_null(mean.sd);
    row["se"] = number_or_null(mean.se);
    row["ppl"] = known ? number_or_null(std::exp(mean.mean)) : Json();
    row["difference"] = row["verdict"] = row["reaches_baseline"] = Json();
    if (const auto found = differences.find(placement); found != differences.end()) {
      row["difference"] = difference_json(found->second, adjusted[i]);
      row["verdict"] = verdict_of(found->second.mean.mean, adjusted[i], request.seeds);
      std::vector<std::pair<int64_t, double>> curve;
      for (const auto& [step, at_step] : group.mean_curve()) curve.emplace_back(step, at_step.mean);
      if (const auto reached = first_reach(curve, mean_of(baseline.losses).mean)) {
        // A share of what is equal: of the baseline's seconds where times are matched.
        const bool by_time = request.match == Match::time;
        const double seconds = *reached * group.seconds_per_update();
        row["reaches_baseline"] = {{"updates", *reached},
                                   {"share", number_or_null(by_time ? seconds / baseline.mean_seconds()
                                                                    : *reached / double(request.steps))},
                                   {"share_of", by_time ? "seconds" : "updates"},
                                   {"seconds", number_or_null(seconds)}};
      }
    } else if (placement != request.baseline) {
      row["verdict"] = group.failed > 0 ? "failed" : "baseline failed";
    }
    results.push_back({});
    for (const char* key : {"placement", "lr", "updates", "mean", "se", "failed", "verdict"})
      results.back()[key] = row[key];
    placements.push_back(row);
    if (tuned) sensitivity[placement] = lr_sensitivity(comparison.sweep(), placement);
    if (tuned) edge[placement] = comparison.at_edge(placement);
  }
  Json sweep = Json::array();
  for (const FinishedRun& f : comparison.sweep())
    sweep.push_back(
        {{"placement", f.run.placement},
         {"lr", f.run.lr},
         {"seed", f.run.seed},
         {"loss", f.result.status == RunStatus::done ? number_or_null(f.result.loss) : Json()},
         {"status", status_name(f.result.status)},
         {"stopped_at", f.result.status == RunStatus::stopped ? Json(f.result.stopped_at) : Json()}});
  const std::string commit = built_commit();
  Json out = result_of("compare");
  const TrainConfig& shared = request.config;
  out.update({{"model", shared.from.empty() ? Json() : Json(shared.from)},
              {"data", shared.data.train},
              {"precision", precision_name(shared)},
              {"seconds", seconds},
              {"results", results},
              {"baseline", request.baseline},
              {"match", request.match == Match::time ? "time" : "steps"},
              {"seeds", seeds},
              {"budget", request.steps},
              {"tuned", tuned},
              {"environment",
               {{"version", NORMLAB_VERSION},
                {"commit", commit.empty() ? Json() : Json(commit)},
                {"device", config_json(shared)["device"]},
                {"threads", threads}}},
              {"placements", placements},
              {"sweep", sweep},
              {"lr_sensitivity", sensitivity},
              {"edge", edge}});
  return out;
}

// ------------------------------------------------------------------------------------------------ table

namespace {

std::string text(const char* pattern, const Json& value) {
  if (!value.is_number()) return "-";
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, pattern, value.get<double>());
  return buffer;
}

struct Column {
  std::string heading;
  std::string (*cell)(const Json& row, const Json& baseline);
  bool words = false;  // may take several lines on a page
};

const Column columns[] = {
    {"placement", [](const Json& r, const Json&) { return r["placement"].get<std::string>(); }},
    {"lr", [](const Json& r, const Json&) { return text("%.4g", r["lr"]); }},
    {"init", [](const Json& r, const Json&) { return r["init"].get<std::string>(); }},
    {"parameters", [](const Json& r, const Json&) { return text("%.0f", r["parameters"]); }},
    {"updates", [](const Json& r, const Json&) { return text("%.0f", r["updates"]); }},
    {"s an update",
     [](const Json& r, const Json& b) {
       const Json &ours = r["seconds_per_update"], &theirs = b["seconds_per_update"];
       if (!ours.is_number() || !theirs.is_number()) return std::string("-");
       return text("%.4g", ours) + " (" + text("%.2f", Json(ours.get<double>() / theirs.get<double>())) +
              "x)";
     }},
    {"loss",
     [](const Json& r, const Json&) { return text("%.4f", r["mean"]) + " ± " + text("%.4f", r["se"]); }},
    {"ppl", [](const Json& r, const Json&) { return text("%.3f", r["ppl"]); }},
    {"difference [95 %]",
     [](const Json& r, const Json&) {
       const Json& d = r["difference"];
       if (d.is_null()) return std::string("-");
       std::string out = text("%+.4f", d["mean"]);
       if (!d["ci95"].is_null())
         out += " [" + text("%+.4f", d["ci95"][0]) + ", " + text("%+.4f", d["ci95"][1]) + "]";
       return out;
     },
     true},
    {"p (Holm)",
     [](const Json& r, const Json&) {
       return r["difference"].is_null() ? "-" : text("%.3g", r["difference"]["p_holm"]);
     }},
    {"verdict",
     [](const Json& r, const Json&) {
       return r["verdict"].is_null() ? std::string("baseline") : r["verdict"].get<std::string>();
     },
     true},
    {"reaches baseline",
     [](const Json& r, const Json&) {
       const Json& reached = r["reaches_baseline"];
       if (reached.is_null()) return std::string("-");
       return text(reached["share_of"] == "seconds" ? "%.2f of its time" : "%.2f of its updates",
                   reached["share"]);
     },
     true},
    {"failed", [](const Json& r, const Json&) { return text("%.0f", r["failed"]); }},
};

const Json& baseline_row(const Json& result) {
  for (const Json& row : result["placements"])
    if (row["placement"] == result["baseline"]) return row;
  return result["placements"][0];
}

// What a reader has to know beside the table.
std::vector<std::string> remarks(const Json& result) {
  std::vector<std::string> out;
  const size_t n = result["seeds"].size();
  out.push_back(n == 1 ? "one seed: no error bars" : std::to_string(n) + " seeds, paired");
  if (!result["tuned"].get<bool>()) out.push_back("learning rate not tuned");
  std::string at_edge;
  for (const auto& [placement, edge] : result["edge"].items())
    if (edge.get<bool>()) at_edge += (at_edge.empty() ? "" : ", ") + placement;
  if (!at_edge.empty()) out.push_back("the best learning rate is at the edge of those tried for " + at_edge);
  out.push_back("\"reaches baseline\" is read from a mean curve under the schedule's decay");
  return out;
}

// Columns of the terminal that a text takes: its characters.
size_t width_of(const std::string& s) {
  return size_t(std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

void print_comparison(const Json& result) {
  std::vector<std::vector<std::string>> rows(1);
  for (const Column& c : columns) rows[0].push_back(c.heading);
  for (const Json& row : result["placements"]) {
    rows.emplace_back();
    for (const Column& c : columns) rows.back().push_back(c.cell(row, baseline_row(result)));
  }
  std::vector<size_t> widths(std::size(columns), 0);
  for (const auto& row : rows)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c)
      line += row[c] + (c + 1 < row.size() ? std::string(widths[c] - width_of(row[c]) + 2, ' ') : "");
    std::printf("%s\n", line.c_str());
  }
  for (const std::string& remark : remarks(result)) std::printf("%s\n", remark.c_str());
}

namespace {

// Mean loss with its 95 % interval, [low, mean, high]; null without a mean, or without an error of it.
Json mean_interval(const Json& row) {
  if (!row["mean"].is_number() || !row["se"].is_number()) return {};
  const double mean = row["mean"].get<double>();
  const double half = student_t(0.05, double(row["runs"].size() - 1)) * row["se"].get<double>();
  return {mean - half, mean, mean + half};
}

// For the script of the report page, which says what it takes.
Json chart_data(const Comparison& comparison, const Json& result) {
  Json placements = Json::array();
  for (const Json& row : result["placements"]) {
    const std::string name = row["placement"].get<std::string>();
    Json curve = Json::array(), losses = Json::array(), differences = Json::array(), rates = Json::array();
    for (const auto& [step, mean] : Group(comparison.claim(), name).mean_curve())
      curve.push_back({step, mean.mean, number_or_null(mean.se)});
    for (const Json& run : row["runs"])
      if (run["loss"].is_number()) losses.push_back({run["seed"], run["loss"]});
    const Json& d = row["difference"];
    for (size_t i = 0; !d.is_null() && i < d["values"].size(); ++i)
      differences.push_back({result["seeds"][i], d["values"][i]});
    for (const FinishedRun& f : comparison.sweep())
      if (f.run.placement == name)
        rates.push_back(
            {f.run.lr, number_or_null(f.result.loss), f.result.status == RunStatus::done, f.run.seed});
    const bool interval = !d.is_null() && !d["ci95"].is_null();
    placements.push_back({{"name", name},
                          {"curve", curve},
                          {"losses", losses},
                          {"mean", mean_interval(row)},
                          {"differences", differences},
                          {"interval", interval ? Json({d["ci95"][0], d["mean"], d["ci95"][1]}) : Json()},
                          {"rates", rates}});
  }
  return {{"placements", placements}};
}

}  // namespace

std::string comparison_html(const Comparison& comparison, const Json& result) {
  std::string head, body, notes;
  for (const Column& c : columns) head += "<th scope=\"col\">" + escape_html(c.heading) + "</th>";
  for (const Json& row : result["placements"]) {
    body += "<tr>";
    for (size_t c = 0; c < std::size(columns); ++c) {
      std::string cell = escape_html(columns[c].cell(row, baseline_row(result)));
      if (const size_t comma = cell.find(", "); comma != std::string::npos) cell.replace(comma, 2, ",&nbsp;");
      const char* open = columns[c].words ? "<td class=\"words\">" : "<td>";
      body += c == 0 ? "<th scope=\"row\">" + cell + "</th>" : open + cell + "</td>";
    }
    body += "</tr>";
  }
  for (const std::string& remark : remarks(result))
    notes += (notes.empty() ? "" : "; ") + escape_html(remark);
  return "<section><h2>Comparison</h2><p class=\"note\">" + notes + "</p>" +
         "<div class=\"scroll\"><table class=\"numbers compact\"><thead><tr>" + head + "</tr></thead><tbody>" + body +
         "</tbody></table></div></section><section><div class=\"grid\" "
         "id=\"comparison-charts\"></div></section>"
         "<script type=\"application/json\" id=\"comparison-data\">" +
         script_json(chart_data(comparison, result)) + "</script>";
}

}  // namespace train
