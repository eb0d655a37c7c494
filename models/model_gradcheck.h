// Gradient check of a whole model: every parameter of a small model with a given placement, its loss against
// central differences in f64. What `normlab gradcheck --norm SPEC` runs, and the tests for every preset.
// Read first: transformer.h, engine/autograd/gradcheck.h.
#pragma once

#include "engine/autograd/gradcheck.h"
#include "engine/cpu/parallel.h"
#include "models/token_file.h"
#include "models/transformer.h"

namespace models {

/// One thread while it lives: for models so small that handing work to threads costs more than the work.
class OneThread {
 public:
  OneThread() : before_(engine::cpu::thread_count()) { engine::cpu::set_thread_count(1); }
  ~OneThread() { engine::cpu::set_thread_count(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// A model of a few thousand parameters that carries `norms` (a preset's name or NormSpec text): width 12, 3
/// heads, and the smallest number of layers from 2 that every layer rule fits. Errors: those of NormSpec
/// text; rules that fit no model of up to 64 layers.
ModelConfig gradcheck_config(const std::string& norms, Objective objective);

/// Values of order one for every parameter: no gain at 1, no bias or branch scale at 0, so that no gradient
/// vanishes by symmetry and a forgotten term shows.
void draw_generic_values(Transformer& model, uint64_t seed);

/// Random tokens with labels: next tokens for a causal model; for a masked LM about half of the positions,
/// the last row ending in padding; one label or number a row for a classifier.
TokenBatch random_batch(const ModelConfig& config, int64_t rows, uint64_t seed);

/// Elements sampled of each parameter, and a step that suits a loss summed over some ten positions.
inline constexpr engine::GradcheckOptions model_gradcheck_options = {.eps = 1e-5, .max_elements = 8};

/// The loss of one batch, with the auxiliary losses of routers, as a function of every parameter.
engine::GradcheckResult gradcheck_model(const ModelConfig& config,
                                        const engine::GradcheckOptions& options = model_gradcheck_options,
                                        engine::Device device = engine::Device::cpu);

}  // namespace models
