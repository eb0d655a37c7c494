// Read first: classifier.h.
#include "models/classifier.h"

#include <cmath>

#include "engine/ops/random.h"
#include "models/init.h"

namespace models {

using engine::check;

namespace {

// Drawn on the host in at least f32, as init.cc does, so that every precision begins with the same numbers.
void draw(const Parameter& p, HeadInit init, int64_t fan_in, uint64_t seed) {
  const bool bias = p.value.rank() == 1;
  if (bias && init == HeadInit::normal) return p.value.fill(0);
  const Tensor values = Tensor::empty(p.value.shape(), engine::compute_dtype(p.value.dtype()));
  engine::Rng rng = parameter_rng(p.name, seed);
  if (init == HeadInit::normal)
    engine::fill_random(values, engine::Law::normal, 0.02, rng);
  else
    engine::fill_random(values, engine::Law::uniform, 1 / std::sqrt(double(fan_in)), rng);
  p.value.copy_from(values);
}

}  // namespace

std::unique_ptr<Transformer> make_classifier(const Transformer& source, const ClassifierHead& head,
                                             const nn::Precision& precision) {
  ModelConfig config = source.config();
  check(!config.causal(), "a causal model reads a row's first token before the others, so it cannot classify rows");
  const bool kept = head.init == HeadInit::kept;
  check(!kept || config.objective == Objective::classify, "there is no classification head to keep");
  check(!kept || config.classes == head.classes, "the head to keep has ", config.classes, " outputs, ",
        head.classes, " are needed");
  config.objective = Objective::classify;
  config.classes = head.classes;
  config.class_names = head.names;
  config.tied = true;  // says nothing of a classifier
  auto model = std::make_unique<Transformer>(checked(config), precision);
  for (const Parameter* p : model->parameters().all()) {
    const bool of_head = p->name.starts_with("classify.");
    if (of_head && !kept)
      draw(*p, head.init, config.width, head.seed);
    else
      p->value.copy_from(source.parameters()[p->name].value);
  }
  model->parameters().refresh_copies();
  return model;
}

}  // namespace models
