// Read first: case.h. The list of families, and how a row's inputs are drawn.
#include "engine/base/philox.h"
#include "engine/cases/case.h"

namespace engine {

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    add_view_cases(all);
    add_head_scale_cases(all);
    add_norm_cases(all);
    add_attention_cases(all);
    add_linear_cases(all);
    add_activation_cases(all);
    add_elementwise_cases(all);
    add_reduce_cases(all);
    add_embedding_cases(all);
    add_rope_cases(all);
    add_softmax_cases(all);
    add_loss_cases(all);
    add_routing_cases(all);
    add_few_rows_cases(all);
    return all;
  }();
  return cases;
}

std::vector<Tensor> draw_inputs(const OpCase& c, DType dtype) {
  uint64_t seed = 1469598103934665603ull;  // FNV-1a of the name
  for (char letter : c.name()) seed = (seed ^ uint8_t(letter)) * 1099511628211ull;
  std::vector<Tensor> tensors;
  for (const CaseInput& input : c.inputs) {
    Rng rng{seed + tensors.size()};
    std::vector<double> values(size_t(input.shape.numel()));
    const int64_t row = input.shape.rank() ? input.shape.back() : 1;
    for (size_t i = 0; i < values.size(); ++i) {
      switch (input.draw) {
        case Draw::normal: values[i] = rng.normal(); break;
        case Draw::positive: values[i] = 0.5 + rng.uniform(); break;
        case Draw::away: values[i] = (rng.below(2) ? 1 : -1) * (0.1 + 1.9 * rng.uniform()); break;
        case Draw::ids: values[i] = double(rng.below(uint64_t(input.limit))); break;
        case Draw::mask: values[i] = int64_t(i) % row == 0 || rng.below(3) > 0; break;
      }
    }
    const DType t = input.draw == Draw::ids    ? DType::i32
                    : input.draw == Draw::mask ? DType::u8
                    : input.parameter          ? compute_dtype(dtype)
                                               : dtype;
    tensors.push_back(Tensor::from(values, input.shape, t));
  }
  return tensors;
}

HostTensor to_host(const Tensor& t) {
  HostTensor host(t.shape());
  host.v = t.to_vector();
  return host;
}

}  // namespace engine
