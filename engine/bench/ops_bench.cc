// Read first: ops_bench.h. Sizes are those of GPT-2 124M with 8 x 1024 tokens, so that nothing fits in a
// cache.
#include "engine/bench/ops_bench.h"

#include <algorithm>
#include <functional>
#include <memory>

#include "engine/base/text.h"
#include "engine/bench/copy_peak.h"
#include "engine/base/clock.h"
#include "engine/ops/activation.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/norm.h"
#include "engine/ops/optimizer.h"
#include "engine/ops/rope.h"
#include "engine/ops/softmax.h"

namespace engine {
namespace {

constexpr int64_t kTokens = 8192, kContext = 1024, kWidth = 768, kHidden = 3072, kHeads = 12;
constexpr int64_t kVocabulary = 50304, kParameters = int64_t(16) << 20;

// Normal numbers, 4099 of them over and over: drawing millions takes longer than the benchmark.
Tensor normals(const Shape& shape, DType dtype, Device device) {
  const Tensor t = Tensor::empty(shape, dtype);
  Rng rng{1};
  std::vector<double> few(4099);
  for (double& x : few) x = rng.normal();
  visit_float(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t i = 0; i < t.numel(); ++i) t.data<T>()[i] = narrow<T>(few[size_t(i % 4099)]);
  });
  return t.to(device);
}

/// What is timed, what is done before each sample without being timed, and the bytes that must move.
struct Work {
  std::function<void()> run, before;
  int64_t bytes;
};

struct Row {
  const char* op;
  const char* what;
  Shape shape;  // of x; its first axis is scaled
  Work (*prepare)(const Tensor& x);
  std::vector<DType> dtypes = {DType::f32, DType::bf16};
};

template <Tensor (*F)(const Tensor&)>
Work forward(const Tensor& x) {
  return {[x] { F(x); }, {}, 2 * x.bytes()};
}

/// The backward pass of F alone: reads what F saved (one tensor of x's size, or none) and dy, writes dx.
template <Tensor (*F)(const Tensor&), int kSaved = 1>
Work backward(const Tensor& x) {
  struct State {
    std::unique_ptr<Tape> tape;
    Tensor x, y, dy;
  };
  const auto state = std::make_shared<State>();
  state->x = x.detach();
  state->dy = normals(x.shape(), x.dtype(), x.device());
  const auto record = [state] {
    state->y = {};
    state->tape = std::make_unique<Tape>();
    const TapeScope scope(*state->tape);
    state->tape->watch(state->x);
    state->y = F(state->x);
  };
  const auto run = [state] { state->tape->backward(std::span(&state->y, 1), std::span(&state->dy, 1)); };
  return {run, record, (2 + kSaved) * x.bytes()};
}

template <Activation A>
Tensor act(const Tensor& x) {
  return activate(x, A);
}
Tensor drop(const Tensor& x) {
  Rng rng{7};
  return dropout(x, 0.1, rng);
}
Tensor rotate(const Tensor& x) { return rope(x, kHeads, 1e4); }

template <NormKind kKind>
Tensor normed(const Tensor& x) {
  static Tensor weight, bias;  // made once a dtype: the benchmark runs on one thread
  const DType dtype = compute_dtype(x.dtype());
  if (!weight.defined() || weight.dtype() != dtype || weight.device() != x.device())
    weight = Tensor::full({x.size(-1)}, 1, dtype, x.device()),
    bias = x.like({x.size(-1)}, dtype, Contents::zeros);
  return norm(x, {.kind = kKind, .weight = weight, .bias = kKind == NormKind::ln ? bias : Tensor()},
              x.dtype());
}

Work swiglu(const Tensor& x) {
  const Tensor up = normals(x.shape(), x.dtype(), x.device());
  return {[x, up] { glu(x, up, Activation::silu); }, {}, 3 * x.bytes()};
}
Work sum_of_two(const Tensor& x) {
  const Tensor other = normals(x.shape(), x.dtype(), x.device());
  return {[x, other] { add(x, other); }, {}, 3 * x.bytes()};
}
Work scaled_heads(const Tensor& x) {
  const Tensor gain = Tensor::full({kHeads}, 1.5, compute_dtype(x.dtype()), x.device());
  return {[x, gain] { head_scale(x, gain); }, {}, 2 * x.bytes()};
}
Work lookup(const Tensor& x) {  // x stands for the result: one row a token
  const Tensor table = normals({kVocabulary, x.size(-1)}, x.dtype(), x.device());
  Rng rng{3};
  std::vector<int32_t> drawn(size_t(x.size(0)));
  for (int32_t& id : drawn) id = int32_t(rng.below(kVocabulary));
  const Tensor ids = Tensor::from_ids(drawn, {x.size(0)}).to(x.device());
  return {[=] { embedding(ids, table, 1, x.dtype()); }, {}, 2 * x.bytes()};
}
Work optimizer_step(const Tensor& g) {
  const Tensor p = normals(g.shape(), DType::f32, g.device()),
               m = g.like(g.shape(), DType::f32, Contents::zeros),
               v = m.like(m.shape(), DType::f32, Contents::zeros);
  return {[=] { adamw_step(p, g, m, v, {.lr = 1e-4, .weight_decay = 0.1}); }, {}, 7 * g.bytes()};
}

const std::vector<Row>& rows() {
  static const Shape wide = {kTokens, kHidden}, narrow = {kTokens, kWidth}, scores = {kTokens, kContext},
                     batch = {kTokens / kContext, kContext, kWidth};
  static const std::vector<Row> table = {
      {"gelu", "forward", wide, forward<act<Activation::gelu>>},
      {"gelu", "backward", wide, backward<act<Activation::gelu>>},
      {"gelu_tanh", "forward", wide, forward<act<Activation::gelu_tanh>>},
      {"gelu_tanh", "backward", wide, backward<act<Activation::gelu_tanh>>},
      {"silu", "forward", wide, forward<act<Activation::silu>>},
      {"silu", "backward", wide, backward<act<Activation::silu>>},
      {"relu2", "forward", wide, forward<act<Activation::relu2>>},
      {"swiglu", "forward", wide, swiglu},
      {"softmax", "forward", scores, forward<softmax>},
      {"softmax", "backward", scores, backward<softmax>},
      {"layer_norm", "forward", narrow, forward<normed<NormKind::ln>>},
      {"layer_norm", "backward", narrow, backward<normed<NormKind::ln>>},
      {"rms_norm", "forward", narrow, forward<normed<NormKind::rms>>},
      {"rms_norm", "backward", narrow, backward<normed<NormKind::rms>>},
      {"add", "forward", narrow, sum_of_two},
      {"dropout", "forward", narrow, forward<drop>},
      {"dropout", "backward", narrow, backward<drop, 0>},
      {"head_scale", "forward", narrow, scaled_heads},
      {"rope", "forward", batch, forward<rotate>},
      {"embedding", "forward", narrow, lookup},
      {"adamw", "step", {kParameters}, optimizer_step, {DType::f32}},
  };
  return table;
}

BenchResult measure(const Row& row, DType dtype, const BenchOptions& options) {
  Shape shape = row.shape;
  shape[0] = std::max<int64_t>(1, int64_t(double(shape[0]) * options.scale));
  const Work work = row.prepare(normals(shape, dtype, options.device));
  const Tensor from = Tensor::full({work.bytes / 8 + 1}, 1, DType::f32, options.device),
               to = from.like(from.shape(), DType::f32, Contents::zeros);
  const DeviceMemory& memory = memory_of(options.device);
  // A GPU is asked for several calls before it is waited for: waiting takes as long as some ops.
  const auto finished = [&](const std::function<void()>& f, bool once = false) {
    const int calls = options.device == Device::cuda && !once ? 20 : 1;
    memory.synchronize();
    const double t = seconds_of([&] {
      for (int i = 0; i < calls; ++i) f();
      memory.synchronize();
    });
    return t / calls;
  };
  const auto copy = [&](bool streaming) {
    if (options.device != Device::cpu)
      memory.copy(to.raw(), from.raw(), size_t(from.bytes()), Transfer::within);
    else
      cpu::copy_peak({from.data<float>(), to.data<float>(), from.numel(), streaming});
  };
  std::vector<double> op_seconds, copy_seconds[2];
  for (int i = -1; i < options.repeats; ++i) {  // the first round touches memory and is not counted
    for (const bool streaming : {false, true}) {
      const double t = finished([&] { copy(streaming); });
      if (i >= 0) copy_seconds[streaming].push_back(t);
    }
    if (work.before) work.before();
    const double op = finished(work.run, work.before != nullptr);
    if (i >= 0) op_seconds.push_back(op);
  }
  const double value = double(work.bytes) / median(op_seconds) * 1e-9;
  const double copy_time = std::min(median(copy_seconds[0]), median(copy_seconds[1]));
  const double ceiling = double(work.bytes) / copy_time * 1e-9;
  return {join_text(row.op, " ", row.what, " ", dtype, " ", shape), value, "GB/s", ceiling, value / ceiling};
}

}  // namespace

std::vector<BenchResult> bench_ops(const std::string& op, const BenchOptions& options) {
  std::vector<std::string> names;
  for (const Row& row : rows()) names.push_back(row.op);
  check(op.empty() || std::find(names.begin(), names.end(), op) != names.end(), "bench: no row for op '", op,
        "'", near_hint(op, names, "; the nearest is '", "'"));
  const TapeScope off(nullptr);
  std::vector<BenchResult> results;
  for (const Row& row : rows())
    if (op.empty() || op == row.op)
      for (DType dtype : row.dtypes) results.push_back(measure(row, dtype, options));
  return results;
}

}  // namespace engine
