// Sampling: a cached pass gives the logits of a whole pass for every kind of position and placement; the
// window slides; draws follow temperature, top-k and top-p.
#include "models/generation.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "engine/base/json.h"
#include "largest_gap.h"
#include "models/fill_mask.h"
#include "models/init.h"

using namespace engine;
using namespace models;

namespace {

std::unique_ptr<Transformer> tiny(const Json& overrides, uint64_t seed = 7) {
  Json section = {{"objective", "clm"},    {"vocab_size", 31},  {"context", 12},
                  {"layers", 2},           {"width", 16},       {"heads", 4},
                  {"ffn_width", 32},       {"norms", "pre_ln"}, {"activation", "gelu"},
                  {"positions", "learned"}};
  if (!overrides.is_null()) section.update(overrides);
  auto model = std::make_unique<Transformer>(model_config_from_section(section, "test"),
                                             nn::Precision::of(DType::f64), nn::Gradients::none);
  initialise(*model, "", seed);
  // Far from the initial state, where nearly everything is equally likely.
  Rng rng{seed, 1000};
  const Tensor& values = model->parameters().values();
  for (int64_t i = 0; i < values.numel(); ++i) values.data<double>()[i] += 0.2 * rng.normal();
  model->parameters().refresh_copies();
  return model;
}

std::vector<double> whole_pass(const Transformer& model, const Ids& ids) {
  const Tokens tokens{.ids = Tensor::from_ids(ids, {1, int64_t(ids.size())})};
  const Tensor logits = model.logits(model.hidden(tokens, model.context()));
  std::vector<double> all = logits.to_vector();
  return {all.end() - model.config().vocab_size, all.end()};
}

Ids random_ids(size_t n, uint64_t seed) {
  Rng rng{seed, 0};
  Ids ids(n);
  for (int32_t& id : ids) id = int32_t(rng.below(31));
  return ids;
}

Json longrope(int64_t original) {
  return {{"positions", "rope"},
          {"rope_scaling",
           {{"kind", "longrope"},
            {"factor", 4},
            {"original_context", original},
            {"short_factor", {1, 1.5}},
            {"long_factor", {2, 7}}}}};
}

}  // namespace

TEST_CASE("a row whose angles change as it grows is read again") {
  const auto model = tiny(longrope(6));
  const Ids ids = random_ids(12, 3);
  const auto whole = [&](size_t n) {
    return whole_pass(*model, Ids(ids.begin(), ids.begin() + ptrdiff_t(n)));
  };
  Decoder decoder(*model), other(*model);
  decoder.read(std::span(ids).first(5)), other.read(std::span(ids).first(5));
  CHECK(largest_gap(decoder.read(std::span(ids).subspan(5, 1)), whole(6)) < 1e-12);
  CHECK(largest_gap(decoder.read(std::span(ids).subspan(6, 2)), whole(8)) < 1e-12);
  decoder.rewind(5);
  CHECK(largest_gap(decoder.read(std::span(ids).subspan(5, 1)), whole(6)) < 1e-12);
  BatchReader batch(*model, 2);
  Decoder* both[] = {&decoder, &other};
  const auto logits = batch.read(both, Ids{ids[6], ids[5]});
  CHECK(largest_gap(logits[0], whole(7)) < 1e-12);
  CHECK(largest_gap(logits[1], whole(6)) < 1e-12);
}

TEST_CASE("cached logits are those of a whole pass") {
  const std::vector<Json> kinds = {
      {{"positions", "learned"}},
      {{"positions", "sinusoidal"}},
      {{"positions", "rope"}},
      {{"positions", "none"}},
      {{"norms", "normformer"}},
      {{"norms", "post_ln"}, {"positions", "rope"}},
      {{"norms", "ngpt"}, {"positions", "rope"}, {"activation", "swiglu"}},
      {{"norms", "residual"}},
      {{"norms", "b2t"}},
      {{"norms", "hybridnorm"}, {"positions", "rope"}},
      {{"kv_heads", 2}, {"positions", "rope"}},
      {{"kv_heads", 1}, {"norms", "normformer"}},
      {{"experts", 4}, {"experts_per_token", 2}, {"positions", "rope"}},
      {{"window", 3}},
      {{"window", 4}, {"window_layers", {1}}, {"positions", "rope"}},
      {{"embed_width", 6}},
      longrope(7),
  };
  for (const Json& kind : kinds) {
    INFO(kind.dump());
    const auto model = tiny(kind);
    const Ids ids = random_ids(12, 3);
    Decoder decoder(*model);
    std::vector<double> logits = decoder.read(std::span(ids).first(5));
    for (size_t n = 5;; ++n) {
      CHECK(largest_gap(logits, whole_pass(*model, {ids.begin(), ids.begin() + ptrdiff_t(n)})) < 1e-12);
      if (n == ids.size()) break;
      logits = decoder.read({&ids[n], 1});
    }
  }
}

TEST_CASE("a full context slides: the model sees the last tokens at the first positions") {
  for (const char* positions : {"learned", "sinusoidal", "rope"}) {
    const auto model = tiny({{"positions", positions}});
    const Ids ids = random_ids(40, 5);
    Decoder decoder(*model);
    std::vector<double> logits = decoder.read(std::span(ids).first(20));
    for (size_t n = 20; n < ids.size(); ++n) {
      const Ids window(ids.begin() + ptrdiff_t(n) - 12, ids.begin() + ptrdiff_t(n));
      CHECK(largest_gap(logits, whole_pass(*model, window)) < 1e-12);
      logits = decoder.read({&ids[n], 1});
    }
    // Back to the prompt and on again: the same as the first time.
    decoder.rewind(20);
    CHECK(decoder.tokens().size() == 20);
    logits = decoder.read({&ids[20], 1});
    CHECK(largest_gap(logits, whole_pass(*model, {ids.begin() + 9, ids.begin() + 21})) < 1e-12);
  }
}

TEST_CASE("slides of several tokens keep at least context - slide + 1 of them") {
  const auto model = tiny({});
  const Ids ids = random_ids(30, 6);
  Decoder decoder(*model, 4);
  size_t begin = 0;  // of the window by the rule: whole slides until it fits
  for (size_t n = 1; n <= ids.size(); ++n) {
    const std::vector<double> logits = decoder.read({&ids[n - 1], 1});
    while (n - begin > 12) begin += 4;
    CHECK(largest_gap(logits, whole_pass(*model, {ids.begin() + ptrdiff_t(begin),
                                                  ids.begin() + ptrdiff_t(n)})) < 1e-12);
  }
  CHECK_THROWS_WITH(Decoder(*model, 13), "generate: slide 13 must be from 1 to the model's context of 12");
}

TEST_CASE("rewinding gives every sample the same start") {
  const auto model = tiny({{"norms", "normformer"}, {"positions", "rope"}});
  const Ids prompt = random_ids(4, 8);
  Decoder decoder(*model);
  const std::vector<double> first = decoder.read(prompt);
  const auto draw = [&](uint64_t offset, const Sampling& sampling) {
    decoder.rewind(prompt.size());
    Rng rng{11, offset};
    Ids out;
    generate(decoder, first, {.sampling = sampling, .max_tokens = 30}, rng,
             [&](int32_t id) { return out.push_back(id), true; });
    return out;
  };
  CHECK(draw(0, {.temperature = 0}) == draw(99, {.temperature = 0}));
  CHECK(draw(0, {}) == draw(0, {}));
  CHECK(draw(0, {}) != draw(99, {}));
}

TEST_CASE("generation stops where it is told to") {
  const auto model = tiny({});
  const Ids prompt = random_ids(4, 8);
  Ids greedy;
  const auto run = [&](GenerateOptions options, bool keep_going = true) {
    options.sampling.temperature = 0;
    Decoder decoder(*model);
    Rng rng{1, 0};
    greedy.clear();
    return generate(decoder, decoder.read(prompt), options, rng,
                    [&](int32_t id) { return greedy.push_back(id), keep_going; });
  };
  CHECK(run({.max_tokens = 8}) == 8);
  const int32_t first = greedy[0];
  CHECK(run({.max_tokens = 8, .stops = {-1, first}}) == 0);
  CHECK(greedy.empty());
  CHECK(run({.max_tokens = 8}, false) == 1);
  // The most likely token is beyond the vocabulary: it is never drawn.
  CHECK(run({.max_tokens = 1, .vocabulary = first}) == 1);
  CHECK(greedy[0] < first);
}

TEST_CASE("candidates are what temperature, top-k and top-p leave") {
  const std::vector<double> logits = {std::log(0.1), std::log(0.4), std::log(0.2), std::log(0.3)};
  const auto ids = [&](const Sampling& s) {
    Ids out;
    double sum = 0;
    for (const Candidate& c : candidates(logits, s)) out.push_back(c.id), sum += c.probability;
    CHECK(sum == Approx(1).epsilon(1e-12));
    return out;
  };
  CHECK(ids({}) == Ids{1, 3, 2, 0});
  CHECK(ids({.temperature = 0}) == Ids{1});
  // All are all, also those that the sum does not feel.
  CHECK(candidates(std::vector<double>{-90, 0, -60}, {}).size() == 3);
  CHECK(ids({.top_k = 2}) == Ids{1, 3});
  CHECK(ids({.top_k = 99}) == Ids{1, 3, 2, 0});
  CHECK(ids({.top_p = 0.35}) == Ids{1});
  CHECK(ids({.top_p = 0.65}) == Ids{1, 3});
  CHECK(ids({.top_p = 0.75}) == Ids{1, 3, 2});
  CHECK(ids({.top_k = 3, .top_p = 0.7}) == Ids{1, 3});  // 0.7 / 0.9 of what top-k left
  CHECK(candidates(logits, {.top_k = 2})[0].probability == Approx(4.0 / 7));
  CHECK(candidates(logits, {.temperature = 0.5})[0].probability == Approx(0.16 / 0.30));
  CHECK(candidates(std::vector<double>{1, 1, 1}, {.temperature = 0})[0].id == 0);  // ties by id
}

TEST_CASE("drawn frequencies follow the probabilities") {
  const std::vector<double> logits = {std::log(0.1), std::log(0.4), std::log(0.2), std::log(0.3)};
  Rng rng{5, 0};
  const int n = 40000;
  std::map<int32_t, int> count, top2;
  for (int i = 0; i < n; ++i) {
    ++count[sample_token(logits, {}, rng)];
    ++top2[sample_token(logits, {.top_k = 2}, rng)];
  }
  double chi = 0;
  for (int id = 0; id < 4; ++id) {
    const double expected = n * std::exp(logits[size_t(id)]);
    chi += std::pow(count[id] - expected, 2) / expected;
  }
  CHECK(chi < 16.3);  // 3 degrees of freedom: passed by chance with probability 0.999
  CHECK(top2.size() == 2);
  CHECK(top2[1] + top2[3] == n);
}

TEST_CASE("fill-mask ranks the tokens of each mask") {
  const auto model = tiny({{"objective", "mlm"}, {"norms", "post_ln"}});
  const Ids ids = {3, 30, 5, 6, 30, 8};
  const auto masks = fill_mask(*model, ids, {.mask = 30, .top = 4, .vocabulary = 30});
  REQUIRE(masks.size() == 2);
  CHECK(masks[0].position == 1);
  CHECK(masks[1].position == 4);
  const Tokens tokens{.ids = Tensor::from_ids(ids, {1, 6})};
  const auto logits = model->logits(model->hidden(tokens, model->context())).to_vector();
  for (const FilledMask& m : masks) {
    const double* z = &logits[size_t(m.position) * 31];
    double sum = 0;
    for (int i = 0; i < 30; ++i) sum += std::exp(z[i]);
    REQUIRE(m.candidates.size() == 4);
    for (size_t i = 0; i < 4; ++i) {
      CHECK(m.candidates[i].probability == Approx(std::exp(z[m.candidates[i].id]) / sum).epsilon(1e-9));
      if (i > 0) CHECK(m.candidates[i].probability <= m.candidates[i - 1].probability);
    }
  }
  CHECK_THROWS_WITH(fill_mask(*model, Ids{1, 2}, {.mask = 30}), "fill-mask: the text has no mask token");
  CHECK_THROWS_WITH(fill_mask(*model, random_ids(13, 1), {.mask = random_ids(13, 1)[0]}),
                    "fill-mask: the text has 13 tokens, the model's context is 12");
  CHECK_THROWS_WITH(fill_mask(*tiny({}), Ids{30}, {.mask = 30}),
                    "fill-mask: the model's objective is clm; only a masked LM fills masks");
  CHECK_THROWS_WITH(Decoder(*model),
                    "generate: the model's objective is mlm; only a clm model continues text");
}

TEST_CASE("sampling settings and tokens that make no sense are refused") {
  const std::vector<double> logits = {0, 1}, broken = {0, NAN}, overflown = {0, 1, INFINITY},
                            none(2, -INFINITY);
  CHECK_THROWS_WITH(candidates(logits, {.temperature = -1}), "generate: temperature -1 must be 0 or more");
  CHECK_THROWS_WITH(candidates(logits, {.top_k = -2}), "generate: top-k -2 must be 0 (all) or more");
  CHECK_THROWS_WITH(candidates(logits, {.top_p = 0}), "generate: top-p 0 must be above 0 and at most 1");
  CHECK_THROWS_WITH(candidates(broken, {}), "generate: the logit of token 1 is not a number");
  CHECK_THROWS_WITH(candidates(overflown, {}), "generate: the logit of token 2 is infinite");
  CHECK_THROWS_WITH(candidates(none, {.top_k = 1}), "generate: every token's logit is -inf");
  const std::vector<double> masked = {-INFINITY, 1};
  CHECK(candidates(masked, {})[0].probability == 1);
  CHECK(candidates(masked, {})[1].probability == 0);
  const auto model = tiny({});
  Decoder decoder(*model);
  CHECK_THROWS_WITH(decoder.read({}),
                    "generate: no tokens to read (an empty prompt needs a begin-of-text token)");
  CHECK_THROWS_WITH(decoder.read(Ids{31}), "generate: token 31 is outside the model's vocabulary of 31");
}

namespace {

/// Greedy and drawn texts of several prompts, `width` together.
std::vector<Ids> texts_of(const Transformer& model, const std::vector<Ids>& prompts, BatchOptions options) {
  std::vector<TextJob> jobs;
  for (size_t p = 0; p < prompts.size(); ++p)
    for (size_t i = 0; i < 2; ++i) jobs.push_back({p, i});
  std::vector<Ids> texts(jobs.size());
  std::vector<int> ends(jobs.size(), 0);
  generate_all(
      model, prompts, jobs, options, [&](size_t job, int32_t id) { return texts[job].push_back(id), true; },
      [&](size_t job, TextEnd) { ++ends[job]; }, [] { return false; });
  for (const int n : ends) CHECK(n == 1);
  return texts;
}

const std::vector<Json> batch_kinds = {
    {{"positions", "learned"}},
    {{"positions", "sinusoidal"}, {"norms", "normformer"}},
    {{"positions", "rope"}, {"kv_heads", 2}},
    {{"positions", "none"}, {"norms", "residual"}},
    {{"norms", "ngpt"}, {"positions", "rope"}, {"activation", "swiglu"}},
};

}  // namespace

TEST_CASE("a batch of texts of unlike lengths: each is what it is alone, bit for bit at one width") {
  for (const Json& kind : batch_kinds) {
    INFO(kind.dump());
    const auto model = tiny(kind);
    const std::vector<Ids> prompts = {random_ids(3, 1), random_ids(9, 2), random_ids(1, 3),
                                      random_ids(14, 4)};
    // Texts that outgrow the context of 12 tokens at different times.
    for (const int64_t slide : {1, 4})
      for (const int64_t width : {1, 3, 5}) {
        BatchOptions options{.each = {.max_tokens = 11}, .width = width, .slide = slide};
        const std::vector<Ids> together = texts_of(*model, prompts, options);
        for (size_t p = 0; p < prompts.size(); ++p) {
          const std::vector<Ids> alone = texts_of(*model, {prompts[p]}, options);
          CHECK(together[2 * p] == alone[0]);
          CHECK(together[2 * p + 1] == alone[1]);
        }
      }
  }
}

TEST_CASE("a batch's logits are those of whole passes") {
  for (const Json& kind : batch_kinds) {
    INFO(kind.dump());
    const auto model = tiny(kind);
    std::vector<Ids> texts = {random_ids(3, 1), random_ids(11, 2), random_ids(7, 3)};
    std::vector<std::unique_ptr<Decoder>> decoders;
    std::vector<Decoder*> all;
    for (const Ids& text : texts) {
      decoders.push_back(std::make_unique<Decoder>(*model));
      decoders.back()->read(text);
      all.push_back(decoders.back().get());
    }
    BatchReader reader(*model, 4);
    for (int step = 0; step < 4; ++step) {
      const Ids next = random_ids(3, uint64_t(10 + step));
      const std::vector<std::vector<double>> logits = reader.read(all, next);
      for (size_t i = 0; i < texts.size(); ++i) {
        texts[i].push_back(next[i]);
        const size_t kept = std::min<size_t>(texts[i].size(), 12);
        CHECK(largest_gap(logits[i], whole_pass(*model, {texts[i].end() - ptrdiff_t(kept), texts[i].end()})) <
              1e-12);
        CHECK(all[i]->tokens() == texts[i]);
      }
    }
    CHECK_THROWS_WITH(reader.read(all, Ids{1, 2}), Catch::Matchers::Contains("2 tokens for 3 texts"));
    CHECK_THROWS_WITH(reader.read(all, Ids{1, 2, 31}), Catch::Matchers::Contains("token 31 is outside"));
  }
}

TEST_CASE("the repetition penalty lowers what stands in the text") {
  const std::vector<double> logits = {2, -1, 0.5, 3};
  const Ids text = {0, 1, 0, 1, 77};
  CHECK(penalised(logits, 2, text) == std::vector<double>{1, -2, 0.5, 3});
  CHECK(penalised(logits, 1, text) == logits);
  CHECK_THROWS_WITH(penalised(logits, 0, text), "generate: repetition penalty 0 must be above 0");
  const auto model = tiny({});
  BatchOptions options{.each = {.sampling = {.temperature = 0, .repetition_penalty = 1e6}, .max_tokens = 12}};
  const Ids once = texts_of(*model, {random_ids(2, 1)}, options)[0];
  CHECK(std::set<int32_t>(once.begin(), once.end()).size() == once.size());
}
