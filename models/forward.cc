// Read first: forward.h.
#include "models/forward.h"

namespace models {

using engine::check;
using engine::DType;

ForwardResult run_forward(Transformer& model, const TokenBatch& batch, WithGradients with_gradients) {
  const bool scored = batch.labels.defined();
  check(
      batch.labels.defined() || with_gradients == WithGradients::no,
      "forward: gradients need labels, and no position is scored (a masked LM or classifier has no labels of "
      "its own)");
  check(batch.scored > 0 || !batch.labels.defined(), "forward: no position is scored, so there is no loss");
  ForwardResult result;
  {
    const engine::TapeScope off(nullptr);
    result.hidden = model.hidden(batch.tokens, model.context());
    result.logits = model.logits(result.hidden);
    if (scored && with_gradients == WithGradients::no)
      result.loss = model.loss(result.hidden, batch.labels).item() / double(batch.scored);
  }
  result.has_loss = scored;
  if (with_gradients == WithGradients::no) return result;

  engine::Tape tape;
  model.parameters().clear_gradients();
  {
    const engine::TapeScope scope(tape);
    const Tensor loss = model.loss(model.hidden(batch.tokens, model.context()), batch.labels);
    result.loss = loss.item() / double(batch.scored);
    tape.backward(loss);
  }
  model.parameters().complete_gradients();
  for (const Parameter* p : model.parameters().all()) {
    const Tensor mean = Tensor::empty(p->grad.shape(), engine::compute_dtype(p->grad.dtype()));
    mean.copy_from(p->grad);
    engine::visit_float(mean.dtype(), [&](auto t) {
      auto* g = static_cast<decltype(t)*>(mean.raw());
      for (int64_t i = 0; i < mean.numel(); ++i)
        g[i] = engine::narrow<decltype(t)>(engine::widen(g[i]) / double(batch.scored));
    });
    result.gradients.emplace_back(p->name, mean);
  }
  return result;
}

engine::NamedTensors output_tensors(const ForwardResult& result, DType precision) {
  const DType dtype = engine::compute_dtype(precision);
  const auto as = [&](const Tensor& t) {
    const Tensor out = Tensor::empty(t.shape(), dtype);
    out.copy_from(t);
    return out;
  };
  engine::NamedTensors out;
  if (result.has_loss) out.emplace_back("loss", Tensor::from({result.loss}, {1}, DType::f64));
  out.emplace_back("logits", as(result.logits));
  out.emplace_back("hidden", as(result.hidden));
  for (const auto& [name, gradient] : result.gradients) out.emplace_back("grad." + name, as(gradient));
  return out;
}

}  // namespace models
