// Log-likelihoods of families with shared beginnings against one pass for each row alone.
#include "train/evaluation/log_likelihood.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "models/init.h"

using namespace train;
using Catch::Matchers::Contains;
using engine::Json;
using engine::Tensor;

namespace {

constexpr int kVocabulary = 23, kContext = 12;

/// A model far from its initial state, so that what a token sees changes its likelihood.
std::unique_ptr<models::Transformer> model_of(const Json& overrides,
                                              engine::DType dtype = engine::DType::f64) {
  Json section = {{"objective", "clm"},   {"vocab_size", kVocabulary},
                  {"context", kContext},  {"layers", 2},
                  {"width", 16},          {"heads", 2},
                  {"ffn_width", 32},      {"norms", "pre_ln"},
                  {"activation", "gelu"}, {"positions", "learned"}};
  section.update(overrides);
  auto model = std::make_unique<models::Transformer>(models::model_config_from_section(section, "test"),
                                                     nn::Precision::of(dtype), nn::Gradients::none);
  models::initialise(*model, "", 3);
  engine::Rng rng{3, 1000};
  const Tensor& values = model->parameters().values();
  std::vector<double> moved = values.to_vector();
  for (double& x : moved) x += 0.2 * rng.normal();
  values.copy_from(Tensor::from(moved, values.shape()));
  model->parameters().refresh_copies();
  return model;
}

/// The row alone, as the definition has it.
LogLikelihood alone(const models::Transformer& model, const ScoreRequest& request, int64_t context) {
  const size_t kept = std::min(request.ids.size(), size_t(context) + 1);
  const std::vector<int32_t> ids(request.ids.end() - ptrdiff_t(kept), request.ids.end());
  const std::vector<int32_t> fed(ids.begin(), ids.end() - 1);
  const engine::TapeScope off(nullptr);
  const std::vector<double> z =
      model.logits(model.hidden({.ids = Tensor::from_ids(fed, {1, int64_t(fed.size())})}, model.context()))
          .to_vector();
  LogLikelihood out{.greedy = true};
  for (size_t t = ids.size() - size_t(request.scored); t < ids.size(); ++t) {
    const double* row = z.data() + (t - 1) * size_t(kVocabulary);
    double sum = 0;
    for (int v = 0; v < kVocabulary; ++v) sum += std::exp(row[v]);
    out.sum += row[ids[t]] - std::log(sum);
    out.greedy = out.greedy && std::max_element(row, row + kVocabulary) - row == ids[t];
  }
  return out;
}

/// Families of all shapes: one member, none alike, one that continues another, equal ones, long ones.
std::vector<ScoreFamily> many_families() {
  engine::Rng rng{7, 0};
  std::vector<ScoreFamily> out;
  for (int f = 0; f < 40; ++f) {
    std::vector<int32_t> start;
    const int64_t shared = int64_t(rng.below(15));
    for (int64_t i = 0; i < shared; ++i) start.push_back(int32_t(rng.below(kVocabulary)));
    ScoreFamily family;
    const int64_t members = 1 + int64_t(rng.below(4));
    for (int64_t m = 0; m < members; ++m) {
      std::vector<int32_t> ids = start;
      const int64_t rest = (shared == 0 ? 2 : 1) + int64_t(rng.below(6));
      for (int64_t i = 0; i < rest; ++i) ids.push_back(int32_t(rng.below(3)));
      family.push_back(
          {ids, 1 + int64_t(rng.below(uint64_t(std::min<int64_t>(int64_t(ids.size()) - 1, 6))))});
    }
    if (f % 5 == 0) family.push_back(family[0]);
    out.push_back(family);
  }
  return out;
}

}  // namespace

TEST_CASE("a family's members have the likelihoods that each has alone, whatever the batch") {
  const auto families = many_families();
  for (const Json& overrides :
       {Json::object(), Json{{"positions", "rope"}, {"norms", "hybridnorm"}, {"kv_heads", 1}},
        Json{{"positions", "sinusoidal"}, {"norms", "normformer"}}}) {
    const auto model = model_of(overrides);
    for (const int64_t batch : {1, 3, 64})
      for (const int64_t context : {kContext, 6}) {
        INFO(overrides << " batch " << batch << " context " << context);
        const auto scores = log_likelihoods(*model, families, {context, kVocabulary, batch, {}});
        for (size_t f = 0; f < families.size(); ++f)
          for (size_t m = 0; m < families[f].size(); ++m) {
            const LogLikelihood expected = alone(*model, families[f][m], context);
            CHECK(scores[f][m].sum == Approx(expected.sum).epsilon(1e-11));
            CHECK(scores[f][m].greedy == expected.greedy);
          }
      }
  }
}

TEST_CASE("rows whose angles depend on their length are read by side of that length, whatever the batch") {
  const auto families = many_families();
  const auto model = model_of({{"positions", "rope"},
                               {"rope_scaling",
                                {{"kind", "longrope"},
                                 {"original_context", 7},
                                 {"factor", 2},
                                 {"short_factor", {1.0, 1.2, 1.4, 1.6}},
                                 {"long_factor", {1.5, 3.0, 6.0, 9.0}}}}});
  for (const int64_t batch : {1, 3, 64}) {
    INFO("batch " << batch);
    const auto scores = log_likelihoods(*model, families, {kContext, kVocabulary, batch, {}});
    for (size_t f = 0; f < families.size(); ++f)
      for (size_t m = 0; m < families[f].size(); ++m) {
        const LogLikelihood expected = alone(*model, families[f][m], kContext);
        CHECK(scores[f][m].sum == Approx(expected.sum).epsilon(1e-11));
        CHECK(scores[f][m].greedy == expected.greedy);
      }
  }
  // A family of which only one side was scored when it was stopped has no scores.
  const ScoreFamily both = {{{1, 2, 3}, 1}, {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 1}};
  const auto stopped = log_likelihoods(
      *model, {both}, {kContext, kVocabulary, 8, [](const std::vector<size_t>&) { return false; }});
  CHECK(stopped[0].empty());
}

TEST_CASE("families without a common beginning are the first that a model reads") {
  const auto model = model_of({{"positions", "rope"}, {"rope_theta", 777}});  // angles that no test has had
  const ScoreFamily family = {{{1, 2}, 1}, {{2, 2}, 1}};
  const auto scores = log_likelihoods(*model, {family}, {kContext, kVocabulary, 8, {}});
  for (size_t m = 0; m < family.size(); ++m)
    CHECK(scores[0][m].sum == Approx(alone(*model, family[m], kContext).sum).epsilon(1e-11));
}

TEST_CASE("likelihoods have the same bits for any number of threads") {
  const auto model = model_of(Json::object(), engine::DType::f32);
  const auto families = many_families();
  const int before = engine::cpu::thread_count();
  std::vector<std::vector<LogLikelihood>> first;
  for (const int threads : {1, 2, 5}) {
    engine::cpu::set_thread_count(threads);
    const auto scores = log_likelihoods(*model, families, {kContext, kVocabulary, 8, {}});
    if (first.empty()) first = scores;
    for (size_t f = 0; f < families.size(); ++f)
      for (size_t m = 0; m < families[f].size(); ++m) CHECK(scores[f][m].sum == first[f][m].sum);
  }
  engine::cpu::set_thread_count(before);
}

TEST_CASE("columns of padding have no part in likelihoods, and a tie goes to the lowest id") {
  const auto model = model_of({{"vocab_size", 32}});
  // Two equal rows of the tied embedding give equal logits.
  const Tensor weight = (*model->parameters().find("embed.tokens.weight")).value;
  weight.slice(0, 5, 6).copy_from(weight.slice(0, 4, 5));
  model->parameters().refresh_copies();
  const std::vector<ScoreFamily> families = {{{{1, 2, 4}, 1}, {{1, 2, 5}, 1}}};
  const auto scores = log_likelihoods(*model, families, {kContext, kVocabulary, 8, {}});
  CHECK(scores[0][0].sum == scores[0][1].sum);
  CHECK(!scores[0][1].greedy);
  double total = 0;
  for (int32_t v = 0; v < kVocabulary; ++v)
    total += std::exp(log_likelihoods(*model, {{{{1, 2, v}, 1}}}, {kContext, kVocabulary, 8, {}})[0][0].sum);
  CHECK(total == Approx(1).epsilon(1e-12));
}

TEST_CASE("a model whose numbers are none gives no likelihood, and is never greedy") {
  const auto model = model_of(Json::object());
  model->parameters().values().fill(NAN);
  const auto scores = log_likelihoods(*model, {{{{1, 2, 0}, 1}}}, {kContext, kVocabulary, 8, {}});
  CHECK(std::isnan(scores[0][0].sum));
  CHECK(!scores[0][0].greedy);
}

TEST_CASE("what cannot be scored is an error, and a stop keeps what is scored") {
  const auto model = model_of(Json::object());
  const auto run = [&](const ScoreRequest& request) {
    return log_likelihoods(*model, {{request}}, {kContext, kVocabulary, 8, {}});
  };
  CHECK_THROWS_WITH(run({{1}, 1}), Contains("1 scored tokens of 1"));
  CHECK_THROWS_WITH(run({{1, 2}, 0}), Contains("at least one must be scored"));
  CHECK_THROWS_WITH(run({std::vector<int32_t>(14, 1), 13}), Contains("does not fit in a context of 12"));
  CHECK_THROWS_WITH(run({{1, 23}, 1}), Contains("token 23 is outside the vocabulary of 23"));
  const auto families = many_families();
  size_t calls = 0;
  const auto scores = log_likelihoods(
      *model, families, {kContext, kVocabulary, 8, [&](const std::vector<size_t>&) { return ++calls < 2; }});
  size_t scored = 0;
  for (const auto& s : scores) scored += !s.empty();
  CHECK(scored == 16);
}
