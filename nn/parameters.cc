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
  std::vector<int64_t>& offsets = offsets_;
  offsets.resize(declarations.size());
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
  elements_ = end;
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
    if (has_copy(offsets[i])) p.compute = copies_.slice(offsets[i] - copies_begin_, shape);
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
  for (const Parameter* p : declared_) n += p->compute.numel();
  return n;
}

Tensor Parameters::copies(int64_t begin, int64_t end) const {
  const int64_t b = std::max(begin, copies_begin_), e = std::min(end, copies_end_);
  if (b >= e) return {};
  check(b == begin && e == end, "parameters: [", begin, ", ", end, ") is only partly copied");
  return copies_.flat().slice(0, b - copies_begin_, e - copies_begin_);
}

void Parameters::refresh_copies() {
  if (!copies_.defined()) return;
  const auto refresh = [&](int64_t begin, int64_t end) {
    begin = std::max(begin, copies_begin_), end = std::min(end, copies_end_);
    if (begin < end) engine::convert(values(begin, end), copies(begin, end));
  };
  if (!sharded()) return refresh(0, elements_);
  for (const Piece& piece : pieces_) refresh(piece.begin, piece.end);
  refresh(whole_from_, elements_);
}

// ------------------------------------------------------------------------------------------------- pieces

Tensor Parameters::values(int64_t begin, int64_t end) const {
  if (!sharded()) return values_.flat().slice(0, begin, end);
  if (begin >= whole_from_)
    return values_.flat().slice(0, begin - whole_from_ + kept_, end - whole_from_ + kept_);
  for (const Piece& p : pieces_)
    if (begin >= p.begin && end <= p.end)
      return values_.flat().slice(0, begin - p.begin + p.at, end - p.begin + p.at);
  engine::fail("parameters: values [", begin, ", ", end, ") are not this rank's");
}

void Parameters::keep_values(std::vector<Piece> pieces, int64_t whole_from) {
  check(copies_.defined() && copies_begin_ == 0 && copies_end_ >= whole_from && !sharded() && whole_from > 0,
        "parameters: values below ", whole_from, " are read themselves, so every rank needs all of them");
  std::erase_if(pieces, [&](const Piece& p) { return p.begin >= whole_from; });
  int64_t kept = 0;
  for (Piece& p : pieces) {
    p.end = std::min(p.end, whole_from);
    p.at = kept, kept += p.end - p.begin;
  }
  const engine::Arena whole = values_;
  values_ = engine::Arena(kept + elements_ - whole_from, precision_.master, precision_.device);
  const auto take = [&](int64_t begin, int64_t end, int64_t at) {
    engine::convert(whole.flat().slice(0, begin, end), values_.flat().slice(0, at, at + end - begin));
  };
  for (const Piece& p : pieces) take(p.begin, p.end, p.at);
  take(whole_from, elements_, kept);
  pieces_ = std::move(pieces), whole_from_ = whole_from, kept_ = kept;
  place_values();
}

void Parameters::make_whole() {
  if (!sharded()) return;
  const engine::Arena held = values_;
  values_ = engine::Arena(elements_, precision_.master, precision_.device);
  const auto put = [&](int64_t begin, int64_t end, int64_t at) {
    engine::convert(held.flat().slice(0, at, at + end - begin), values_.flat().slice(0, begin, end));
  };
  for (const Piece& p : pieces_) put(p.begin, p.end, p.at);
  put(whole_from_, elements_, kept_);
  pieces_.clear(), whole_from_ = kept_ = 0;
  place_values();
}

/// The values of parameters are where the arena is now.
void Parameters::place_values() {
  for (size_t i = 0; i < declared_.size(); ++i) {
    Parameter& p = *declared_[i];
    const Shape shape = p.compute.shape();
    p.value = offsets_[i] < whole_from_ ? Tensor() : values_.slice(offsets_[i] - whole_from_ + kept_, shape);
    if (!has_copy(offsets_[i])) p.compute = p.value;
  }
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
