// Read first: loss.h, loss_kernels.h.
#include "engine/ops/loss.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/autograd/checkpoint.h"
#include "engine/autograd/unit.h"
#include "engine/cpu/parallel.h"
#include "engine/ops/loss_kernels.h"
#include "engine/ops/products.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

/// The sum of one loss per row, in order.
Tensor sum_of(const Tensor& losses) {
  const Tensor sum = losses.like({}, DType::f64);
  kernel::sum_losses(losses.device(), {losses.data<double>(), sum.data<double>(), losses.numel()});
  return sum;
}

void check_labels(const char* op, const Tensor& labels, const Shape& rows, int64_t classes) {
  check(labels.dtype() == DType::i32, op, ": labels must be i32, got ", labels.dtype());
  check(labels.shape() == rows, op, ": needs labels ", rows, ", got ", labels.shape());
  const Tensor host = labels.to(Device::cpu);
  const int32_t* ids = host.data<int32_t>();
  for (int64_t i = 0; i < labels.numel(); ++i)
    check(ids[i] == kNotScored || (ids[i] >= 0 && ids[i] < classes), op, ": label ", ids[i], " at position ",
          i, " is outside [0, ", classes, ") and not ", kNotScored);
}

//   L = sum over rows of lse(z) - z[label]        dz = dL (softmax(z) - onehot(label))
struct CrossEntropyNode : NodeOf<CrossEntropyNode> {
  static constexpr const char* kName = "cross_entropy";
  Saved logits, labels, lse;
  auto saved() { return std::tie(logits, labels, lse); }

  void backward(Backward& b) override {
    const Tensor& z = logits.get();
    const Into dz = b.into_rows(0);
    if (z.numel() == 0) return;
    kernel::cross_entropy_backward(
        z.device(),
        {z.raw(), labels.get().data<int32_t>(), lse.get().raw(), dz.buffer.raw(), lse.get().numel(),
         z.size(-1), z.row_stride(), dz.buffer.row_stride(), b.dy().item(), dz.accumulate, z.dtype()});
  }
};

//   L = sum (x - t)^2        dx = 2 dL (x - t) = -dt
struct SquaredErrorNode : NodeOf<SquaredErrorNode> {
  static constexpr const char* kName = "squared_error";
  Saved x, target;
  auto saved() { return std::tie(x, target); }

  void backward(Backward& b) override {
    for (int i = 0; i < 2; ++i) {
      if (!b.wants(i)) continue;
      const Into g = b.into(i);
      if (g.buffer.numel() > 0)
        kernel::squared_error_backward(
            x.get().device(), {x.get().raw(), target.get().raw(), g.buffer.raw(), g.buffer.numel(),
                               i == 0 ? b.dy().item() : -b.dy().item(), g.accumulate, x.get().dtype()});
    }
  }
};

// The gradients were formed in the forward pass; a parameter's weight gradient is in its arena already.
struct LinearCrossEntropyNode : NodeOf<LinearCrossEntropyNode> {
  static constexpr const char* kName = "linear_cross_entropy";
  Saved dx, dweight, dbias;
  auto saved() { return std::tie(dx, dweight, dbias); }

  void backward(Backward& b) override {
    if (!is_unit_gradient(b.dy())) {  // only then is the device asked
      const double dy = b.dy().item();
      check(dy == 1, "linear_cross_entropy: its upstream gradient must be 1, got ", dy,
            " (scale with loss_scale)");
    }
    const Saved* gradients[] = {&dx, &dweight, &dbias};
    for (int i = 0; i < 3; ++i)
      if (b.wants(i) && gradients[i]->defined()) b.pass(i, gradients[i]->get());
  }
};

/// Rows of a chunk, in chunks of nearly one size. Each chunk reads the weight and adds to its gradient, so
/// that its f32 logits may take as much memory as the weight does, or 64 MiB.
int64_t rows_per_chunk(int64_t rows, int64_t classes, int64_t width) {
  const int64_t most = std::max(width, (int64_t(1) << 24) / classes), chunks = (rows + most - 1) / most;
  return chunks <= 1 ? rows : (rows + chunks - 1) / chunks;
}

/// Copies the scored rows of `from` to `to` side by side, or those of `from` to their places in `to`.
enum class Move { gather, scatter };
void move_rows(Move move, const ScoredRows& scored, const Tensor& from, const Tensor& to) {
  const int64_t n = scored.rows.numel(), width = from.size(-1);
  const int32_t* index = scored.rows.data<int32_t>();
  if (from.device() != Device::cpu) {
    if (move == Move::gather)
      kernel::gather_rows(from.device(), {from.raw(), index, nullptr, to.raw(), n, width, from.dtype(),
                                          to.dtype(), 1, false});
    else  // the numbers rise, so a row of `to` gets one row or none
      kernel::scatter_rows(from.device(),
                           {from.raw(), scored.order.data<int32_t>(), scored.starts.data<int32_t>(), nullptr,
                            to.raw(), to.size(0), width, from.dtype(), to.dtype(), 1, false});
    return;
  }
  const int64_t size = size_of(from.dtype());
  const auto* source = static_cast<const char*>(from.raw());
  auto* target = static_cast<char*>(to.raw());
  const int64_t from_stride = from.row_stride() * size, to_stride = to.row_stride() * size;
  cpu::parallel_chunks(n, 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t far = index[i];
      std::memcpy(target + (move == Move::gather ? i : far) * to_stride,
                  source + (move == Move::gather ? far : i) * from_stride, size_t(width * size));
    }
  });
}

void product(const GemmOperand& a, const GemmOperand& b, int64_t m, int64_t n, int64_t k, const Tensor& c,
             bool accumulate) {
  run_product(c.device(), {.a = a,
                           .b = b,
                           .m = m,
                           .n = n,
                           .k = k,
                           .c = c.raw(),
                           .c_stride = c.size(-1),
                           .c_dtype = c.dtype(),
                           .accumulate = accumulate});
}

/// What the chunks add up to. Gradients are undefined where nobody asks for them.
struct Projection {
  const Tensor &weight, &bias;
  const LinearCrossEntropyOptions& options;
  Tensor dx, dbias;
  Into dweight;
};

/// One chunk: logits = x w^T, the losses of its rows, and then dx = dz w, dw += dz^T x, db += column sums of
/// dz.
void score_rows(Projection& p, const Tensor& x, const Tensor& labels, const Tensor& losses, int64_t begin,
                int64_t end, bool gradient) {
  const int64_t rows = end - begin, classes = p.weight.size(0), width = p.weight.size(1);
  const DType dtype = x.dtype(), compute = compute_dtype(dtype);
  const Tensor x_rows = x.slice(0, begin, end);
  const Tensor logits = x.like({rows, classes}, compute);
  if (rows > 0) {
    product(matrix_of(x_rows), matrix_of(p.weight, true), rows, classes, width, logits, false);
    kernel::score_chunk(
        x.device(),
        {logits.raw(), p.bias.defined() ? p.bias.raw() : nullptr, labels.data<int32_t>() + begin,
         losses.data<double>() + begin, rows, classes,
         p.options.vocabulary > 0 ? p.options.vocabulary : classes, p.options.softcap, p.options.loss_scale,
         p.options.scale.defined() ? p.options.scale.data<double>() : nullptr, gradient, dtype});
  }
  if (!gradient) return;
  const int64_t dz_stride = classes * size_of(compute) / size_of(dtype);
  const auto dz = [&](bool transposed) { return GemmOperand{logits.raw(), dz_stride, dtype, transposed}; };
  const bool first = begin == 0;
  if (p.dx.defined() && rows > 0)
    product(dz(false), matrix_of(p.weight), rows, width, classes, p.dx.slice(0, begin, end), false);
  if (p.dweight.buffer.defined())
    product(dz(true), matrix_of(x_rows), classes, width, rows, p.dweight.buffer,
            p.dweight.accumulate || !first);
  if (p.dbias.defined())
    kernel::column_sums(x.device(), {logits.raw(), p.dbias.raw(), rows, classes, dz_stride, !first, dtype});
}

void check_projection(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const LinearCrossEntropyOptions& o) {
  check(is_float(x.dtype()) && weight.dtype() == x.dtype(),
        "linear_cross_entropy: x and weight need one floating dtype, got ", x.dtype(), " and ",
        weight.dtype());
  check(weight.rank() == 2 && x.rank() >= 1 && x.size(-1) == weight.size(1) && weight.size(0) > 0,
        "linear_cross_entropy: weight ", weight.shape(), " needs input last dim ",
        weight.rank() == 2 ? weight.size(1) : 0, ", got ", x.shape());
  check(
      !bias.defined() || (bias.shape() == Shape{weight.size(0)} && bias.dtype() == compute_dtype(x.dtype())),
      "linear_cross_entropy: bias must be ", compute_dtype(x.dtype()), " [", weight.size(0), "]",
      bias.defined() ? join_text(", got ", bias.dtype(), " ", bias.shape()) : "");
  check(o.vocabulary >= 0 && o.vocabulary <= weight.size(0), "linear_cross_entropy: vocabulary ",
        o.vocabulary, " of a weight ", weight.shape());
  check(o.softcap >= 0 && std::isfinite(o.softcap) && o.loss_scale > 0 && std::isfinite(o.loss_scale),
        "linear_cross_entropy: needs softcap >= 0 and loss_scale > 0, got ", o.softcap, " and ",
        o.loss_scale);
  check(!inside_checkpoint(),
        "linear_cross_entropy: forms its gradient in the forward pass, so it cannot run "
        "inside a checkpointed segment");
}

}  // namespace

ScoredRows scored_rows(const char* op, const Tensor& labels_in, int64_t classes) {
  const Tensor labels = contiguous(labels_in), host = labels.to(Device::cpu);
  check_labels(op, labels, labels.shape(), classes);
  check(labels.numel() < (int64_t(1) << 31), op, ": too many labels: ", labels.shape());
  ScoredRows scored{.total = labels.numel()};
  std::vector<int32_t> rows, ids, order, starts = {0};
  for (int64_t i = 0; i < labels.numel(); ++i) {
    if (const int32_t id = host.data<int32_t>()[i]; id != kNotScored)
      order.push_back(int32_t(rows.size())), rows.push_back(int32_t(i)), ids.push_back(id);
    starts.push_back(int32_t(rows.size()));
  }
  const int64_t n = int64_t(rows.size());
  const auto here = [&](const std::vector<int32_t>& values) {
    return Tensor::from_ids(values, {int64_t(values.size())}).to(labels.device());
  };
  scored.labels = here(ids);
  if (n < labels.numel()) scored.rows = here(rows), scored.order = here(order), scored.starts = here(starts);
  return scored;
}

Tensor cross_entropy(const Tensor& logits, const Tensor& labels_in) {
  check(is_float(logits.dtype()) && logits.rank() >= 1 && logits.size(-1) > 0,
        "cross_entropy: needs floating logits [..., V], got ", logits.dtype(), " ", logits.shape());
  const Tensor labels = contiguous(labels_in), z = with_uniform_rows(logits);
  check_labels("cross_entropy", labels, logits.shape().leading(), logits.size(-1));
  const Tensor losses = z.like(labels.shape(), DType::f64);
  const Tensor lse = z.like(labels.shape(), compute_dtype(z.dtype()));
  if (z.numel() > 0)
    kernel::cross_entropy_forward(
        z.device(), {z.raw(), labels.data<int32_t>(), losses.data<double>(), lse.raw(), labels.numel(),
                     z.size(-1), z.row_stride(), z.dtype()});
  Tensor loss = sum_of(losses);
  if (Tape* tape = recording({&z})) {
    auto& node = tape->record<CrossEntropyNode>({&z}, {&loss});
    node.logits = z, node.labels = labels, node.lse = lse;
  }
  return loss;
}

Tensor linear_cross_entropy(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in,
                            const Tensor& labels_in, const LinearCrossEntropyOptions& options) {
  check_projection(x_in, weight_in, bias_in, options);
  const Tensor x = contiguous(x_in), weight = contiguous(weight_in);
  const Tensor bias = bias_in.defined() ? contiguous(bias_in) : Tensor();
  const int64_t width = weight.size(1), classes = weight.size(0), total = x.shape().leading().numel();
  if (!options.scored)
    check(labels_in.shape() == x.shape().leading(), "linear_cross_entropy: needs labels ",
          x.shape().leading(), ", got ", labels_in.shape());
  const ScoredRows found = options.scored
                               ? ScoredRows()
                               : scored_rows("linear_cross_entropy", labels_in,
                                             options.vocabulary > 0 ? options.vocabulary : classes);
  const ScoredRows& scored = options.scored ? *options.scored : found;
  check(scored.total == total && scored.labels.device() == x.device(),
        "linear_cross_entropy: scored rows of ", scored.total, " on ", scored.labels.device(), ", x has ",
        total, " on ", x.device());

  // Only scored rows are computed.
  const int64_t rows = scored.labels.numel();
  const bool all = !scored.rows.defined();
  Tensor x_scored = x.detach().reshape({total, width});
  if (!all) {
    const Tensor every_row = x_scored;
    x_scored = x.like({rows, width}, x.dtype());
    move_rows(Move::gather, scored, every_row, x_scored);
  }

  Tape* tape = recording({&x, &weight, &bias});
  const DType compute = compute_dtype(x.dtype());
  Projection p{weight, bias, options, {}, {}, {}};
  const bool pass_weight = tape && tape->tracks(weight) && !tape->is_parameter(weight);
  if (tape && tape->tracks(x)) p.dx = x.like({rows, width}, x.dtype());
  if (tape && tape->tracks(bias)) p.dbias = x.like({classes}, compute);
  if (tape && tape->tracks(weight))
    p.dweight = pass_weight ? Into{x.like(weight.shape(), compute), false} : tape->into_now(weight);

  const Tensor losses = x.like({rows}, DType::f64);
  const int64_t chunk = rows_per_chunk(rows, classes, width);
  int64_t begin = 0;
  do {  // once even when no row is scored: its gradients are zero
    const int64_t end = std::min(rows, begin + chunk);
    score_rows(p, x_scored, scored.labels, losses, begin, end, tape != nullptr);
    begin += chunk;
  } while (begin < rows);

  Tensor loss = sum_of(losses);
  if (!tape) return loss;
  if (p.dx.defined() && !all) {
    const Tensor dx_scored = p.dx;
    p.dx = x.like({total, width}, x.dtype(), Contents::zeros);
    move_rows(Move::scatter, scored, dx_scored, p.dx);
  }
  auto& node = tape->record<LinearCrossEntropyNode>({&x, &weight, &bias}, {&loss});
  if (p.dx.defined()) node.dx = p.dx.reshape(x.shape());
  if (pass_weight) node.dweight = p.dweight.buffer;
  if (p.dbias.defined()) node.dbias = p.dbias;
  return loss;
}

Tensor squared_error(const Tensor& x_in, const Tensor& target_in) {
  check(is_float(x_in.dtype()) && x_in.dtype() == target_in.dtype() && x_in.shape() == target_in.shape(),
        "squared_error: needs x and target of one shape and floating dtype, got ", x_in.dtype(), " ",
        x_in.shape(), " and ", target_in.dtype(), " ", target_in.shape());
  const Tensor x = contiguous(x_in), target = contiguous(target_in);
  const Tensor losses = x.like({(x.numel() + kSquaredErrorChunk - 1) / kSquaredErrorChunk}, DType::f64);
  if (x.numel() > 0)
    kernel::squared_error_forward(x.device(),
                                  {x.raw(), target.raw(), losses.data<double>(), x.numel(), x.dtype()});
  Tensor loss = sum_of(losses);
  if (Tape* tape = recording({&x, &target})) {
    auto& node = tape->record<SquaredErrorNode>({&x, &target}, {&loss});
    node.x = x, node.target = target;
  }
  return loss;
}

}  // namespace engine
