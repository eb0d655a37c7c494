// Read first: attention_kernels.h, attention_tile.h, attention_blocks.h. One query takes another way:
// attention_one.h.
//
// Scores live transposed, s [keys of a block, queries of a block]: a lane is a query. The forward pass is
// FlashAttention-2's (arXiv 2307.08691, algorithm 1): per block of queries a running maximum m, a running sum
// l and an unnormalised output, rescaled when the maximum grows. Backward (algorithm 2) walks the same
// blocks.
#include "engine/ops/attention_kernels.h"

#include "engine/ops/attention_blocks.h"
#include "engine/ops/attention_one.h"

namespace engine::cpu::ENGINE_ISA {
namespace {

/// Hands out pieces of one scratch block.
template <class C>
struct Pieces {
  C* next;
  C* take(int64_t n) {
    C* piece = next;
    next += round_up(n, 64 / int64_t(sizeof(C)));
    return piece;
  }
};

template <class E, class C>
E* take(Pieces<C>& pieces, int64_t n) {
  return reinterpret_cast<E*>(pieces.take(n));
}

/// One query head's block of queries.
struct Block {
  int64_t b, h, first, rows;  // rows: queries in it, lanes: rounded up to whole packets
  int64_t lanes;
  int64_t first_visible;  // first key that the mask leaves visible; `keys` when none
};

/// Keys [0, end) can be visible to some query of the block.
inline int64_t key_end(const AttentionShape& s, const Block& block) {
  const int64_t end = s.keys - s.queries + block.first + block.rows;
  return s.causal && end < s.keys ? end : s.keys;
}

/// Keys before it are visible to none of them. A whole number of blocks, so that blocks are the same ones.
inline int64_t key_begin(const AttentionShape& s, const Block& block) {
  return first_key_of(s, s.keys - s.queries + block.first) / kK * kK;
}

inline int64_t first_visible_key(const AttentionShape& s, int64_t b) {
  int64_t key = 0;
  if (s.key_mask)
    while (key < s.keys && !s.key_mask[b * s.keys + key]) ++key;
  return key;
}

/// Row `first` of a key/value head.
template <class T>
const T* kv_rows(const AttentionRows& rows, int64_t b, int64_t head, int64_t n, int64_t first) {
  return static_cast<const T*>(rows.data) + b * rows.batch_stride + first * rows.row_stride + head * n;
}

/// Whether the mask hides every key from the query at position `own`.
inline bool is_blind(const AttentionShape& s, const Block& block, int64_t own) {
  if (block.first_visible > (s.causal ? own : s.keys - 1)) return true;
  int64_t key = first_key_of(s, own);
  if (key == 0) return false;
  while (key <= own && !s.key_mask[block.b * s.keys + key]) ++key;
  return key > own;
}

/// Writes `value` where a query may not see a key: keys after it (causal), before its window, and masked
/// keys. A query to which that leaves nothing sees its own position. Returns at once when the block has no
/// such place.
template <class C>
void mask_scores(const AttentionShape& s, const Block& block, int64_t first_key, int64_t keys, C value,
                 C* scores) {
  const int64_t shift = s.keys - s.queries + block.first;  // position of the block's first query
  const bool all_in_window = first_key >= first_key_of(s, shift + block.rows - 1);
  if (!s.key_mask && all_in_window && (!s.causal || first_key + keys - 1 <= shift)) return;
  for (int64_t j = 0; j < keys; ++j) {
    const int64_t key = first_key + j, own = key - shift;  // `own`: the query at this key's position
    C* row = scores + j * kQ;
    if (s.key_mask && !s.key_mask[block.b * s.keys + key]) {
      const bool blind = is_blind(s, block, key);
      for (int64_t i = 0; i < block.lanes; ++i)
        if (!(blind && i == own)) row[i] = value;
    } else if (s.causal) {
      const int64_t hidden = own < block.lanes ? own : block.lanes;
      for (int64_t i = 0; i < hidden; ++i) row[i] = value;
      if (!all_in_window)
        for (int64_t i = own + s.window > 0 ? own + s.window : 0; i < block.lanes; ++i) row[i] = value;
    }
  }
}

/// The dropout factors of a block, 0 or 1 / (1 - p): element (query, key) of head (b, h) is word key % 4 of
/// the Philox block of that row and key / 4.
template <class C>
void draw_dropout(const AttentionShape& s, const Block& block, int64_t first_key, int64_t keys, C* factors) {
  const uint64_t blocks_per_row = uint64_t(s.keys + 3) / 4;
  const uint64_t row = uint64_t((block.b * s.heads + block.h) * s.queries + block.first);
  const C kept = C(1 / (1 - s.dropout));
  const auto limit = uint32_t(__builtin_ceil(s.dropout * 16777216.0));  // as in engine/cpu/dropout.h
  for (int64_t j = 0; j < keys; j += 4) {                               // first_key is a multiple of 4
    const uint64_t first = s.offset + row * blocks_per_row + uint64_t(first_key + j) / 4;
    const int64_t words = keys - j < 4 ? keys - j : 4;
    for (int64_t i = 0; i < block.lanes; ++i) {
      const PhiloxBits bits = philox(s.seed, first + uint64_t(i) * blocks_per_row);
      for (int64_t w = 0; w < words; ++w)
        factors[(j + w) * kQ + i] = (bits.word[w] >> 8) < limit ? C(0) : kept;
    }
  }
}

/// Calls f(pointer offset) for every packet of `rows` rows of scores.
template <class C, class F>
ENGINE_INLINE void each_packet(int64_t rows, int64_t lanes, F&& f) {
  for (int64_t j = 0; j < rows; ++j)
    for (int64_t i = 0; i < lanes; i += kLanes<C>) f(j * kQ + i, i);
}

/// The scores of a block of keys before cap and mask.
template <class B>
void score_block(const AttentionShape& s, int64_t keys, int64_t lanes, const KeyBlock<typename B::E>& k,
                 const typename B::E* qt, typename B::C* scores) {
  tile_product<typename B::M>(keys, lanes, steps_of<typename B::M>(s.n), k.rows, qt, kQ, scores, kQ, false);
  if (B::kScaledQueries) return;
  for (int64_t j = 0; j < keys; ++j) out(scores + j * kQ, lanes) *= typename B::C(s.scale);
}

/// scores = cap tanh(scores / cap); slope (may be null) = its derivative.
template <class C>
void cap_scores(int64_t rows, int64_t lanes, C cap, C* scores, C* slope) {
  for (int64_t j = 0; j < rows; ++j) {
    auto t = out(scores + j * kQ, lanes);
    t = (t * (1 / cap)).tanh();
    if (slope) out(slope + j * kQ, lanes) = 1 - t.square();
    t *= cap;
  }
}

template <class C>
Block block_at(const AttentionShape& s, int64_t b, int64_t h, int64_t index) {
  const int64_t first = index * kQ, rows = s.queries - first < kQ ? s.queries - first : kQ;
  return {b, h, first, rows, round_up(rows, kLanes<C>), first_visible_key(s, b)};
}

template <class T>
const T* query_rows(const AttentionRows& q, const Block& block, int64_t n) {
  return static_cast<const T*>(q.data) + block.b * q.batch_stride + block.first * q.row_stride + block.h * n;
}

// ----------------------------------------------------------------------------------------------------
// forward

/// One step of the online softmax over `keys` rows of scores: m and l move on, scores become exp(s - m), and
/// `rescale` what the sums so far must be multiplied by.
template <class B, class C = typename B::C>
void softmax_step(int64_t keys, int64_t lanes, C* scores, C* m, C* l, C* rescale) {
  using namespace Eigen::internal;
  using P = Packet<C>;
  for (int64_t i = 0; i < lanes; i += kLanes<C>) {
    const P before = ploadu<P>(m + i);
    P top = before;
    for (int64_t j = 0; j < keys; ++j) top = pmax(top, ploadu<P>(scores + j * kQ + i));
    const P factor = B::exp(psub(before, top));
    P sum = pmul(ploadu<P>(l + i), factor);
    for (int64_t j = 0; j < keys; ++j) {
      const P p = B::exp(psub(ploadu<P>(scores + j * kQ + i), top));
      pstoreu(scores + j * kQ + i, p);
      sum = padd(sum, p);
    }
    pstoreu(m + i, top);
    pstoreu(l + i, sum);
    pstoreu(rescale + i, factor);
  }
}

template <class T, class B>
void attend(const AttentionForward& a, const Block& block) {
  using C = typename B::C;
  using E = typename B::E;
  using M = typename B::M;
  static_assert(sizeof(E) == sizeof(C));
  const AttentionShape& s = a.shape;
  const int64_t n = s.n, lanes = block.lanes, kv_head = block.h / (s.heads / s.kv_heads);
  const int64_t padded = round_up(n, M::kPadding);
  Pieces<C> pieces{scratch<C>(3 * padded * kQ + 3 * kK * kQ + 3 * kQ + kK * padded + 256)};
  C *sums = pieces.take(n * kQ), *scores = pieces.take(kK * kQ), *factors = pieces.take(kK * kQ);
  C *m = pieces.take(kQ), *l = pieces.take(kQ), *rescale = pieces.take(kQ), *rows = pieces.take(kQ * padded);
  E *qt = take<E>(pieces, padded * kQ), *weights = take<E>(pieces, kK * kQ);
  E* kv_buffer = take<E>(pieces, kK * padded);

  B::query_lanes(query_rows<T>(a.q, block, n), a.q.row_stride, block.rows, n, C(s.scale),
                 reinterpret_cast<E*>(rows), qt);
  out(m, lanes).setConstant(std::numeric_limits<C>::lowest());
  out(l, lanes).setZero();

  const int64_t begin = key_begin(s, block), end = key_end(s, block);
  for (int64_t k0 = begin; k0 < end; k0 += kK) {
    const int64_t keys = end - k0 < kK ? end - k0 : kK;
    const auto k =
        B::keys(kv_rows<T>(a.k, block.b, kv_head, n, k0), a.k.row_stride, keys, n, Wanted::rows, kv_buffer);
    score_block<B>(s, keys, lanes, k, qt, scores);
    if (s.softcap > 0) cap_scores<C>(keys, lanes, C(s.softcap), scores, nullptr);
    mask_scores(s, block, k0, keys, -std::numeric_limits<C>::infinity(), scores);
    softmax_step<B>(keys, lanes, scores, m, l, rescale);
    mask_scores(s, block, k0, keys, C(0), scores);  // exactly 0, where the vector exp gives a denormal
    if (s.dropout > 0) {
      draw_dropout(s, block, k0, keys, factors);
      out(scores, keys * kQ) *= in(factors, keys * kQ);
    }
    if (k0 > begin)
      for (int64_t c = 0; c < n; ++c) out(sums + c * kQ, lanes) *= in(rescale, lanes);
    const auto v = B::keys(kv_rows<T>(a.v, block.b, kv_head, n, k0), a.v.row_stride, keys, n, Wanted::columns,
                           kv_buffer);
    tile_product<M>(n, lanes, steps_of<M>(keys), v.columns, B::score_rows(scores, keys, lanes, weights), kQ,
                    sums, kQ, k0 > begin);
  }
  for (int64_t c = 0; c < n; ++c) out(sums + c * kQ, lanes) /= in(l, lanes);
  transpose(n, block.rows, sums, kQ, rows, n);
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t at = ((block.b * s.queries + block.first + i) * s.heads + block.h) * n;
    round_row(static_cast<T*>(a.out) + at, rows + i * n, n, false);
    if (a.wide) round_row(static_cast<C*>(a.wide) + at, rows + i * n, n, false);
  }
  if (a.lse)
    out(static_cast<C*>(a.lse) + (block.b * s.heads + block.h) * s.queries + block.first, block.rows) =
        in(m, block.rows) + in(l, block.rows).log();
}

template <class T, class B>
void forward(const AttentionForward& a) {
  const AttentionShape& s = a.shape;
  const int64_t blocks = (s.queries + kQ - 1) / kQ;
  parallel_for(s.batch * s.heads * blocks, [&](int64_t task) {
    const int64_t head = task / blocks;
    [[maybe_unused]] const typename B::Use use;
    attend<T, B>(a, block_at<typename B::C>(s, head / s.heads, head % s.heads,
                                            blocks - 1 - task % blocks));  // dearest first
  });
}

// ---------------------------------------------------------------------------------------------------
// backward
//
//   p = exp(s - lse)   dp = (dO v^T) z   D = sum_c dO o   ds = p (dp - D) cap'(s)     z: dropout factors
//   dv += (p z)^T dO   dk += scale ds^T q   dq = scale ds k

/// D, as the rounded sum and what that sum left.
template <class C>
struct RowSums {
  C *rounded, *rest;
};

/// factor ds into `dp`, p z into `scores`. slope and z may be null.
template <class C>
void score_gradients(int64_t keys, int64_t lanes, const RowSums<C>& d, C factor, const C* slope, const C* z,
                     C* scores, C* dp) {
  using namespace Eigen::internal;
  using P = Packet<C>;
  each_packet<C>(keys, lanes, [&](int64_t at, int64_t lane) {
    const P p = ploadu<P>(scores + at);
    P g = ploadu<P>(dp + at);
    if (z) {
      const P factor = ploadu<P>(z + at);
      g = pmul(g, factor);
      pstoreu(scores + at, pmul(p, factor));
    }
    g = pmul(p, psub(psub(g, ploadu<P>(d.rounded + lane)), ploadu<P>(d.rest + lane)));
    if (factor != C(1)) g = pmul(g, pset1<P>(factor));
    pstoreu(dp + at, slope ? pmul(g, ploadu<P>(slope + at)) : g);
  });
}

/// D = sum over keys of p z dp / sum of p: the same number as sum dO o, but the row's ds then cancels to the
/// last bit, though p, from a rounded log-sum-exp, does not quite add up to one, nor D fit its rounding. (The
/// gradient of a bias of keys is a sum of ds that is zero: it shows nothing but this.) Possible where one
/// block holds every key of the row.
template <class C>
void exact_row_sums(int64_t keys, int64_t lanes, const C* z, const C* scores, const C* dp,
                    const RowSums<C>& d) {
  C total[kQ] = {};  // of p; zero in lanes past the block's queries
  out(d.rounded, lanes).setZero();
  out(d.rest, lanes).setZero();
  for (int64_t j = 0; j < keys; ++j) {
    out(total, lanes) += in(scores + j * kQ, lanes);
    if (z)
      out(d.rounded, lanes) += in(scores + j * kQ, lanes) * in(z + j * kQ, lanes) * in(dp + j * kQ, lanes);
    else
      out(d.rounded, lanes) += in(scores + j * kQ, lanes) * in(dp + j * kQ, lanes);
  }
  out(total, lanes) = out(total, lanes).max(std::numeric_limits<C>::min());
  out(d.rounded, lanes) /= in(total, lanes);
  for (int64_t j = 0; j < keys; ++j) {
    if (z)
      out(d.rest, lanes) += in(scores + j * kQ, lanes) *
                            (in(z + j * kQ, lanes) * in(dp + j * kQ, lanes) - in(d.rounded, lanes));
    else
      out(d.rest, lanes) += in(scores + j * kQ, lanes) * (in(dp + j * kQ, lanes) - in(d.rounded, lanes));
  }
  out(d.rest, lanes) /= in(total, lanes);
}

/// D = sum over channels of dO o, a row at a time.
template <class T, class C>
void output_sums(const T* dout, const C* o, int64_t stride, int64_t rows, int64_t n, C* buffer, C* d) {
  for (int64_t i = 0; i < rows; ++i)
    d[i] = (in(as_row(dout + i * stride, buffer, n), n) * in(o + i * stride, n)).sum();
}

/// Elements of C that attend_backward() takes out of `pieces`.
template <class M>
constexpr int64_t backward_scratch(int64_t n, int64_t ld) {
  const int64_t padded = round_up(n, M::kPadding);
  return 2 * kQ * ld + 4 * padded * kQ + 5 * kK * kQ + 4 * kK * padded + 3 * kQ + 512;
}

/// Adds what one block of queries gives dk and dv (sums [keys, ld]) and writes its dq.
template <class T, class B, class C = typename B::C>
void attend_backward(const AttentionBackward& a, const Block& block, C* dk, C* dv, int64_t ld,
                     Pieces<C> pieces) {
  using E = typename B::E;
  using M = typename B::M;
  const AttentionShape& s = a.shape;
  const int64_t n = s.n, lanes = block.lanes, kv_head = block.h / (s.heads / s.kv_heads);
  const int64_t padded = round_up(n, M::kPadding), head_stride = s.heads * n;
  E *q_rows = take<E>(pieces, kQ * ld), *do_rows = take<E>(pieces, kQ * ld);
  E *qt = take<E>(pieces, padded * kQ), *dot = take<E>(pieces, padded * kQ);
  C *dqt = pieces.take(n * kQ), *rows = pieces.take(kQ * padded), *scores = pieces.take(kK * kQ);
  C *dp = pieces.take(kK * kQ), *factors = pieces.take(kK * kQ), *slope = pieces.take(kK * kQ);
  E *packed = take<E>(pieces, kK * kQ), *k_buffer = take<E>(pieces, 2 * kK * padded);
  E* v_buffer = take<E>(pieces, 2 * kK * padded);
  C* lse = pieces.take(kQ);
  const RowSums<C> d = {pieces.take(kQ), pieces.take(kQ)};

  const T* q = query_rows<T>(a.q, block, n);
  const int64_t row = (block.b * s.queries + block.first) * s.heads + block.h;  // of out and dout
  const T* dout = static_cast<const T*>(a.dout) + row * n;
  const C scale = C(s.scale);
  B::query_rows(q, a.q.row_stride, block.rows, n, scale, q_rows, ld);
  B::query_rows(dout, head_stride, block.rows, n, C(1), do_rows, ld);
  B::query_lanes(q, a.q.row_stride, block.rows, n, scale, reinterpret_cast<E*>(rows), qt);
  B::query_lanes(dout, head_stride, block.rows, n, C(1), reinterpret_cast<E*>(rows), dot);
  out(d.rounded, lanes).setZero();
  out(d.rest, lanes).setZero();
  out(lse, lanes).setZero();
  output_sums(dout, static_cast<const C*>(a.out) + row * n, head_stride, block.rows, n, rows, d.rounded);
  out(lse, block.rows) =
      in(static_cast<const C*>(a.lse) + (block.b * s.heads + block.h) * s.queries + block.first, block.rows);

  const int64_t begin = key_begin(s, block), end = key_end(s, block), query_steps = steps_of<M>(block.rows);
  for (int64_t k0 = begin; k0 < end; k0 += kK) {
    const int64_t keys = end - k0 < kK ? end - k0 : kK;
    const auto k = B::keys(kv_rows<T>(a.k, block.b, kv_head, n, k0), a.k.row_stride, keys, n,
                           a.dq.data ? Wanted::both : Wanted::rows, k_buffer);
    const auto v =
        B::keys(kv_rows<T>(a.v, block.b, kv_head, n, k0), a.v.row_stride, keys, n, Wanted::rows, v_buffer);
    score_block<B>(s, keys, lanes, k, qt, scores);
    if (s.softcap > 0) cap_scores<C>(keys, lanes, C(s.softcap), scores, slope);
    each_packet<C>(keys, lanes, [&](int64_t at, int64_t lane) {
      using namespace Eigen::internal;
      using P = Packet<C>;
      pstoreu(scores + at, B::exp(psub(ploadu<P>(scores + at), ploadu<P>(lse + lane))));
    });
    mask_scores(s, block, k0, keys, C(0), scores);
    tile_product<M>(keys, lanes, steps_of<M>(n), v.rows, dot, kQ, dp, kQ, false);
    if (s.dropout > 0) draw_dropout(s, block, k0, keys, factors);
    if (end <= begin + kK) exact_row_sums<C>(keys, lanes, s.dropout > 0 ? factors : nullptr, scores, dp, d);
    score_gradients<C>(keys, lanes, d, B::kScaledQueries ? C(1) : scale, s.softcap > 0 ? slope : nullptr,
                       s.dropout > 0 ? factors : nullptr, scores, dp);
    if (a.dv.data)
      tile_product<M>(keys, ld, query_steps, B::score_columns(scores, keys, lanes, packed), do_rows, ld,
                      dv + k0 * ld, ld, true);
    if (a.dk.data)
      tile_product<M>(keys, ld, query_steps, B::score_columns(dp, keys, lanes, packed), q_rows, ld,
                      dk + k0 * ld, ld, true);
    if (a.dq.data)
      tile_product<M>(n, lanes, steps_of<M>(keys), k.columns, B::score_rows(dp, keys, lanes, packed), kQ, dqt,
                      kQ, k0 > begin);
  }
  if (!a.dq.data) return;
  transpose(n, block.rows, dqt, kQ, rows, padded);
  T* dq = static_cast<T*>(a.dq.data) + (block.b * s.queries + block.first) * a.dq.row_stride + block.h * n;
  for (int64_t i = 0; i < block.rows; ++i) {
    if (B::kScaledQueries) out(rows + i * padded, n) *= scale;
    round_row(dq + i * a.dq.row_stride, rows + i * padded, n, a.dq.accumulate);
  }
}

/// Rows of dk or dv of one head from their sums (distance ld).
template <class T, class C>
void store_rows(const AttentionGradient& g, const AttentionShape& s, int64_t b, int64_t head, const C* sums,
                int64_t ld) {
  if (!g.data) return;
  T* to = static_cast<T*>(g.data) + b * s.keys * g.row_stride + head * s.n;
  for (int64_t j = 0; j < s.keys; ++j) round_row(to + j * g.row_stride, sums + j * ld, s.n, g.accumulate);
}

// A task is (batch entry, key/value head, part): part p takes every parts-th block of the queries that read
// the head, and so has a sum of dk and dv of its own. Several parts are added in order afterwards.
template <class T, class B>
void backward(const AttentionBackward& a) {
  using C = typename B::C;
  const AttentionShape& s = a.shape;
  const int64_t parts = attention_parts(s), blocks = (s.queries + kQ - 1) / kQ, group = s.heads / s.kv_heads;
  const int64_t ld = round_up(s.n, kLanes<C>), size = s.keys * ld;
  parallel_for(s.batch * s.kv_heads * parts, [&](int64_t task) {
    const int64_t part = task % parts, head = task / parts % s.kv_heads, b = task / parts / s.kv_heads;
    C* sums = parts > 1 ? static_cast<C*>(a.partials) + task * 2 * size : scratch<C>(2 * size, 1);
    out(sums, 2 * size).setZero();
    [[maybe_unused]] const typename B::Use use;
    for (int64_t unit = part; unit < group * blocks; unit += parts)
      attend_backward<T, B>(a, block_at<C>(s, b, head * group + unit / blocks, unit % blocks), sums,
                            sums + size, ld, Pieces<C>{scratch<C>(backward_scratch<typename B::M>(s.n, ld))});
    if (parts > 1) return;
    store_rows<T>(a.dk, s, b, head, sums, ld);
    store_rows<T>(a.dv, s, b, head, sums + size, ld);
  });
  if (parts == 1) return;
  parallel_for(s.batch * s.kv_heads, [&](int64_t head) {
    C* sums = static_cast<C*>(a.partials) + head * parts * 2 * size;
    for (int64_t part = 1; part < parts; ++part) out(sums, 2 * size) += in(sums + part * 2 * size, 2 * size);
    store_rows<T>(a.dk, s, head / s.kv_heads, head % s.kv_heads, sums, ld);
    store_rows<T>(a.dv, s, head / s.kv_heads, head % s.kv_heads, sums + size, ld);
  });
}

/// Calls f(T, blocks) with the dtype's element and the way its products go. One block of queries is not worth
/// pairs: attention is a small part of such a step, and rounded weights average over few keys.
template <class F>
void choose_blocks(const AttentionShape& s, F&& f) {
#if defined(__AVX512F__)
  if (s.dtype == DType::bf16 && s.queries > kQ) {
    switch (bf16_product()) {
      case Bf16Product::amx: return f(bf16{}, TileBlocks<false>{});
      case Bf16Product::emulated_amx: return f(bf16{}, TileBlocks<true>{});
      case Bf16Product::pairs: return f(bf16{}, PairBlocks<false>{});
      case Bf16Product::emulated_pairs: return f(bf16{}, PairBlocks<true>{});
      case Bf16Product::widened: break;
    }
  }
#endif
  if (s.dtype == DType::f32 && s.compute == DType::f64) return f(float{}, SingleBlocks<float, double>{});
  visit_float(s.dtype, [&](auto t) { f(t, SingleBlocks<decltype(t)>{}); });
}

}  // namespace

void attention_forward(const AttentionForward& a) {
  if (has_one_query(a.shape)) return visit_float(a.shape.dtype, [&](auto t) { forward_one<decltype(t)>(a); });
  choose_blocks(a.shape, [&](auto t, auto blocks) { forward<decltype(t), decltype(blocks)>(a); });
}
void attention_backward(const AttentionBackward& a) {
  choose_blocks(a.shape, [&](auto t, auto blocks) { backward<decltype(t), decltype(blocks)>(a); });
}

}  // namespace engine::cpu::ENGINE_ISA
