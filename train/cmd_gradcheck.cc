// normlab gradcheck: every op's gradients against central differences in float64. The op table
// (engine/cases/case.h) says which ops there are; engine/autograd/gradcheck.h says what is compared.
#include <algorithm>
#include <cstdio>

#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/cases/checks.h"
#include "train/cli.h"
#include "train/commands.h"

namespace train {
namespace {

using engine::GradcheckInput;
using engine::GradcheckResult;
using engine::Json;
using engine::OpCase;

const Usage usage = {
    "normlab gradcheck",
    "gradients of the ops against central differences in float64",
    {},
    {{"op", "NAME", "only this op, such as gelu or layer_norm"}, {"json", "", "one JSON object on stdout"}},
    "Ratio: the largest |analytic - numeric| / (1e-8 + 1e-5 |numeric|); at most 1 passes. Kinks: elements "
    "that\n"
    "sit where the function has a corner, which are skipped. Exit code 1 when a row fails.\n"};

/// One row of the table and what came out.
struct Checked {
  const OpCase* row;
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
  engine::check(!rows.empty(), "normlab gradcheck: no op '", op, "'; the nearest is '",
                engine::nearest_word(op, names), "'");
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
    list.push_back({{"op", c.row->op},
                    {"detail", c.row->detail},
                    {"ok", c.result.ok},
                    {"worst", c.worst()},
                    {"inputs", inputs}});
  }
  const bool ok = std::all_of(all.begin(), all.end(), [](const Checked& c) { return c.result.ok; });
  return {{"ok", ok}, {"results", list}};
}

void print_row(const Checked& c, int width) {
  std::string inputs;
  for (const GradcheckInput& input : c.result.inputs) inputs += (inputs.empty() ? "" : " ") + input.name;
  std::printf("%-*s  %-24s %9.1e %8lld %6lld  %s\n", width, c.row->name().c_str(), inputs.c_str(), c.worst(),
              (long long)c.total(&GradcheckInput::checked), (long long)c.total(&GradcheckInput::kinks),
              c.result.ok ? "ok" : "FAILED");
  if (!c.result.ok) std::printf("  %s", c.result.text.c_str());
}

}  // namespace

int cmd_gradcheck(int argc, char** argv) {
  const Arguments args(usage, argc, argv);
  const std::vector<const OpCase*> rows = chosen_rows(args.text("op"));
  const bool json = args.on("json");
  size_t width = 0;
  for (const OpCase* row : rows) width = std::max(width, row->name().size());
  if (!json)
    std::printf("%-*s  %-24s %9s %8s %6s\n", int(width), "op", "inputs", "ratio", "checked", "kinks");
  std::vector<Checked> all;
  for (const OpCase* row : rows) {
    all.push_back({row, {}});
    engine::check_gradients(*row, &all.back().result);
    if (!json) print_row(all.back(), int(width));
  }
  const auto failed = std::count_if(all.begin(), all.end(), [](const Checked& c) { return !c.result.ok; });
  if (json)
    std::printf("%s\n", to_json(all).dump(1).c_str());
  else
    std::printf("\n%zu rows, %ld failed\n", all.size(), long(failed));
  return failed == 0 ? 0 : 1;
}

}  // namespace train
