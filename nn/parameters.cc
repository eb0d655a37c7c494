// Read first: parameters.h.
#include "nn/parameters.h"

#include <algorithm>

#include "engine/base/text.h"
#include "engine/ops/optimizer.h"

namespace nn {

using engine::check;

Parameters::Parameters(const std::vector<Declaration>& declarations, const Precision& precision,
                       Gradients gradients)
    : precision_(precision) {
  storage_.reserve(declarations.size());  // parameters must not move: modules point to them
  for (const Declaration& d : declarations) {
    storage_.emplace_back();
    Parameter& p = storage_.back();
    p.name = d.name;
    declared_.push_back(&p);
    groups_[&p] = d.group;
    check(by_name_.emplace(d.name, &p).second, "parameters: \"", d.name, "\" is declared twice");
  }
  lay_out(declarations, gradients);
}

void Parameters::lay_out(const std::vector<Declaration>& declarations, Gradients gradients) {
  std::vector<int64_t> offsets(declarations.size());
  int64_t end = 0;
  for (int group = 0; group < kParameterGroups; ++group) {
    ranges_[group].first = end;
    for (size_t i = 0; i < declarations.size(); ++i) {
      if (int(declarations[i].group) != group) continue;
      offsets[i] = end;
      const int64_t n = declarations[i].shape.numel();
      check(n < (int64_t(1) << 56) - end, "parameters: too many elements");
      end += (n + engine::kArenaAlignment - 1) / engine::kArenaAlignment * engine::kArenaAlignment;
    }
    ranges_[group].second = end;
  }
  values_ = engine::Arena(end, precision_.master, precision_.device);
  if (gradients == Gradients::allocated) grads_ = engine::Arena(end, precision_.grad, precision_.device);

  // Ops read matrices and embeddings in the compute dtype, vectors (gains, biases) in at least f32.
  const int64_t matrices_end = ranges_[int(ParameterGroup::embedding)].second;
  const DType vectors = engine::compute_dtype(precision_.compute);
  DType copy_dtype = precision_.master;
  if (precision_.master != precision_.compute)
    copies_end_ = matrices_end, copy_dtype = precision_.compute;
  else if (precision_.master != vectors)
    copies_begin_ = matrices_end, copies_end_ = end, copy_dtype = vectors;
  if (copies_end_ > copies_begin_)
    copies_ = engine::Arena(copies_end_ - copies_begin_, copy_dtype, precision_.device);

  for (size_t i = 0; i < declarations.size(); ++i) {
    Parameter& p = *declared_[i];
    const Shape& shape = declarations[i].shape;
    p.value = p.compute = values_.slice(offsets[i], shape);
    if (copies_.defined() && offsets[i] >= copies_begin_ && offsets[i] < copies_end_)
      p.compute = copies_.slice(offsets[i] - copies_begin_, shape);
    if (grads_.defined()) p.grad = grads_.slice(offsets[i], shape);
  }
}

Parameter* Parameters::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Parameter& Parameters::operator[](const std::string& name) const {
  Parameter* p = find(name);
  if (!p) {
    std::vector<std::string> names;
    for (const auto& [known, parameter] : by_name_) names.push_back(known);
    engine::fail("no parameter \"", name, "\"", engine::near_hint(name, names, " (nearest: \""));
  }
  return *p;
}

int64_t Parameters::count() const {
  int64_t n = 0;
  for (const Parameter* p : declared_) n += p->value.numel();
  return n;
}

Tensor Parameters::copies(int64_t begin, int64_t end) const {
  const int64_t b = std::max(begin, copies_begin_), e = std::min(end, copies_end_);
  if (b >= e) return {};
  check(b == begin && e == end, "parameters: [", begin, ", ", end, ") is only partly copied");
  return copies_.flat().slice(0, b - copies_begin_, e - copies_begin_);
}

void Parameters::refresh_copies() {
  if (copies_.defined()) engine::convert(values_.flat().slice(0, copies_begin_, copies_end_), copies_.flat());
}

void Parameters::clear_gradients() {
  for (Parameter* p : declared_) p->grad_written = false;
}

void Parameters::complete_gradients() {
  for (Parameter* p : declared_) {
    if (!p->grad_written) p->grad.fill(0);
    p->grad_written = true;
  }
}

}  // namespace nn
