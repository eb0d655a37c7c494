// Read first: attention_probe.h.
#include "train/probes/attention_probe.h"

#include <algorithm>
#include <cmath>

#include "engine/cpu/parallel.h"
#include "engine/ops/attention.h"

namespace train {

using engine::Tensor;

namespace {

// One row of attention.
struct Row {
  double entropy = 0, logit_max = 0;
  int64_t keys = 0;  // 0: a padded query
};

/// The larger one; NaN where either is (std::max keeps its first argument when the second is NaN).
double larger(double a, double b) { return std::isnan(a) || a > b ? a : b; }

Row attention_row(const double* q, const double* k, int64_t key_stride, int64_t n, int64_t first,
                  int64_t last, double scale, double softcap, const uint8_t* mask) {
  std::vector<double> scores;
  for (int64_t s = first; s < last; ++s) {
    if (mask && !mask[s]) continue;
    double score = 0;
    for (int64_t i = 0; i < n; ++i) score += q[i] * k[s * key_stride + i];
    score *= scale;
    scores.push_back(softcap > 0 ? softcap * std::tanh(score / softcap) : score);
  }
  Row row{.keys = int64_t(scores.size())};
  if (scores.empty()) return row;
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0, weighted = 0;
  for (const double z : scores) {
    row.logit_max = larger(row.logit_max, std::fabs(z));
    const double e = std::exp(z - most);
    sum += e;
    weighted += e * (z - most);
  }
  row.entropy = std::log(sum) - weighted / sum;  // -sum p ln p with p = e / sum
  return row;
}

}  // namespace

AttentionProbe::Sums& AttentionProbe::layer_sums(int64_t layer) {
  if (int64_t(sums_.size()) <= layer) sums_.resize(size_t(layer) + 1);
  return sums_[size_t(layer)];
}

void AttentionProbe::on_attention(int64_t layer, const Tensor& q, const Tensor& k,
                                  const engine::AttentionOptions& options) {
  const int64_t B = q.size(0), T = q.size(1), S = k.size(1), heads = options.heads;
  const int64_t n = q.size(2) / heads, group = heads / options.kv_heads, key_stride = options.kv_heads * n;
  const double scale = options.scale > 0 ? options.scale : 1 / std::sqrt(double(n));
  const std::vector<double> queries = q.to_vector(), keys = k.to_vector();
  std::vector<Row> rows(size_t(B * heads * T));
  engine::cpu::parallel_for(B * heads, [&](int64_t task) {
    const int64_t b = task / heads, h = task % heads;
    const uint8_t* mask = key_mask_.defined() ? key_mask_.data<uint8_t>() + b * S : nullptr;
    for (int64_t t = 0; t < T; ++t) {
      if (mask && !mask[S - T + t]) continue;
      const int64_t last = options.causal ? S - T + t + 1 : S;
      const int64_t first = options.window > 0 ? std::max<int64_t>(last - options.window, 0) : 0;
      rows[size_t(task * T + t)] = attention_row(queries.data() + ((b * T + t) * heads + h) * n,
                                                 keys.data() + b * S * key_stride + h / group * n, key_stride,
                                                 n, first, last, scale, options.softcap, mask);
    }
  });
  Sums& sums = layer_sums(layer);
  sums.entropy.resize(size_t(heads), 0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (row.keys == 0) continue;
    sums.entropy[i / size_t(T) % size_t(heads)] += row.entropy;
    ++sums.queries;
    sums.logit_max = larger(sums.logit_max, row.logit_max);
    if (row.keys < 2) continue;
    sums.relative += row.entropy / std::log(double(row.keys));
    ++sums.wide_queries;
  }
}

void AttentionProbe::on_join(int64_t layer, bool feed_forward, const Tensor& stream) {
  const std::vector<double> x = stream.to_vector();
  const int64_t width = stream.size(-1);
  Sums& sums = layer_sums(layer);
  for (size_t i = 0; i < x.size(); ++i) {
    if (key_mask_.defined() && !key_mask_.data<uint8_t>()[int64_t(i) / width]) continue;
    sums.squares[feed_forward] += x[i] * x[i];
    ++sums.elements[feed_forward];
  }
}

std::vector<LayerAttention> AttentionProbe::result() const {
  std::vector<LayerAttention> out;
  for (const Sums& s : sums_) {
    LayerAttention& l = out.emplace_back();
    const double heads = double(s.entropy.size()), per_head = s.queries / std::max(heads, 1.0);
    for (const double e : s.entropy) l.per_head.push_back(e / per_head), l.entropy += e / s.queries;
    if (s.wide_queries > 0) l.relative = s.relative / s.wide_queries;
    l.logit_max = s.logit_max;
    l.attn_rms = std::sqrt(s.squares[0] / s.elements[0]);
    l.ffn_rms = std::sqrt(s.squares[1] / s.elements[1]);
  }
  return out;
}

}  // namespace train
