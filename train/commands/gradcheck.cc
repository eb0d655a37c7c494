// normlab gradcheck: every op's gradients, or those of a whole model with a given placement, against central
// differences in float64. The op table (engine/cases/case.h) says which ops there are,
// models/model_gradcheck.h what model; engine/autograd/gradcheck.h says what is compared.
#include <algorithm>
#include <cstdio>

#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/cases/checks.h"
#include "models/model_gradcheck.h"
#include "train/commands/cli.h"
#include "train/commands/commands.h"

namespace train {
namespace {

using engine::GradcheckInput;
using engine::GradcheckResult;
using engine::Json;
using engine::OpCase;

const Usage usage = {
    "normlab gradcheck",
    "gradients of the ops, or of a whole model, against central differences in float64",
    {},
    {{"op", "NAME", "only this op, such as gelu or norm"},
     {"norm", "SPEC", "every parameter of a small model with this placement, causal and masked"},
     {"json", "", "one JSON object on stdout"}},
    "Ratio: the largest |analytic - numeric| / (1e-8 + 1e-5 |numeric|); at most 1 passes. Kinks: elements "
    "that\n"
    "sit where the function has a corner, which are skipped. Exit code 1 when a row fails.\n"};

/// One op's row or one model, and what came out.
struct Checked {
  std::string op, detail;
  GradcheckResult result;

  double worst() const {
    double worst = 0;
    for (const GradcheckInput& input : result.inputs) worst = std::max(worst, input.worst);
    return worst;
  }
  int64_t total(int64_t GradcheckInput::*count) const {
    int64_t sum = 0;
    for (const GradcheckInput& input : result.inputs) sum += input.*count;
    return sum;
  }
};

std::vector<const OpCase*> chosen_rows(const std::string& op) {
  std::vector<const OpCase*> rows;
  std::vector<std::string> names;
  for (const OpCase& row : engine::all_cases()) {
    names.push_back(row.op);
    if (op.empty() || row.op == op) rows.push_back(&row);
  }
  engine::check(!rows.empty(), "no op '", op, "'", engine::near_hint(op, names, "; the nearest is '", "'"));
  return rows;
}

Json to_json(const std::vector<Checked>& all) {
  Json list = Json::array();
  for (const Checked& c : all) {
    Json inputs = Json::array();
    for (const GradcheckInput& input : c.result.inputs)
      inputs.push_back({{"name", input.name},
                        {"elements", input.elements},
                        {"checked", input.checked},
                        {"kinks", input.kinks},
                        {"failed", input.failed},
                        {"worst", input.worst}});
    list.push_back(
        {{"op", c.op}, {"detail", c.detail}, {"ok", c.result.ok}, {"worst", c.worst()}, {"inputs", inputs}});
  }
  const bool ok = std::all_of(all.begin(), all.end(), [](const Checked& c) { return c.result.ok; });
  return {{"ok", ok}, {"results", list}};
}

void print_head(int width) {
  std::printf("%-*s  %-24s %9s %8s %6s\n", width, "checked", "inputs", "ratio", "elements", "kinks");
}
void print_row(const std::string& name, const std::string& inputs, const Checked& c, int width) {
  std::printf("%-*s  %-24s %9.1e %8lld %6lld  %s\n", width, name.c_str(), inputs.c_str(), c.worst(),
              (long long)c.total(&GradcheckInput::checked), (long long)c.total(&GradcheckInput::kinks),
              c.result.ok ? "ok" : "FAILED");
  if (!c.result.ok) std::printf("  %s", c.result.text.c_str());
}

std::vector<Checked> check_ops(const std::vector<const OpCase*>& rows, bool print) {
  size_t width = 0;
  for (const OpCase* row : rows) width = std::max(width, row->name().size());
  if (print) print_head(int(width));
  std::vector<Checked> all;
  for (const OpCase* row : rows) {
    Checked& c = all.emplace_back(Checked{row->op, row->detail, {}});
    engine::check_gradients(*row, &c.result);
    std::string inputs;
    for (const GradcheckInput& input : c.result.inputs) inputs += (inputs.empty() ? "" : " ") + input.name;
    if (print) print_row(row->name(), inputs, c, int(width));
  }
  return all;
}

// A causal and a masked model; a line for each parameter.
std::vector<Checked> check_placement(const std::string& norms, bool print) {
  std::vector<Checked> all;
  for (const models::Objective objective : {models::Objective::clm, models::Objective::mlm}) {
    const models::ModelConfig config = models::gradcheck_config(norms, objective);
    Checked& c = all.emplace_back(
        Checked{norms, models::objective_names[size_t(objective)], models::gradcheck_model(config)});
    if (!print) continue;
    std::printf("%s, %lld layers: %s\n", c.detail.c_str(), (long long)config.layers,
                nn::print(config.norms).c_str());
    size_t width = 0;
    for (const GradcheckInput& input : c.result.inputs) width = std::max(width, input.name.size());
    for (const GradcheckInput& input : c.result.inputs)
      std::printf("  %-*s %9.1e %4lld of %-5lld %4lld kinks  %s\n", int(width), input.name.c_str(),
                  input.worst, (long long)input.checked, (long long)input.elements, (long long)input.kinks,
                  input.failed ? "FAILED" : "ok");
    if (!c.result.ok) std::printf("%s", c.result.text.c_str());
  }
  return all;
}

}  // namespace

int cmd_gradcheck(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::string op = args.text("op"), norms = args.text("norm");
  engine::check(op.empty() || norms.empty(), "give --op or --norm, not both");
  const bool json = args.on("json");
  const std::vector<Checked> all =
      norms.empty() ? check_ops(chosen_rows(op), !json) : check_placement(norms, !json);
  const auto failed = std::count_if(all.begin(), all.end(), [](const Checked& c) { return !c.result.ok; });
  if (json)
    std::printf("%s\n", engine::json_text(to_json(all), 1).c_str());
  else
    std::printf("\n%zu rows, %ld failed\n", all.size(), long(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace train
