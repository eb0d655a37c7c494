// Read first: fill_mask.h.
#include "models/fill_mask.h"

#include <algorithm>

namespace models {

using engine::check;

std::vector<FilledMask> fill_mask(const Transformer& model, std::span<const int32_t> ids,
                                  const FillOptions& options) {
  const ModelConfig& config = model.config();
  check(config.objective == Objective::mlm, "fill-mask: the model's objective is ",
        objective_names[size_t(config.objective)], "; only a masked LM fills masks");
  check(std::find(ids.begin(), ids.end(), options.mask) != ids.end(),
        "fill-mask: the text has no mask token");
  check(int64_t(ids.size()) <= config.context, "fill-mask: the text has ", ids.size(),
        " tokens, the model's context is ", config.context);
  check(options.top >= 1, "fill-mask: ", options.top, " candidates");
  const engine::TapeScope off(nullptr);
  const Tokens tokens{.ids = Tensor::from_ids({ids.begin(), ids.end()}, {1, int64_t(ids.size())})};
  const Tensor hidden = model.hidden(tokens, model.context());
  std::vector<FilledMask> out;
  for (int64_t t = 0; t < int64_t(ids.size()); ++t) {
    if (ids[size_t(t)] != options.mask) continue;
    std::vector<double> logits = model.logits(hidden.slice(1, t, t + 1)).to_vector();
    if (options.vocabulary > 0) logits.resize(std::min(logits.size(), size_t(options.vocabulary)));
    std::vector<Candidate> all = candidates(logits, {});
    all.resize(std::min(all.size(), size_t(options.top)));
    out.push_back({t, std::move(all)});
  }
  return out;
}

}  // namespace models
