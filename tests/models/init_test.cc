// The init rules of models/init.h: moments and bounds of every kind of parameter, independence of what else a
// model has, Admin's profiling pass, nGPT's sphere.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>

#include "largest_gap.h"
#include "models/init.h"
#include "models/model_gradcheck.h"

using namespace engine;
using namespace models;

namespace {

constexpr double d = 64, f = 128, L = 3, V = 300;

ModelConfig config_of(const std::string& norms, const char* more = "{}") {
  Json json = {{"objective", "clm"},  {"vocab_size", int(V)}, {"context", 32},
               {"layers", int(L)},    {"width", int(d)},      {"heads", 4},
               {"ffn_width", int(f)}, {"activation", "gelu"}, {"positions", "learned"},
               {"tied", false},       {"norms", norms}};
  json.update(parse_json(more, "test"));
  return model_config_from_section(json, "test");
}

struct Moments {
  double deviation = 0, largest = 0;
};
Moments moments(const std::vector<double>& v, size_t begin, size_t end) {
  double squares = 0, largest = 0;
  for (size_t i = begin; i < end; ++i) squares += v[i] * v[i], largest = larger(largest, v[i]);
  return {std::sqrt(squares / double(end - begin)), largest};
}

enum class Law { normal, truncated, uniform, zero };
/// What a rule promises of a parameter; `size` is sigma, or the bound of a uniform law.
struct Promise {
  const char *rule, *name;
  Law law;
  double size;
};

void check_law(const Promise& p, const std::vector<double>& values, size_t begin, size_t end) {
  const Moments m = moments(values, begin, end);
  // A truncated normal at 3 sigma has 0.9866 of sigma; uniform in +-b has b / sqrt 3.
  const double ratio = p.law == Law::uniform ? 1 / std::sqrt(3.0) : p.law == Law::truncated ? 0.98658 : 1;
  const double most = p.law == Law::uniform ? 1 : p.law == Law::truncated ? 3 : 6;
  if (p.law == Law::zero) {
    CHECK(m.largest == 0);
    return;
  }
  const double n = double(end - begin);
  CHECK(m.deviation == Approx(p.size * ratio).epsilon(3.5 / std::sqrt(2 * n)));
  CHECK(m.largest <= p.size * most * (1 + 1e-6));
  CHECK(m.largest > p.size * (p.law == Law::uniform ? 0.9 : 1.5));
}

}  // namespace

TEST_CASE("init: laws of every rule") {
  const double beta = std::pow(8 * L, -0.25), gamma = std::sqrt(std::log(2 * L)),
               depth = 1 / std::sqrt(2 * L), mega = 1 / std::sqrt(2.5 * d), root = 1 / std::sqrt(d),
               xavier = std::sqrt(6 / (2 * d));
  const std::string out = "layers.1.attn.out.weight", up = "layers.1.ffn.up.weight";
  const Promise promises[] = {
      {"fairseq", "embed.tokens.weight", Law::normal, root},
      {"fairseq", "layers.1.attn.qkv.weight", Law::uniform, std::sqrt(1.5 / d)},
      {"fairseq", "layers.1.attn.qkv.bias", Law::uniform, root},
      {"fairseq", "layers.1.attn.out.weight", Law::uniform, std::sqrt(3 / d)},
      {"fairseq", "layers.1.attn.out.bias", Law::zero, 0},
      {"fairseq", "layers.1.ffn.up.weight", Law::uniform, root},
      {"fairseq", "layers.1.ffn.up.bias", Law::uniform, root},
      {"fairseq", "layers.1.ffn.down.weight", Law::uniform, 1 / std::sqrt(f)},
      {"fairseq", "layers.1.ffn.down.bias", Law::uniform, 1 / std::sqrt(f)},
      {"admin", "layers.1.ffn.down.weight", Law::uniform, 1 / std::sqrt(f)},
      {"bert", "embed.tokens.weight", Law::normal, 0.02},
      {"bert", "layers.2.ffn.down.weight", Law::normal, 0.02},
      {"bert", "layers.2.ffn.down.bias", Law::zero, 0},
      {"gpt2", "layers.2.attn.out.weight", Law::normal, 0.02},
      {"gpt3", "layers.2.attn.qkv.weight", Law::normal, 0.02},
      {"gpt3", "layers.2.attn.out.weight", Law::normal, 0.02 * depth},
      {"gpt3", "layers.2.ffn.down.weight", Law::normal, 0.02 * depth},
      {"megatron", "embed.tokens.weight", Law::truncated, mega},
      {"megatron", "layers.0.ffn.up.weight", Law::truncated, mega},
      {"megatron", "layers.0.attn.out.weight", Law::truncated, mega * depth},
      {"megatron", "layers.0.ffn.down.weight", Law::truncated, mega * depth},
      {"megatron", "head.weight", Law::truncated, root},
      {"normal", "layers.0.ffn.down.weight", Law::truncated, mega},
      {"depth", "layers.2.attn.qkv.weight", Law::truncated, root},
      {"depth", "layers.2.attn.out.weight", Law::truncated, 1 / std::sqrt(2 * d * 3)},
      {"depth", "layers.0.ffn.down.weight", Law::truncated, 1 / std::sqrt(2 * f)},
      {"deepnorm", "layers.1.attn.out.weight", Law::uniform, beta * xavier},
      {"deepnorm", "layers.1.ffn.up.weight", Law::uniform, beta * std::sqrt(6 / (d + f))},
      {"deepnorm", "layers.1.ffn.up.bias", Law::zero, 0},
      {"subln", "layers.1.attn.out.weight", Law::uniform, gamma * xavier},
      {"subln", "layers.1.ffn.down.weight", Law::uniform, gamma / std::sqrt(f)},
  };
  for (const Promise& p : promises) {
    INFO(p.rule << " " << p.name);
    Transformer model(config_of("pre_ln"), nn::Precision::of(DType::f64), nn::Gradients::none);
    initialise(model, p.rule, 5);
    const std::vector<double> values = model.parameters()[p.name].value.to_vector();
    check_law(p, values, 0, values.size());
  }
  // Rows of qkv differ where values are scaled and queries are not.
  for (const auto& [rule, qk, v] : {std::tuple("deepnorm", xavier, beta * xavier),
                                    std::tuple("subln", std::sqrt(1.5 / d), gamma * std::sqrt(1.5 / d))}) {
    INFO(rule);
    Transformer model(config_of("pre_ln"), nn::Precision::of(DType::f64), nn::Gradients::none);
    initialise(model, rule, 5);
    const std::vector<double> qkv = model.parameters()["layers.0.attn.qkv.weight"].value.to_vector();
    check_law({rule, "q, k", Law::uniform, qk}, qkv, 0, size_t(2 * d * d));
    check_law({rule, "v", Law::uniform, v}, qkv, size_t(2 * d * d), qkv.size());
  }
}

TEST_CASE("init: norms, gains and scales start at their constants") {
  Transformer model(
      config_of("attn{in=dyt out=ln gain=inner branch=vector(0.25)} ffn{mid=rms res=scalar branch=shared(0)} "
                "final=ln"),
      nn::Precision::of(DType::f64), nn::Gradients::none);
  initialise(model, "fairseq", 1);
  const std::pair<const char*, double> constants[] = {
      {"layers.0.attn.in_norm.weight", 1},  {"layers.0.attn.in_norm.bias", 0},
      {"layers.0.attn.in_norm.alpha", 0.5}, {"layers.0.attn.out_norm.weight", 1},
      {"layers.0.attn.head_gain", 1},       {"layers.0.attn.branch_scale", 0.25},
      {"layers.0.ffn.mid_norm.weight", 1},  {"layers.0.ffn.res_scale", 1},
      {"layers.0.branch_scale", 0},         {"final_norm.bias", 0}};
  for (const auto& [name, value] : constants) {
    INFO(name);
    for (const double x : model.parameters()[name].value.to_vector()) CHECK(x == value);
  }
}

TEST_CASE("init: a parameter's values depend on its name and the seed alone") {
  const auto values = [](const std::string& norms, uint64_t seed, const char* more = "{}") {
    Transformer model(config_of(norms, more), nn::Precision::of(DType::f32), nn::Gradients::none);
    initialise(model, "gpt2", seed);
    return model.parameters()["layers.2.ffn.up.weight"].value.to_vector();
  };
  const std::vector<double> base = values("pre_ln", 1);
  CHECK(values("normformer+r", 1) == base);
  CHECK(values("hybridnorm*", 1, R"({"tied": true, "positions": "rope", "bias": false})") == base);
  CHECK(values("pre_ln", 1, R"({"layers": 5, "vocab_size": 40})") == base);
  CHECK(values("pre_ln", 2) != base);
}

TEST_CASE("init: an unknown rule is named with its nearest") {
  Transformer model(config_of("pre_ln"), nn::Precision::of(DType::f32), nn::Gradients::none);
  CHECK_THROWS_WITH(initialise(model, "megatrom", 1),
                    Catch::Contains("megatrom") && Catch::Contains("\"megatron\""));
}

TEST_CASE("init: Admin's profile is the root of the variance gathered so far") {
  Transformer model(config_of("admin"), nn::Precision::of(DType::f64), nn::Gradients::none);
  initialise(model, "", 3);
  const TokenBatch batch = random_batch(model.config(), 4, 2);
  admin_profile(model, input_rows(model.config(), batch.tokens));
  double before = 0;
  for (int64_t i = 0; i < 2 * model.config().layers; ++i) {
    const std::string name = "layers." + std::to_string(i / 2) + (i % 2 ? ".ffn" : ".attn") + ".res_scale";
    const std::vector<double> omega = model.parameters()[name].value.to_vector();
    for (const double w : omega) CHECK(w == omega[0]);
    if (i == 0) CHECK(omega[0] == 1);
    CHECK(omega[0] > (i == 0 ? 0 : i == 1 ? 0.0 : before));  // after the first norm variance only grows
    before = omega[0];
  }
}

TEST_CASE("init: Admin is refused where a sublayer has no residual scale of its own") {
  CHECK_NOTHROW(check_init(config_of("admin"), ""));
  CHECK_NOTHROW(check_init(config_of("attn{res=scalar} ffn{res=vector}"), "admin"));
  CHECK_THROWS_WITH(check_init(config_of("pre_ln"), "admin"), Catch::Contains("layer 0 has none in attn{}"));
  CHECK_THROWS_WITH(check_init(config_of("attn{res=vector} ffn{res=vector} init=admin; 1: ffn{res=0.5}"), ""),
                    Catch::Contains("layer 1 has none in ffn{}"));
}

TEST_CASE("init: Admin's scales follow from the variances of post-norm") {
  // At scale one Admin is post-norm: v = 1; scale_i = sqrt(v); v <- v Var(x_i) + Var(branch_i).
  struct Variances : nn::Probe {
    std::vector<double> residual, branch;
    static double of(const Tensor& t) {
      const std::vector<double> x = t.to_vector();
      double mean = 0, sum = 0;
      for (const double value : x) mean += value / double(x.size());
      for (const double value : x) sum += (value - mean) * (value - mean);
      return sum / double(x.size());
    }
    void on_branch(int64_t, bool, const Tensor& stream, const Tensor& output) override {
      residual.push_back(of(stream)), branch.push_back(of(output));
    }
  } variances;
  Transformer post(config_of("post_ln"), nn::Precision::of(DType::f64), nn::Gradients::none),
      admin(config_of("admin"), nn::Precision::of(DType::f64), nn::Gradients::none);
  initialise(post, "admin", 3);
  initialise(admin, "", 3);
  const TokenBatch batch = random_batch(post.config(), 4, 2);
  admin_profile(admin, input_rows(admin.config(), batch.tokens));
  nn::Context context = post.context();
  context.probe = &variances;
  post.hidden(batch.tokens, context);
  double v = 1;
  for (size_t i = 0; i < 2 * size_t(L); ++i) {
    const std::string name = "layers." + std::to_string(i / 2) + (i % 2 ? ".ffn" : ".attn") + ".res_scale";
    CHECK(admin.parameters()[name].value.to_vector()[0] == Approx(std::sqrt(v)).epsilon(1e-9));
    v = v * variances.residual[i] + variances.branch[i];
  }
}

TEST_CASE("init: nGPT's matrices lie on the sphere") {
  Transformer model(config_of("ngpt", R"({"activation": "swiglu"})"), nn::Precision::of(DType::f64),
                    nn::Gradients::none);
  initialise(model, "", 3);
  const auto length = [&](const std::string& name, bool column) {
    const Tensor w = model.parameters()[name].value;
    double sum = 0;
    for (int64_t i = 0; i < w.size(column ? 0 : 1); ++i)
      sum += std::pow(w.data<double>()[column ? i * w.size(1) + 3 : 3 * w.size(1) + i], 2);
    return std::sqrt(sum);
  };
  for (const char* name :
       {"embed.tokens.weight", "head.weight", "layers.0.attn.qkv.weight", "layers.1.ffn.gate.weight"})
    CHECK(length(name, false) == Approx(1).epsilon(1e-14));
  for (const char* name : {"layers.0.attn.out.weight", "layers.1.ffn.down.weight"})
    CHECK(length(name, true) == Approx(1).epsilon(1e-14));
}
