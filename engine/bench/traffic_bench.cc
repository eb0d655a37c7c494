// Read first: traffic_bench.h.
#include "engine/bench/traffic_bench.h"

#include "engine/base/check.h"

#if defined(ENGINE_HAS_cuda_host)
#include <algorithm>
#include <memory>

#include "engine/base/text.h"
#include "engine/cuda/host/count.h"
#include "engine/cuda/host/settings.h"
#include "engine/ops/activation.h"
#include "engine/ops/attention.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/embedding.h"
#include "engine/ops/head_scale.h"
#include "engine/ops/loss.h"
#include "engine/ops/norm.h"
#include "engine/ops/optimizer.h"
#include "engine/ops/rope.h"
#include "engine/ops/softmax.h"

namespace engine {
namespace {

constexpr Device kDevice = Device::cuda_host;
constexpr int64_t kRows = 512, kWidth = 768, kHidden = 3072, kHeads = 12, kContext = 256, kVocabulary = 8192;

/// Counts, without the checks that take most of the time, while it lives. Blocks that were taken before carry
/// no marks for sectors, so those that are free are given back first.
class Counting {
 public:
  Counting() : before_(standin::settings()) {
    memory_of(kDevice).synchronize();
    trim_memory(kDevice);
    standin::settings().count = true;
    standin::settings().check = false;
  }
  ~Counting() {
    memory_of(kDevice).synchronize();
    standin::settings() = before_;
    trim_memory(kDevice);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  standin::Settings before_;
};

TrafficCount count_of(const std::string& name, const standin::Traffic& t, double seconds) {
  return {.name = name,
          .launches = double(t.launches),
          .dram_read = double(t.dram_read),
          .dram_write = double(t.dram_write),
          .asked = double(t.read_bytes + t.write_bytes),
          .sector_bytes = 32.0 * double(t.read_sectors + t.write_sectors),
          .sector_factor = t.sector_factor(),
          .conflict_factor = t.conflict_factor(),
          .matrix_flop = double(t.matrix_flop),
          .other_flop = double(t.other_flop),
          .seconds = seconds};
}

/// What f does, as one line. (The prediction adds up launch by launch: each waits for its own bound.)
TrafficCount count_one(const std::string& name, const std::function<void()>& f) {
  memory_of(kDevice).synchronize();
  standin::reset_traffic();
  f();
  memory_of(kDevice).synchronize();
  double seconds = 0;
  for (const standin::LaunchTraffic& l : standin::traffic_by_launch())
    seconds += standin::predicted_seconds(l.traffic);
  return count_of(name, standin::total_traffic(), seconds);
}

Tensor normals(const Shape& shape, DType dtype) {
  Rng rng{1};
  std::vector<double> v(size_t(shape.numel()));
  for (double& x : v) x = rng.normal();
  return Tensor::from(v, shape, dtype).to(kDevice);
}

using Function = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;

struct Row {
  const char* op;
  std::vector<Tensor> (*inputs)();  // floating ones are differentiated
  Function run;
  double more = 0;  // bytes that backward must move beside what it is given and gives
};

/// "engine/ops/x_cuda.cu", however the compiler was told of it.
std::string path_of(const std::string& file) {
  const size_t at = file.rfind("engine/");
  return at == std::string::npos ? file : file.substr(at);
}

double bytes_of(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors) sum += t.defined() ? double(t.bytes()) : 0;
  return sum;
}

/// Forward without a tape: inputs and results once. Backward: what was saved, the gradients that come and
/// those that go.
void count_row(const Row& row, std::vector<TrafficCount>& out) {
  std::vector<Tensor> x = row.inputs(), y;
  out.push_back(count_one(std::string(row.op) + " forward", [&] {
    const TapeScope off(nullptr);
    y = row.run(x);
  }));
  out.back().least = bytes_of(x) + bytes_of(y);
  Tape tape;
  {
    const TapeScope scope(tape);
    for (Tensor& t : x)
      if (is_float(t.dtype())) tape.watch(t);
    y = row.run(x);
  }
  std::vector<Tensor> dy;
  for (const Tensor& t : y) dy.push_back(normals(t.shape(), t.dtype()));
  const double saved = double(tape.saved_bytes());
  out.push_back(count_one(std::string(row.op) + " backward", [&] { tape.backward(y, dy); }));
  std::vector<Tensor> dx;
  for (const Tensor& t : x)
    if (is_float(t.dtype())) dx.push_back(tape.gradient(t));
  out.back().least = saved + bytes_of(dy) + bytes_of(dx) + row.more;
}

const DType b16 = DType::bf16, f32 = DType::f32;

std::vector<Tensor> hidden() { return {normals({kRows, kHidden}, b16)}; }
std::vector<Tensor> gated() { return {normals({kRows, kHidden}, b16), normals({kRows, kHidden}, b16)}; }
std::vector<Tensor> normed() {
  return {normals({kRows, kWidth}, b16), normals({kWidth}, f32), normals({kWidth}, f32)};
}
std::vector<Tensor> normed_hidden() {
  return {normals({kRows, kHidden}, b16), normals({kHidden}, f32), normals({kHidden}, f32)};
}
std::vector<Tensor> joined() {
  return {normals({kRows, kWidth}, f32), normals({kRows, kWidth}, b16), normals({kWidth}, f32),
          normals({kWidth}, f32)};
}
std::vector<Tensor> heads() {
  std::vector<Tensor> qkv;
  for (int i = 0; i < 3; ++i) qkv.push_back(normals({kRows / kContext, kContext, kWidth}, b16));
  return qkv;
}

/// Gradients of gains and biases are summed in pieces of fixed rows, written once and read once.
double pieces(int64_t columns, int64_t sums) {
  return 2.0 * 4 * double((kRows + kNormRows - 1) / kNormRows * columns * sums);
}
/// Attention's backward has no atomics: D from dO and o, then one pass for dk and dv and one for dq, each
/// over q, k, v and dO.
constexpr double kSecondPass = double(kRows * kWidth) * 5 * 2 + double(kRows * kHeads) * 3 * 8;

const std::vector<Row>& rows() {
  using Tensors = std::vector<Tensor>;
  static const std::vector<Row> table = {
      {"gelu_tanh", hidden, [](const Tensors& x) { return Tensors{activate(x[0], Activation::gelu_tanh)}; }},
      {"swiglu", gated, [](const Tensors& x) { return Tensors{glu(x[0], x[1], Activation::silu)}; }},
      {"layer_norm", normed,
       [](const Tensors& x) {
         return Tensors{norm(x[0], {.kind = NormKind::ln, .weight = x[1], .bias = x[2]}, b16)};
       },
       pieces(kWidth, 2)},
      {"rms_norm", normed,
       [](const Tensors& x) { return Tensors{norm(x[0], {.kind = NormKind::rms, .weight = x[1]}, b16)}; },
       pieces(kWidth, 1)},
      {"mid_norm", normed_hidden,
       [](const Tensors& x) {
         return Tensors{norm(
             x[0], {.kind = NormKind::ln, .weight = x[1], .bias = x[2], .activation = Activation::gelu_tanh},
             b16)};
       },
       pieces(kHidden, 2)},
      {"join_norm", joined,
       [](const Tensors& x) {
         const auto [stream, y] =
             residual_add_norm(x[0], x[1], {}, {.kind = NormKind::ln, .weight = x[2], .bias = x[3]}, b16);
         return Tensors{stream, y};
       },
       pieces(kWidth, 2)},
      {"head_norm",
       [] {
         return Tensors{normals({kRows, kWidth}, b16), normals({kWidth / kHeads}, f32)};
       },
       [](const Tensors& x) {
         return Tensors{norm(x[0], {.kind = NormKind::rms, .weight = x[1], .groups = kHeads}, b16)};
       }},
      {"norm_rope",
       [] {
         return Tensors{normals({kRows / kContext, kContext, kWidth}, b16), normals({kWidth / kHeads}, f32)};
       },
       [](const Tensors& x) {
         const NormArguments per_head{.kind = NormKind::rms, .weight = x[1], .groups = kHeads};
         return Tensors{norm_rope(x[0], per_head, kHeads, plain_rope_angles(kWidth / kHeads, 1e4), 0, b16)};
       }},
      {"head_scale",
       [] {
         return Tensors{normals({kRows, kWidth}, b16), normals({kHeads}, f32)};
       },
       [](const Tensors& x) { return Tensors{head_scale(x[0], x[1])}; }},
      {"rope",
       [] {
         return Tensors{normals({kRows / kContext, kContext, kWidth}, b16)};
       },
       [](const Tensors& x) { return Tensors{rope(x[0], kHeads, 1e4)}; }},
      {"softmax",
       [] {
         return Tensors{normals({kRows, 1024}, b16)};
       },
       [](const Tensors& x) { return Tensors{softmax(x[0])}; }},
      {"dropout",
       [] {
         return Tensors{normals({kRows, kWidth}, b16)};
       },
       [](const Tensors& x) {
         Rng rng{7};
         return Tensors{dropout(x[0], 0.1, rng)};
       }},
      {"attention", heads,
       [](const Tensors& x) {
         return Tensors{attention(x[0], x[1], x[2], {.heads = kHeads, .kv_heads = kHeads, .causal = true})};
       },
       kSecondPass},
      {"attention_gain",
       [] {
         Tensors x = heads();
         x.push_back(normals({kHeads}, f32));
         return x;
       },
       [](const Tensors& x) {
         return Tensors{attention(x[0], x[1], x[2],
                                  {.heads = kHeads, .kv_heads = kHeads, .causal = true, .gain = x[3]})};
       },
       kSecondPass + double(kRows * kHeads) * 2 * 8},
  };
  return table;
}

// ---- rows that are no op of a tape
// -----------------------------------------------------------------------------------

/// The gradient of the head's logits in place, by the kernels around the products of linear_cross_entropy.
void count_cross_entropy(std::vector<TrafficCount>& out) {
  Tensor x = normals({kRows, 16}, b16), w = normals({kVocabulary, 16}, b16);
  const Tensor labels = Tensor::from_ids(std::vector<int32_t>(size_t(kRows), 5), {kRows}).to(kDevice);
  Tape tape;
  const TapeScope scope(tape);
  tape.watch(x);
  memory_of(kDevice).synchronize();
  standin::reset_traffic();
  linear_cross_entropy(x, w, {}, labels);
  memory_of(kDevice).synchronize();
  for (const standin::LaunchTraffic& l : standin::traffic_by_launch())
    if (std::string(l.launched.file).ends_with("loss_cuda.cu") &&
        l.traffic.dram_read > uint64_t(kVocabulary)) {
      out.push_back(count_of("cross_entropy in place", l.traffic, standin::predicted_seconds(l.traffic)));
      out.back().least = double(kRows * kVocabulary) * 6;
    }
}

void count_optimizer(std::vector<TrafficCount>& out) {
  const int64_t n = int64_t(1) << 20;
  const Tensor g = normals({n}, f32), p = normals({n}, f32), m = g.like({n}, f32, Contents::zeros),
               v = g.like({n}, f32, Contents::zeros), low = g.like({n}, b16);
  out.push_back(count_one("adamw", [&] { adamw_step(p, g, m, v, {.lr = 1e-3, .weight_decay = 0.1}, low); }));
  out.back().least = double(n) * 30;
  const ScalarsInMemory scalars(kDevice, {.scored = 1});
  out.push_back(count_one("gradient_norm", [&] { form_factor(g, scalars, {}); }));
  out.back().least = double(n) * 4;
}

void count_embedding(std::vector<TrafficCount>& out) {
  std::vector<int32_t> ids(static_cast<size_t>(kRows));
  Rng rng{3};
  for (int32_t& id : ids) id = int32_t(rng.below(kVocabulary));
  std::vector<int32_t> touched = ids;
  std::sort(touched.begin(), touched.end());
  const double rows_touched = double(std::unique(touched.begin(), touched.end()) - touched.begin());
  Tensor table = normals({kVocabulary, kWidth}, f32);
  Tape tape;
  Tensor y;
  const RowIndex here =
      index_rows("embedding", Tensor::from_ids(ids, {kRows}), kVocabulary, "a table").to(kDevice);
  {
    const TapeScope scope(tape);
    tape.watch(table);
    out.push_back(count_one("embedding forward", [&] { y = embedding(here, table, 1, b16); }));
  }
  out.back().least = rows_touched * kWidth * 4 + double(kRows * kWidth) * 2;
  const Tensor dy = normals(y.shape(), b16);
  out.push_back(count_one("embedding backward", [&] { tape.backward(std::span(&y, 1), std::span(&dy, 1)); }));
  // A table's gradient that is written for the first time is written whole.
  out.back().least = double(kRows * kWidth) * 2 + double(kVocabulary * kWidth) * 4 + double(kVocabulary) * 4;
}

struct Special {
  const char* op;
  void (*count)(std::vector<TrafficCount>& out);
};
constexpr Special specials[] = {
    {"cross_entropy", count_cross_entropy}, {"optimizer", count_optimizer}, {"embedding", count_embedding}};

}  // namespace

std::vector<TrafficCount> count_ops(const std::string& op) {
  std::vector<std::string> names;
  for (const Row& row : rows()) names.push_back(row.op);
  for (const Special& s : specials) names.push_back(s.op);
  check(op.empty() || std::find(names.begin(), names.end(), op) != names.end(),
        "bench: no traffic is counted of op '", op, "'; the nearest is '", nearest_word(op, names), "'");
  const Counting counting;
  std::vector<TrafficCount> out;
  for (const Row& row : rows())
    if (op.empty() || op == row.op) count_row(row, out);
  for (const Special& s : specials)
    if (op.empty() || op == s.op) s.count(out);
  return out;
}

std::vector<TrafficCount> count_launches(const std::function<std::function<void()>()>& prepare) {
  const Counting counting;
  const std::function<void()> f = prepare();
  memory_of(kDevice).synchronize();
  standin::reset_traffic();
  f();
  memory_of(kDevice).synchronize();
  std::vector<TrafficCount> out;
  for (const standin::LaunchTraffic& l : standin::traffic_in_order())
    out.push_back(count_of(join_text(path_of(l.launched.file), ":", l.launched.line), l.traffic,
                           standin::predicted_seconds(l.traffic)));
  return out;
}

double predicted_seconds(const TrafficCount& launch) {
  const standin::Card card;
  return std::max({(launch.dram_read + launch.dram_write) / card.dram, launch.sector_bytes / card.l2,
                   launch.matrix_flop / card.matrix, launch.other_flop / card.other});
}

double seconds_of_products(double flop) { return flop / standin::Card().matrix; }

}  // namespace engine

#else
namespace engine {

std::vector<TrafficCount> count_ops(const std::string&) {
  fail("--traffic: this build has no stand-in to count on");
}
std::vector<TrafficCount> count_launches(const std::function<std::function<void()>()>&) {
  fail("--traffic: this build has no stand-in to count on");
}
double predicted_seconds(const TrafficCount&) { return 0; }
double seconds_of_products(double) { return 0; }

}  // namespace engine
#endif
