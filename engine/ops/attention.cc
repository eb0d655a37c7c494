// Read first: attention.h, attention_kernels.h.
#include "engine/ops/attention.h"

#include <cmath>

#include "engine/kernel/wide.h"
#include "engine/ops/attention_kernels.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

AttentionRows rows_of(const Tensor& x) { return {x.raw(), x.stride(0), x.stride(1)}; }

//   ds = p (dp - D),  dp = z dO v^T,  D = sum dO o;   dq = scale ds k   dk = scale ds^T q   dv = (p z)^T dO
// Of o' = g o, with its gradient dO': the same with dO = g dO', and D = sum dO' o'; dg = sum over rows of dO'
// o.
struct AttentionNode : NodeOf<AttentionNode> {
  static constexpr const char* kName = "attention";
  Saved q, k, v, out, lse, key_mask, gain;
  auto saved() { return std::tie(q, k, v, out, lse, key_mask, gain); }
  AttentionShape shape;
  bool distinct = true;  // no tensor is given twice among q, k and v

  void backward(Backward& b) override {
    key_mask.get();
    AttentionBackward a{.shape = shape,
                        .q = rows_of(q.get()),
                        .k = rows_of(k.get()),
                        .v = rows_of(v.get()),
                        .out = out.get().raw(),
                        .dout = b.dy().raw(),
                        .lse = lse.get().raw(),
                        .gain = gain.defined() ? gain.get().raw() : nullptr};
    Into dgain;
    if (gain.defined() && b.wants(3)) {
      dgain = b.into(3);
      a.dgain = dgain.buffer.raw(), a.accumulate_dgain = dgain.accumulate;
    }
    Tensor partials;
    if (const int64_t n = attention_scratch(b.dy().device(), a); n > 0) {
      partials = b.dy().like({n}, shape.compute);
      a.partials = partials.raw();
    }
    // The kernel writes the three gradients together, so they must be three buffers.
    AttentionGradient* gradients[] = {&a.dq, &a.dk, &a.dv};
    const Tensor* inputs[] = {&q.get(), &k.get(), &v.get()};
    Into into[3];
    for (int i = 0; i < 3; ++i) {
      if (!b.wants(i)) continue;
      into[i] = distinct ? b.into_rows(i) : Into{inputs[i]->like(inputs[i]->shape(), shape.dtype)};
      *gradients[i] = {into[i].buffer.raw(), into[i].buffer.row_stride(), into[i].accumulate};
    }
    kernel::attention_backward(q.get().device(), a);
    for (int i = 0; i < 3 && !distinct; ++i)
      if (b.wants(i)) b.pass(i, into[i].buffer);
  }
};

/// Rows contiguous inside; batch entries and rows may lie apart.
Tensor with_contiguous_rows(const Tensor& x) {
  return x.size(2) <= 1 || x.stride(2) == 1 ? x : contiguous(x);
}

void check_inputs(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& o) {
  check(is_float(q.dtype()) && q.dtype() == k.dtype() && q.dtype() == v.dtype(),
        "attention: q, k and v need one floating dtype, got ", q.dtype(), ", ", k.dtype(), " and ",
        v.dtype());
  check(q.rank() == 3 && k.rank() == 3 && v.rank() == 3,
        "attention: needs q [B, T, heads * n], k and v [B, S, kv_heads * n], got ", q.shape(), ", ",
        k.shape(), " and ", v.shape());
  check(o.heads > 0 && o.kv_heads > 0 && o.heads % o.kv_heads == 0,
        "attention: kv_heads must divide heads, got ", o.heads, " heads and ", o.kv_heads, " kv_heads");
  check(q.size(2) > 0 && q.size(2) % o.heads == 0, "attention: ", o.heads,
        " heads do not divide last dim of q ", q.shape());
  check(k.shape() == v.shape() && k.size(0) == q.size(0) && k.size(2) == q.size(2) / o.heads * o.kv_heads,
        "attention: q ", q.shape(), " with ", o.heads, " heads and ", o.kv_heads, " kv_heads needs k and v [",
        q.size(0), ", S, ", q.size(2) / o.heads * o.kv_heads, "], got ", k.shape(), " and ", v.shape());
  check(k.size(1) > 0 || q.size(1) == 0, "attention: ", q.size(1), " queries and no keys");
  check(o.window >= 0 && (o.window == 0 || o.causal), "attention: a window needs causal and a size > 0, got ",
        o.window);
  check(!(o.causal || o.key_mask.defined()) || q.size(1) <= k.size(1),
        "attention: with causal or key_mask the ", q.size(1), " queries are the last of the keys, got ",
        k.size(1), " keys");
  check(o.scale >= 0 && std::isfinite(o.scale) && o.softcap >= 0 && std::isfinite(o.softcap),
        "attention: scale and softcap must be >= 0, got ", o.scale, " and ", o.softcap);
  check(o.dropout >= 0 && o.dropout < 1, "attention: dropout must be in [0, 1), got ", o.dropout);
  check(o.dropout == 0 || o.rng, "attention: dropout ", o.dropout, " needs an rng");
  check(!o.gain.defined() || (o.gain.shape() == Shape{o.heads} && o.gain.dtype() == compute_dtype(q.dtype())),
        "attention: the gain of ", o.heads, " heads of ", q.dtype(), " must be ", compute_dtype(q.dtype()),
        " [", o.heads, "]", o.gain.defined() ? join_text(", got ", o.gain.dtype(), " ", o.gain.shape()) : "");
  if (!o.key_mask.defined()) return;
  check(o.key_mask.dtype() == DType::u8 && o.key_mask.shape() == Shape{k.size(0), k.size(1)},
        "attention: key_mask must be u8 [", k.size(0), ", ", k.size(1), "], got ", o.key_mask.dtype(), " ",
        o.key_mask.shape());
}

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options) {
  check_inputs(q, k, v, options);
  if (options.gain.defined() && q.device() == Device::cpu) {
    AttentionOptions plain = options;
    plain.gain = {};
    return head_scale(attention(q, k, v, plain), options.gain);
  }
  const Tensor gain = options.gain.defined() ? contiguous(options.gain) : Tensor();
  const Tensor in[] = {with_contiguous_rows(q), with_contiguous_rows(k), with_contiguous_rows(v)};
  const Tensor mask = options.key_mask.defined() ? contiguous(options.key_mask.to(q.device())) : Tensor();
  const int64_t n = q.size(2) / options.heads;
  AttentionShape shape{.batch = q.size(0),
                       .heads = options.heads,
                       .kv_heads = options.kv_heads,
                       .queries = q.size(1),
                       .keys = k.size(1),
                       .n = n,
                       .scale = options.scale > 0 ? options.scale : 1 / std::sqrt(double(n)),
                       .softcap = options.softcap,
                       .dropout = options.dropout,
                       .key_mask = mask.defined() ? mask.data<uint8_t>() : nullptr,
                       .causal = options.causal,
                       .window = options.window,
                       .dtype = q.dtype(),
                       .compute = compute_dtype(q.dtype())};
  // A single query, whose sums are short chains (attention_one.h), stays in f32.
  if (q.dtype() == DType::f32 && shape.queries > 1 &&
      is_wide(q.device(), shape.batch * shape.heads * shape.queries * shape.keys * n))
    shape.compute = DType::f64;
  if (options.dropout > 0) {
    shape.seed = options.rng->seed, shape.seed_memory = options.rng->seed_memory;
    shape.offset =
        options.rng->reserve(uint64_t(shape.batch * shape.heads * shape.queries * ((shape.keys + 3) / 4)));
  }
  Tape* tape = recording({&in[0], &in[1], &in[2], &gain});
  Tensor y = q.like(q.shape(), q.dtype()), lse, wide = y;
  if (tape) lse = q.like({shape.batch, shape.heads, shape.queries}, shape.compute);
  const bool widened = tape && q.dtype() != shape.compute;
  if (widened) wide = q.like(q.shape(), shape.compute);
  if (y.numel() > 0)
    kernel::attention_forward(y.device(), {shape, rows_of(in[0]), rows_of(in[1]), rows_of(in[2]), y.raw(),
                                           widened ? wide.raw() : nullptr, tape ? lse.raw() : nullptr,
                                           gain.defined() ? gain.raw() : nullptr});
  if (tape) {
    auto& node = tape->record<AttentionNode>({&in[0], &in[1], &in[2], &gain}, {&y});
    node.q = in[0], node.k = in[1], node.v = in[2], node.out = wide, node.lse = lse, node.key_mask = mask;
    if (gain.defined()) node.gain = gain;
    node.shape = shape;
    const auto same = [&](int a, int b) {
      return tape->tracks(in[a]) && in[a].slot.index == in[b].slot.index;
    };
    node.distinct = !same(0, 1) && !same(0, 2) && !same(1, 2);
  }
  return y;
}

}  // namespace engine
