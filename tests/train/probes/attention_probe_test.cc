// Entropies of attention against a softmax written out, with everything that an attention may have.
#include "train/probes/attention_probe.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>

#include "engine/base/philox.h"
#include "engine/ops/attention.h"
#include "printed.h"
#include "train/probes/probe_report.h"

using namespace train;
using engine::Tensor;

TEST_CASE("entropy, relative entropy and the largest score, with groups, cap, scale and padding") {
  constexpr int64_t B = 2, T = 5, heads = 4, kv_heads = 2, n = 3;
  engine::Rng rng{11, 0};
  const auto random = [&](int64_t width) {
    std::vector<double> values(size_t(B * T * width));
    for (double& x : values) x = 2 * rng.normal();
    return Tensor::from(values, {B, T, width});
  };
  const Tensor q = random(heads * n), k = random(kv_heads * n);
  const std::vector<double> visible = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0};  // the second row has three tokens
  const Tensor mask = Tensor::from(visible, {B, T}, engine::DType::u8);
  for (const bool causal : {true, false}) {
    INFO("causal " << causal);
    AttentionProbe probe;
    probe.begin_batch(mask);
    probe.on_attention(0, q, k,
                       {.heads = heads,
                        .kv_heads = kv_heads,
                        .causal = causal,
                        .scale = 0.7,
                        .softcap = 2,
                        .key_mask = mask});
    double entropy[heads] = {}, relative = 0, queries = 0, wide = 0, largest = 0;
    for (int64_t b = 0; b < B; ++b)
      for (int64_t h = 0; h < heads; ++h)
        for (int64_t t = 0; t < T; ++t) {
          if (visible[size_t(b * T + t)] == 0) continue;
          std::vector<double> p;
          double sum = 0;
          for (int64_t s = 0; s < (causal ? t + 1 : T); ++s) {
            if (visible[size_t(b * T + s)] == 0) continue;
            double z = 0;
            for (int64_t i = 0; i < n; ++i)
              z += q.data<double>()[((b * T + t) * heads + h) * n + i] *
                   k.data<double>()[((b * T + s) * kv_heads + h / 2) * n + i];
            z = 2 * std::tanh(0.7 * z / 2);
            largest = std::max(largest, std::fabs(z));
            p.push_back(std::exp(z));
            sum += p.back();
          }
          double e = 0;
          for (const double x : p) e -= x / sum * std::log(x / sum);
          entropy[h] += e;
          queries += 1.0 / heads;
          if (p.size() > 1) relative += e / std::log(double(p.size())), ++wide;
        }
    const LayerAttention ours = probe.result()[0];
    double mean = 0;
    for (int64_t h = 0; h < heads; ++h) {
      CHECK(ours.per_head[size_t(h)] == Approx(entropy[h] / queries).epsilon(1e-12));
      mean += entropy[h] / queries / heads;
    }
    CHECK(ours.entropy == Approx(mean).epsilon(1e-12));
    CHECK(*ours.relative == Approx(relative / wide).epsilon(1e-12));
    CHECK(ours.logit_max == Approx(largest).epsilon(1e-12));
  }
}

TEST_CASE("a score that is no number is no largest score, in whatever place it stands") {
  constexpr int64_t T = 4;
  for (int64_t bad = 0; bad < T; ++bad) {
    INFO("key " << bad);
    std::vector<double> keys(T, 1);
    keys[size_t(bad)] = NAN;
    const Tensor q = Tensor::from(std::vector<double>(T, 3), {1, T, 1}),
                 fine = Tensor::from(std::vector<double>(T, 1), {1, T, 1});
    AttentionProbe probe;
    const engine::AttentionOptions options{.heads = 1, .kv_heads = 1, .causal = true, .scale = 1};
    probe.on_attention(0, q, fine, options);  // numbers before and behind do not hide it
    probe.on_attention(0, q, Tensor::from(keys, {1, T, 1}), options);
    probe.on_attention(0, q, fine, options);
    probe.on_attention(1, q, fine, options);
    const auto layers = probe.result();
    CHECK(std::isnan(layers[0].logit_max));
    CHECK(layers[1].logit_max == 3);
    const engine::Json json = attention_json(layers);
    CHECK(json["logit_max"] == engine::Json({nullptr, 3.0}));
    CHECK(json["entropy"][0].is_null());
  }
}

TEST_CASE("the table of attention has a dash where there is no number") {
  AttentionProbe probe;
  const Tensor one = Tensor::from({2}, {1, 1, 1});  // one key: no relative entropy
  probe.on_attention(0, one, one, {.heads = 1, .kv_heads = 1, .causal = true, .scale = 1});
  const std::string table = printed([&](FILE* to) { print_attention(probe.result(), to); });
  INFO(table);
  std::istringstream row(table.substr(table.find('\n')));
  std::string layer, entropy, relative, logit_max, attn_rms, ffn_rms;
  row >> layer >> entropy >> relative >> logit_max >> attn_rms >> ffn_rms;
  CHECK(entropy == "0.0000");
  CHECK(relative == "-");
  CHECK(logit_max == "4");
  CHECK(attn_rms == "-");
}
