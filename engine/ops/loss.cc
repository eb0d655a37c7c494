// Read first: loss.h, loss_kernels.h.
#include "engine/ops/loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/autograd/checkpoint.h"
#include "engine/ops/loss_kernels.h"
#include "engine/ops/products.h"
#include "engine/ops/routing.h"
#include "engine/ops/rows_kernels.h"
#include "engine/ops/view.h"

namespace engine {
namespace {

/// The sum of one loss per row.
Tensor sum_of(const Tensor& losses) {
  const Tensor sum = losses.like({}, DType::f64);
  kernel::add_losses(losses.device(), {losses.data<double>(), sum.data<double>(), losses.numel()});
  return sum;
}

void check_labels(const char* op, const Tensor& labels, const Shape& rows, int64_t classes) {
  check(labels.dtype() == DType::i32, op, ": labels must be i32, got ", labels.dtype());
  check(labels.shape() == rows, op, ": needs labels ", rows, ", got ", labels.shape());
  const Tensor host = contiguous(labels.detach()).to(Device::cpu);
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
        {z.raw(), labels.get().data<int32_t>(), lse.get().raw(), dz.buffer.raw(), b.dy().data<double>(),
         lse.get().numel(), z.size(-1), z.row_stride(), dz.buffer.row_stride(), dz.accumulate, z.dtype()});
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
            x.get().device(), {x.get().raw(), target.get().raw(), g.buffer.raw(), b.dy().data<double>(),
                               g.buffer.numel(), i == 0 ? 1.0 : -1.0, g.accumulate, x.get().dtype()});
    }
  }
};

// The gradients were formed in the forward pass; a parameter's weight gradient is in its arena already.
struct LinearCrossEntropyNode : NodeOf<LinearCrossEntropyNode> {
  static constexpr const char* kName = "linear_cross_entropy";
  Saved dx, dweight, dbias;
  auto saved() { return std::tie(dx, dweight, dbias); }

  void backward(Backward& b) override {
    if (!b.is_unit())  // the number itself is on the device
      check(b.dy().item() == 1, "linear_cross_entropy: its upstream gradient must be 1, got ", b.dy().item(),
            " (scale with loss_scale)");
    const Saved* gradients[] = {&dx, &dweight, &dbias};
    for (int i = 0; i < 3; ++i)
      if (b.wants(i) && gradients[i]->defined()) b.pass(i, gradients[i]->get());
  }
};

/// Rows of a chunk, in chunks of nearly one size. Each chunk reads the weight and adds to its gradient, so
/// that its f32 logits may take as much memory as the weight does, or 64 MiB.
int64_t rows_per_chunk(int64_t rows, int64_t classes, int64_t width) {
  const int64_t most = std::max<int64_t>({1, width, (int64_t(1) << 24) / classes}),
                chunks = (rows + most - 1) / most;
  return chunks <= 1 ? rows : (rows + chunks - 1) / chunks;
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
    kernel::score_chunk(x.device(), {logits.raw(), p.bias.defined() ? p.bias.raw() : nullptr,
                                     labels.data<int32_t>() + begin, losses.data<double>() + begin, rows,
                                     classes, p.options.vocabulary > 0 ? p.options.vocabulary : classes,
                                     p.options.softcap, p.options.loss_scale,
                                     p.options.scale.defined() ? p.options.scale.data<double>() : nullptr, gradient,
                                     dtype});
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

ScoredRows scored_rows(const char* op, const Tensor& labels, int64_t classes) {
  check_labels(op, labels, labels.shape(), classes);
  const Tensor all = contiguous(labels.detach()).to(Device::cpu);
  const int32_t* label = all.data<int32_t>();
  std::vector<int32_t> rows, kept;
  for (int64_t i = 0; i < all.numel(); ++i)
    if (label[i] != kNotScored) rows.push_back(int32_t(i)), kept.push_back(label[i]);
  const int64_t n = int64_t(rows.size());
  return ScoredRows{Tensor::from_ids(kept, {n}),
                    index_rows(op, Tensor::from_ids(rows, {n}), all.numel(), "the rows"), classes}
      .to(labels.device());
}

static Tensor checked_cross_entropy(const Tensor& logits, const Tensor& labels) {
  const Tensor z = with_uniform_rows(logits);
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

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  check(is_float(logits.dtype()) && logits.rank() >= 1 && logits.size(-1) > 0,
        "cross_entropy: needs floating logits [..., V], got ", logits.dtype(), " ", logits.shape());
  check_labels("cross_entropy", labels, logits.shape().leading(), logits.size(-1));
  return checked_cross_entropy(logits, contiguous(labels).to(logits.device()));
}

Tensor cross_entropy(const Tensor& logits, const ScoredRows& labels) {
  check(is_float(logits.dtype()) && logits.rank() == 2 && logits.size(0) == labels.rows.rows &&
            logits.size(1) >= labels.classes,
        "cross_entropy: ", labels.rows.rows, " labels below ", labels.classes, " need as many rows of logits, got ",
        logits.dtype(), " ", logits.shape());
  return checked_cross_entropy(labels.all() ? logits : gather_rows(logits, labels.rows), labels.labels);
}

int64_t cross_entropy_chunks(int64_t rows, int64_t classes, int64_t width) {
  const int64_t chunk = rows_per_chunk(rows, classes, width);
  return chunk > 0 ? (rows + chunk - 1) / chunk : 1;
}

Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& labels,
                            const LinearCrossEntropyOptions& options) {
  check_projection(x, weight, bias, options);
  check(labels.shape() == x.shape().leading(), "linear_cross_entropy: needs labels ", x.shape().leading(),
        ", got ", labels.shape());
  return linear_cross_entropy(
      x, weight, bias,
      scored_rows("linear_cross_entropy", labels, options.vocabulary > 0 ? options.vocabulary : weight.size(0))
          .to(x.device()),
      options);
}

Tensor linear_cross_entropy(const Tensor& x_in, const Tensor& weight_in, const Tensor& bias_in,
                            const ScoredRows& labels, const LinearCrossEntropyOptions& options) {
  check_projection(x_in, weight_in, bias_in, options);
  const Tensor x = contiguous(x_in), weight = contiguous(weight_in);
  const Tensor bias = bias_in.defined() ? contiguous(bias_in) : Tensor();
  const int64_t width = weight.size(1), classes = weight.size(0), rows = labels.scored();
  check(labels.classes <= (options.vocabulary > 0 ? options.vocabulary : classes),
        "linear_cross_entropy: labels below ", labels.classes, " for ", classes, " classes");
  check(labels.rows.rows == x.shape().leading().numel(), "linear_cross_entropy: labels of ", labels.rows.rows,
        " rows, got ", x.shape());

  // Only scored rows are computed.
  Tensor x_scored = x.detach().reshape({labels.rows.rows, width});
  if (!labels.all()) {
    const Tensor every_row = x_scored;
    x_scored = x.like({rows, width}, x.dtype());
    if (x_scored.numel() > 0)
      kernel::gather_rows(x.device(), {every_row.raw(), labels.rows.ids.data<int32_t>(), nullptr, x_scored.raw(),
                                       rows, width, x.dtype(), x.dtype(), 1, false});
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
    score_rows(p, x_scored, labels.labels, losses, begin, end, tape != nullptr);
    begin += chunk;
  } while (begin < rows);

  Tensor loss = sum_of(losses);
  if (!tape) return loss;
  if (p.dx.defined() && !labels.all()) {
    const Tensor dx_scored = p.dx;
    p.dx = x.like({labels.rows.rows, width}, x.dtype());
    if (p.dx.numel() > 0)
      kernel::scatter_rows(x.device(), {dx_scored.raw(), labels.rows.order.data<int32_t>(),
                                        labels.rows.starts.data<int32_t>(), nullptr, p.dx.raw(), p.dx.size(0),
                                        width, x.dtype(), x.dtype(), 1, false});
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
