// The code of docs/05-transformer.md and the answers to its exercises. book_test.py compares the page with
// this file.
#include <catch2/catch.hpp>
#include <cmath>
#include <map>

#include "engine/ops/attention.h"
#include "engine/ops/embedding.h"
#include "engine/ops/loss.h"
#include "engine/ops/optimizer.h"
#include "models/init.h"
#include "models/parameter_list.h"
#include "models/transformer.h"

using namespace engine;

namespace {

const std::string text =
    "she sells sea shells by the sea shore, and the shells that she sells are sea shells. ";

/// Characters as ids, in the order in which they are met.
std::vector<int32_t> ids_of(const std::string& s) {
  std::map<char, int32_t> known;
  std::vector<int32_t> ids;
  for (char c : s) ids.push_back(known.emplace(c, int32_t(known.size())).first->second);
  return ids;
}

/// Nats a token of the best table: counts of pairs.
double counted_bigram_loss(const std::vector<int32_t>& ids) {
  std::map<std::pair<int32_t, int32_t>, double> pairs;
  std::map<int32_t, double> firsts;
  for (size_t i = 0; i + 1 < ids.size(); ++i) ++pairs[{ids[i], ids[i + 1]}], ++firsts[ids[i]];
  double loss = 0;
  for (const auto& [pair, count] : pairs) loss -= count * std::log(count / firsts[pair.first]);
  return loss / double(ids.size() - 1);
}

models::ModelConfig small_model(int64_t vocabulary) {
  models::ModelConfig c;
  c.layers = 2, c.width = 8, c.heads = 2, c.ffn_width = 32, c.vocab_size = vocabulary, c.context = 4;
  c.bias = {false, false, false};
  models::set_norms(c, "pre_ln");
  return models::checked(c);
}

/// Causal attention of one head with channels of one number.
std::vector<double> attended(const std::vector<double>& q, const std::vector<double>& k,
                             const std::vector<double>& v) {
  const Shape shape = {1, int64_t(q.size()), 1};
  return attention(Tensor::from(q, shape), Tensor::from(k, shape), Tensor::from(v, shape), {.causal = true})
      .to_vector();
}

}  // namespace

TEST_CASE("page 5: a bigram model learns what can be counted") {
  const std::vector<int32_t> ids = ids_of(text);
  const int64_t n = int64_t(ids.size()) - 1, V = *std::max_element(ids.begin(), ids.end()) + 1;
  const Tensor now = Tensor::from_ids({ids.begin(), ids.end() - 1}, {n}),
               next = Tensor::from_ids({ids.begin() + 1, ids.end()}, {n});
  Tensor table = Tensor::zeros({V, V}, DType::f32);
  for (int step = 0; step < 500; ++step) {
    Tape tape;
    Tensor loss;
    {
      TapeScope scope(tape);
      tape.watch(table);
      loss = cross_entropy(embedding(now, table, 1, DType::f32), next);
    }
    tape.backward(loss);
    sgd_step(table, tape.gradient(table), {}, {.lr = 20, .gradient_factor = 1.0 / double(n)});
  }
  const double learned = cross_entropy(embedding(now, table, 1, DType::f32), next).item() / double(n);
  const double counted = counted_bigram_loss(ids);
  CHECK(learned > counted);
  CHECK(learned < counted + 0.02);
}

TEST_CASE("exercise 5.1: the first loss") {
  models::Transformer model(small_model(50), nn::Precision::of(DType::f32));
  models::initialise(model, "gpt2", 1);
  const auto loss_of = [](const models::Transformer& m) {
    const Tensor ids = Tensor::from_ids({1, 7, 49, 20}, {1, 4}),
                 labels = Tensor::from_ids({7, 49, 20, 3}, {1, 4});
    return m.loss(m.hidden({.ids = ids}, m.context()), labels).item() / 4;
  };
  CHECK(loss_of(model) == Approx(std::log(50)).epsilon(0.02));
}

TEST_CASE("exercise 5.2: what causal attention sees") {
  const auto o = attended({1, 2, 3}, {1, -1, 2}, {10, 20, 60}),
             changed = attended({1, 2, 3}, {1, -1, 2}, {10, 20, 61});
  CHECK(o[0] == Approx(10));
  CHECK((changed[0] == o[0] && changed[1] == o[1] && changed[2] != o[2]));
}

TEST_CASE("exercise 5.3: without a question") {
  const auto mean_of_seen = attended({0, 0, 0}, {1, -1, 2}, {10, 20, 60});
  CHECK(mean_of_seen[1] == Approx((10 + 20) / 2.0));
  CHECK(mean_of_seen[2] == Approx((10 + 20 + 60) / 3.0));
}

TEST_CASE("exercise 5.4: counting parameters") { CHECK(models::parameter_count(small_model(10)) == 1728); }

TEST_CASE("exercise 5.5: gradients of logits") {
  Tensor z = Tensor::from({1, 2, -1, 0, 0.5, 3}, {2, 3}), loss;
  Tape tape;
  {
    TapeScope scope(tape);
    tape.watch(z);
    loss = cross_entropy(z, Tensor::from_ids({2, 0}, {2}));
  }
  tape.backward(loss);
  const auto dz = tape.gradient(z).to_vector();
  for (int t = 0; t < 2; ++t) CHECK(std::fabs(dz[3 * t] + dz[3 * t + 1] + dz[3 * t + 2]) < 1e-12);
}
