// Rows of the op table for engine/ops/attention.h.
#include <algorithm>
#include <cmath>

#include "engine/cases/case.h"
#include "engine/ops/attention.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

struct AttentionCase {
  const char* what;
  int64_t batch, queries, keys, heads, kv_heads, n;
  bool causal = false, masked = false;
  double softcap = 0, dropout = 0, scale = 0;
  bool blind = false;  // the mask begins with zeros, and the first sequence is all padding: rows see no key
  int64_t window = 0;
};

AttentionCase with_window(int64_t window, AttentionCase c) {
  c.window = window;
  return c;
}

/// The mask of a row as drawn, or turned around and with an empty first sequence.
template <class T>
void blind_rows(const AttentionCase& c, T* mask) {
  for (int64_t b = 0; b < c.batch && c.blind; ++b) {
    std::reverse(mask + b * c.keys, mask + (b + 1) * c.keys);
    if (b == 0) std::fill(mask, mask + c.keys, T(0));
  }
}

constexpr Rng kDropout{7, 1000};  // where the dropout of every row starts

AttentionOptions options_of(const AttentionCase& c, const std::vector<Tensor>& t, Rng& rng) {
  Tensor mask;
  if (c.masked) {
    mask = Tensor::empty(t.back().shape(), DType::u8);
    mask.copy_from(t.back());
    blind_rows(c, mask.data<uint8_t>());
  }
  return {.heads = c.heads,
          .kv_heads = c.kv_heads,
          .causal = c.causal,
          .window = c.window,
          .scale = c.scale,
          .softcap = c.softcap,
          .dropout = c.dropout,
          .rng = &rng,
          .key_mask = mask};
}

/// What element (row of scores, key) is multiplied by under dropout.
double dropout_factor(const AttentionCase& c, int64_t row, int64_t key) {
  if (c.dropout == 0) return 1;
  const uint64_t block = kDropout.offset + uint64_t(row * ((c.keys + 3) / 4) + key / 4);
  const PhiloxBits bits = philox(kDropout.seed, block);
  return unit_float(bits.word[key % 4]) < c.dropout ? 0 : 1 / (1 - c.dropout);
}

/// One head at a time, with the whole score matrix.
HostTensor attention_reference(const AttentionCase& c, const HostTensor& q, const HostTensor& k,
                               const HostTensor& v, const HostTensor* mask) {
  HostTensor y(q.shape);
  const double scale = c.scale > 0 ? c.scale : 1 / std::sqrt(double(c.n));
  for (int64_t b = 0; b < c.batch; ++b)
    for (int64_t h = 0; h < c.heads; ++h)
      for (int64_t t = 0; t < c.queries; ++t) {
        const int64_t own = c.keys - c.queries + t, kv_column = h / (c.heads / c.kv_heads) * c.n;
        std::vector<double> p(static_cast<size_t>(c.keys), 0.0);
        double sum = 0;
        for (int64_t j = 0; j < c.keys; ++j) {
          if (c.window > 0 && j + c.window <= own) continue;
          if ((c.causal && j > own) || (mask && mask->row(b)[j] == 0)) continue;
          double s = 0;
          for (int64_t i = 0; i < c.n; ++i)
            s += q.row(b * c.queries + t)[h * c.n + i] * k.row(b * c.keys + j)[kv_column + i];
          s *= scale;
          if (c.softcap > 0) s = c.softcap * std::tanh(s / c.softcap);
          sum += p[size_t(j)] = std::exp(s);
        }
        if (sum == 0) sum = p[size_t(own)] = 1;
        for (int64_t j = 0; j < c.keys; ++j) {
          const double weight = p[size_t(j)] / sum * dropout_factor(c, (b * c.heads + h) * c.queries + t, j);
          for (int64_t i = 0; i < c.n; ++i)
            y.row(b * c.queries + t)[h * c.n + i] += weight * v.row(b * c.keys + j)[kv_column + i];
        }
      }
  return y;
}

OpCase row(const AttentionCase& c) {
  const int64_t kv = c.kv_heads * c.n;
  OpCase op{.op = "attention",
            .node = "attention",
            .detail = join_text(c.what, " [", c.batch, ", ", c.queries, "/", c.keys, ", ", c.heads, "/",
                                c.kv_heads, "x", c.n, "]"),
            .inputs = {{"q", {c.batch, c.queries, c.heads * c.n}},
                       {"k", {c.batch, c.keys, kv}},
                       {"v", {c.batch, c.keys, kv}}},
            .run =
                [c](const auto& t) {
                  Rng rng = kDropout;
                  return std::vector{attention(t[0], t[1], t[2], options_of(c, t, rng))};
                },
            .reference =
                [c](const auto& t) {
                  if (!c.masked) return std::vector{attention_reference(c, t[0], t[1], t[2], nullptr)};
                  HostTensor mask = t[3];
                  blind_rows(c, mask.v.data());
                  return std::vector{attention_reference(c, t[0], t[1], t[2], &mask)};
                },
            .reduction = c.keys * c.n};
  if (c.blind)
    op.reduction *= 64, op.reason = "one key to a row: dp - D cancels to nothing, its rounding stays";
  if (c.masked) op.inputs.push_back({.name = "key_mask", .shape = {c.batch, c.keys}, .draw = Draw::mask});
  return op;
}

/// q, k and v as parts of one projection: gradients are formed inside its gradient.
OpCase projection_row(const AttentionCase& c) {
  const int64_t width = c.heads * c.n, kv = c.kv_heads * c.n;
  OpCase op = row(c);
  op.inputs = {{"qkv", {c.batch, c.queries, width + 2 * kv}}};
  op.run = [=](const auto& t) {
    Rng rng = kDropout;
    const std::vector<Tensor> parts = split(t[0], -1, {width, kv, kv});
    return std::vector{attention(parts[0], parts[1], parts[2], options_of(c, t, rng))};
  };
  op.reference = [=](const auto& t) {
    HostTensor part[] = {HostTensor({c.batch, c.queries, width}), HostTensor({c.batch, c.queries, kv}),
                         HostTensor({c.batch, c.queries, kv})};
    for (int64_t r = 0; r < t[0].rows(); ++r)
      for (int64_t i = 0, from = 0; i < 3; from += part[i++].shape.back())
        std::copy_n(t[0].row(r) + from, part[i].shape.back(), part[i].row(r));
    return std::vector{attention_reference(c, part[0], part[1], part[2], nullptr)};
  };
  return op;
}

/// One tensor as q, k and v: its three gradients add up.
OpCase same_tensor_row(const AttentionCase& c) {
  OpCase op = row(c);
  op.inputs.resize(1);
  op.reduction *= 3;  // one gradient is the sum of three, each of them a sum already
  op.run = [=](const auto& t) {
    Rng rng = kDropout;
    return std::vector{attention(t[0], t[0], t[0], options_of(c, t, rng))};
  };
  op.reference = [=](const auto& t) {
    return std::vector{attention_reference(c, t[0], t[0], t[0], nullptr)};
  };
  return op;
}

/// Each head times its gain.
OpCase gain_row(const AttentionCase& c) {
  OpCase op = row(c);
  op.inputs.insert(op.inputs.begin() + 3, {"gain", {c.heads}, Draw::away});
  op.inputs[3].parameter = true;
  op.run = [=](const auto& t) {
    Rng rng = kDropout;
    AttentionOptions options = options_of(c, t, rng);
    options.gain = t[3];
    return std::vector{attention(t[0], t[1], t[2], options)};
  };
  op.reference = [=](const auto& t) {
    HostTensor y = attention_reference(c, t[0], t[1], t[2], c.masked ? &t[4] : nullptr);
    for (size_t i = 0; i < y.v.size(); ++i) y.v[i] *= t[3].v[i % size_t(c.heads * c.n) / size_t(c.n)];
    return std::vector{y};
  };
  op.detail += ", gains";
  op.reduction *= c.batch * c.queries;  // the gain's gradient adds up all rows
  return op;
}

}  // namespace

void add_attention_cases(std::vector<OpCase>& cases) {
  const AttentionCase rows[] = {
      {"full", 2, 5, 5, 3, 3, 8},
      {"size 1", 1, 1, 1, 1, 1, 1},
      {"no batch", 0, 5, 5, 2, 2, 3},
      {"no queries", 2, 0, 3, 2, 2, 3},
      {"no queries, a head of 32", 2, 0, 3, 2, 2, 32},
      {"causal", 2, 17, 17, 2, 2, 16, true},
      {"full, primes", 1, 67, 71, 1, 1, 13},
      {"causal, several blocks", 1, 131, 131, 1, 1, 2, true},
      {"causal, grouped", 2, 13, 13, 6, 2, 5, true},
      {"causal, one kv head, several blocks", 1, 67, 71, 3, 1, 3, true},
      {"key mask", 3, 11, 11, 2, 2, 4, false, true},
      {"key mask, causal", 2, 67, 67, 1, 1, 4, true, true},
      {"key mask, causal, after a cache", 2, 5, 67, 2, 1, 4, true, true},
      {"rows without a key", 2, 7, 7, 2, 2, 4, false, true, 0, 0, 0, true},
      {"rows without a key, causal", 2, 6, 9, 2, 1, 4, true, true, 0, 0.3, 0, true},
      {"one query without a key", 2, 1, 5, 2, 1, 4, true, true, 0, 0, 0, true},
      {"softcap and scale", 2, 9, 9, 2, 2, 4, true, false, 1.5, 0, 0.7},
      {"dropout", 2, 6, 67, 2, 2, 4, false, false, 0, 0.4},
      {"everything", 1, 66, 69, 2, 1, 3, true, true, 2, 0.3, 0.9},
      {"one query after a cache", 2, 1, 67, 4, 2, 8, true},
      {"one query, key mask", 2, 1, 70, 3, 3, 17, true, true},
      {"several blocks, everything", 1, 67, 71, 4, 1, 5, true, true, 2, 0.3, 0.9},
      {"three queries, everything", 1, 3, 140, 4, 1, 5, true, true, 2, 0.3, 0.9},
      with_window(5, {"window", 2, 17, 17, 2, 1, 4, true}),
      with_window(70, {"window, several blocks", 1, 200, 200, 1, 1, 3, true}),
      with_window(1, {"window of one", 1, 70, 70, 1, 1, 3, true}),
      with_window(40, {"window, everything", 1, 67, 140, 4, 2, 5, true, true, 2, 0.3, 0.9}),
      with_window(2, {"window, rows without a key", 2, 9, 12, 2, 2, 4, true, true, 0, 0, 0, true}),
      with_window(4, {"window, keys that no query sees", 1, 2, 80, 1, 1, 32, true}),
      with_window(9, {"window, one query, key mask", 2, 1, 70, 3, 3, 17, true, true}),
      with_window(3, {"window, one query without a key", 2, 1, 12, 2, 1, 4, true, true, 0, 0, 0, true}),
  };
  for (const AttentionCase& c : rows) cases.push_back(row(c));
  cases.push_back(gain_row({"causal, grouped", 2, 13, 13, 6, 2, 5, true}));
  cases.push_back(gain_row({"everything", 1, 66, 69, 2, 1, 3, true, true, 2, 0.3, 0.9}));
  cases.push_back(projection_row({"slices of one projection", 2, 7, 7, 4, 2, 5, true}));
  cases.push_back(same_tensor_row({"q, k and v the same", 2, 7, 7, 2, 2, 3, true}));
}

}  // namespace engine
