// Positions of a masked LM with a position offset: padding, the id before the offset, is not counted, as in
// fairseq and RoBERTa.
#include <catch2/catch.hpp>

#include "models/init.h"
#include "models/model_gradcheck.h"
#include "models/token_file.h"

using namespace engine;
using namespace models;

namespace {

constexpr int64_t pad = 1;

std::unique_ptr<Transformer> masked_lm() {
  ModelConfig config = gradcheck_config("post_ln", Objective::mlm);
  config.position_offset = pad + 1;
  config.context = 8;
  auto model = std::make_unique<Transformer>(checked(config), nn::Precision::of(DType::f64));
  draw_generic_values(*model, 17);
  return model;
}

Tensor hidden(const Transformer& model, const std::vector<int32_t>& ids,
              const std::vector<double>& mask = {}) {
  const Shape shape = {1, int64_t(ids.size())};
  Tokens tokens{Tensor::from_ids(ids, shape), {}, {}};
  if (!mask.empty()) tokens.key_mask = Tensor::from(mask, shape, DType::u8);
  return model.hidden(tokens, model.context());
}

void check_rows(const Tensor& a, int64_t first, const Tensor& b) {
  const std::vector<double> x = a.slice(1, first, first + b.size(1)).to_vector(), y = b.to_vector();
  REQUIRE(x.size() == y.size());
  for (size_t i = 0; i < x.size(); ++i) CHECK(std::fabs(x[i] - y[i]) < 1e-12);
}

}  // namespace

TEST_CASE("positions: padding on any side changes nothing of the row between") {
  const auto model = masked_lm();
  const Tensor plain = hidden(*model, {3, 4, 5});
  check_rows(hidden(*model, {pad, pad, 3, 4, 5}, {0, 0, 1, 1, 1}), 2, plain);
  check_rows(hidden(*model, {3, 4, 5, pad, pad}, {1, 1, 1, 0, 0}), 0, plain);
  check_rows(hidden(*model, {pad, 3, 4, 5, pad}, {0, 1, 1, 1, 0}), 1, plain);
  // Inside a row it is seen, at the position before the first; what follows goes on counting.
  const Tensor inside = hidden(*model, {3, pad, 4, 5}, {1, 0, 1, 1});
  check_rows(inside.slice(1, 0, 1), 0, plain.slice(1, 0, 1));
  check_rows(inside, 2, plain.slice(1, 1, 3));
}

TEST_CASE("positions: padding itself stands at the position that has its id") {
  const auto model = masked_lm();
  const Tensor before = hidden(*model, {3, pad, 4});
  Tensor row = model->parameters()["embed.positions.weight"].value.slice(0, pad, pad + 1);
  row.copy_from(Tensor::zeros(row.shape(), row.dtype()));
  model->parameters().refresh_copies();
  CHECK(before.to_vector() != hidden(*model, {3, pad, 4}).to_vector());
  const Tensor plain = hidden(*model, {3, 4});
  row.copy_from(Tensor::full(row.shape(), 5, row.dtype()));
  model->parameters().refresh_copies();
  CHECK(plain.to_vector() == hidden(*model, {3, 4}).to_vector());
}
