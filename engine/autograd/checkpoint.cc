// Read first: checkpoint.h, tape.h.
#include "engine/autograd/checkpoint.h"

#include <algorithm>
#include <utility>

namespace engine {
namespace {

thread_local int depth = 0;
struct DepthScope {
  DepthScope() { ++depth; }
  ~DepthScope() { --depth; }
};

struct CheckpointNode : NodeOf<CheckpointNode> {
  static constexpr const char* kName = "checkpoint";
  auto saved() { return std::tie(); }
  int64_t saved_bytes() override {
    int64_t bytes = 0;
    for (const Saved& x : inputs) bytes += x.bytes();
    return bytes;
  }

  Segment segment;
  std::vector<Saved> inputs;
  size_t output_count = 0;
  Rng* rng = nullptr;
  Rng rng_before;

  void backward(Backward& b) override {
    Rng rng_now;
    if (rng) rng_now = std::exchange(*rng, rng_before);
    Tape nested;
    std::vector<Tensor> xs, ys;
    {
      const TapeScope scope(nested);
      const DepthScope inside;
      for (size_t i = 0; i < inputs.size(); ++i) {
        xs.push_back(inputs[i].get());
        if (b.wants(int(i))) nested.watch(xs.back());
      }
      ys = segment(xs);
    }
    if (rng) *rng = rng_now;
    std::vector<Tensor> outputs, cotangents;
    for (size_t i = 0; i < output_count; ++i) {
      if (!b.has(int(i))) continue;
      outputs.push_back(ys[i]);
      cotangents.push_back(b.dy(int(i)));
    }
    nested.backward(outputs, cotangents);
    nested.restore_leaves();
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!b.wants(int(i))) continue;
      if (const Tensor dx = nested.gradient(xs[i]); dx.defined()) b.pass(int(i), dx);
    }
  }
};

}  // namespace

bool inside_checkpoint() { return depth > 0; }

std::vector<Tensor> checkpoint(const Segment& segment, const std::vector<Tensor>& inputs, Rng* rng) {
  Tape* tape = Tape::current();
  if (!tape) return segment(inputs);
  const Rng before = rng ? *rng : Rng{};
  std::vector<Tensor> outputs;
  std::vector<Parameter*> used;
  {
    const TapeSuspension off(*tape);
    const DepthScope inside;
    ParameterLog log;
    std::vector<Tensor> untracked;
    for (const Tensor& x : inputs) untracked.push_back(x.detach());
    outputs = segment(untracked);
    used = std::move(log.parameters);
  }
  // The parameters count as inputs of this node, so that their gradients are announced after it.
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  std::vector<Tensor> parameters;
  for (Parameter* p : used) parameters.push_back(use(*p));
  std::vector<const Tensor*> all_inputs;
  for (const Tensor& x : inputs) all_inputs.push_back(&x);
  for (const Tensor& p : parameters) all_inputs.push_back(&p);
  std::vector<Tensor*> all_outputs;
  for (Tensor& y : outputs) all_outputs.push_back(&y);
  auto& node = tape->record<CheckpointNode>(std::span<const Tensor* const>(all_inputs),
                                            std::span<Tensor* const>(all_outputs));
  node.segment = segment;
  for (const Tensor& x : inputs) node.inputs.emplace_back(x);
  node.output_count = outputs.size();
  node.rng = rng;
  node.rng_before = before;
  return outputs;
}

}  // namespace engine
